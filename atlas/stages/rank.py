"""The stage images → ranking: statistics of every layer, from the cache or from one pass."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ..errors import InputError
from ..files.files import require_free
from ..images.imageset import ImageSet
from ..images.load import Loaded, load
from ..images.tensors import decode_square, fit
from ..models.selection import class_layer, readout_layer
from ..network import tuning
from ..network.network import Network
from ..ranking.activations import Observed, observe, statistics
from ..ranking.placing import place_by_gradient, unplaced
from ..ranking.readout import read_readout
from ..ranking.sampling import sampling_of
from ..records.network import LayerInfo
from ..records.samples import Sample, SampleSet, SkippedFile
from ..records.statistics import LayerStats
from ..rendering.scoring import high_frequency
from ..shapes import Picture, Shape, Size
from .choose import wanted_layers
from .run import Work
from .tune import tune_layers, untuned_layers

VIEW_SHARE = 1.5
"""Sides of the kept square of a sample image over the input's: patches stay sharp on pages."""

SHOWN = "shown"
"""Note of the cache: which channels the squares show, where they are no colours."""

VIEW_BYTES = 30_000
MATRIX_BYTES = 10
"""Of an image and channel: mean, deviation and peak, 2 each, and its place, 1 to 4."""

SQUARES_BLOCK = 256


def rank_layers(work: Work, layers: Sequence[LayerInfo]) -> dict[str, LayerStats]:
    """Statistics of every layer over the sample images, in the order of `layers`."""
    missing, untuned = (
        unranked_layers(work, layers),
        untuned_layers(work, wanted_layers(work, layers)),
    )
    unread = bool(missing) or not has_samples(work)
    if unread or untuned:
        network = open_network(work, [*dict.fromkeys([*missing, *untuned])])
        if unread:
            measure(work, network, missing)
        tune_layers(work, network, untuned)
    keep_readout(work)
    return {layer.name: work.store.read_stats(layer.name) for layer in layers}


def unranked_layers(work: Work, layers: Sequence[LayerInfo]) -> list[LayerInfo]:
    """The layers whose statistics a build needs and the cache does not hold whole."""
    return [layer for layer in wanted_layers(work, layers) if not work.store.has_places(layer.name)]


def has_samples(work: Work) -> bool:
    """Return whether the cache holds the list of sample images and the squares of all of them."""
    if not work.store.has("samples"):
        return False
    if shown_channels(work) != work.images.bands.shown:
        return False
    count = len(work.store.read_samples().samples)
    return all(work.store.has_square(first) for first in range(0, count, SQUARES_BLOCK))


def shown_channels(work: Work) -> tuple[int, ...]:
    """The channels that the kept squares show; where it was never noted, those that it is about."""
    return tuple(work.store.read_note(SHOWN) or work.images.bands.shown)


def open_network(work: Work, layers: Sequence[LayerInfo]) -> Network:
    """The network, ready to show these layers; says what it needs."""
    device = tuning.choose_device(work.config.device)
    network = Network(work.model(), [layer.name for layer in layers], device)
    say_how(work, network)
    return network


def measure(work: Work, network: Network, layers: Sequence[LayerInfo]) -> None:
    """One pass over the images for all `layers`; keeps statistics, samples and their squares."""
    count = len(work.images.items)
    matrix = MATRIX_BYTES * count * sum(layer.channels for layer in layers)
    require_free(work.store.folder, matrix + VIEW_BYTES * count)
    seen, began = Seen(), time.perf_counter()
    stream = work.progress.images(read_images(work, network.info.shape, seen), count)
    observed = observe(network, layers, stream)
    spent = time.perf_counter() - began
    refuse_drifting(network, layers)
    kept = usable_images(work, seen, observed)
    work.progress.say(f"ranked over {len(kept)} images in {spent:.1f} s")
    seen.keep(kept)
    samples = seen.sample_set(work.images)
    if work.store.has("samples") and work.store.read_samples().samples != samples.samples:
        raise InputError("an image changed or vanished while it was read; run the same again")
    keep_squares(work, seen.squares)
    tables = {name: table[kept] for name, table in observed.tables.items()}
    sampling = sampling_of(samples.samples)
    if len(sampling.rows) < len(kept):
        work.progress.say(f"peaks and their places are kept of {len(sampling.rows)} images")
    found = list(statistics(network, layers, tables, sampling))
    for one in placed(work, network, found, layers, kept):
        work.store.write_stats(completed(work, one))
    if not work.store.has("samples"):
        work.store.write_samples(samples)


def completed(work: Work, stats: LayerStats) -> LayerStats:
    """The statistics of a layer; those that an earlier version measured stay, and learn places."""
    if not work.store.has_stats(stats.layer):
        return stats
    known = work.store.read_stats(stats.layer)
    new = ("places", "rows", "example_image", "example_activation", "example_box")
    fields = {name: getattr(stats, name) for name in new}
    return replace(known, peaks=known.peaks[stats.rows], **fields)


def placed(
    work: Work,
    network: Network,
    stats: Sequence[LayerStats],
    layers: Sequence[LayerInfo],
    kept: Sequence[int],
) -> Sequence[LayerStats]:
    """The statistics with the boxes of layers whose maps do not say where their places are."""
    without = unplaced(layers)
    if not without:
        return stats
    names = ", ".join(layer.name for layer in without)
    work.progress.say(f"maps of {names} have other places on every picture: asking gradients")
    pixels = read_images(work, network.info.shape, Seen())
    counted = set(kept)
    again = (image for place, image in enumerate(pixels) if place in counted)
    return place_by_gradient(network, layers, stats, again)


def refuse_drifting(network: Network, layers: Sequence[LayerInfo]) -> None:
    """Refuse a network that says something else of the same photograph behind the pass.

    Raises:
        InputError: names a layer.
    """
    changed = network.drifted([layer.name for layer in layers])
    if changed:
        raise InputError(
            f"layer {changed} answers the same image differently after the pass over the images: "
            f"what it says depends on the time or on the calls before; let forward() keep nothing "
            f"between calls"
        )


def keep_squares(work: Work, squares: Sequence[bytes]) -> None:
    """Keep the squares that are not there, or all anew where they show other channels."""
    shown = work.images.bands.shown
    again = shown_channels(work) != shown
    for first in range(0, len(squares), SQUARES_BLOCK):
        if again or not work.store.has_square(first):
            work.store.write_squares(first, squares[first : first + SQUARES_BLOCK])
    if shown:
        work.store.write_note(SHOWN, list(shown))


def read_again(work: Work, images: Sequence[int], size: Size) -> dict[int, Picture]:
    """Sample images from their files, at a size: what the cache keeps of them shows some channels.

    Raises:
        InputError: one of them has changed or vanished.
    """
    items = {item.name: item for item in work.images.items}
    indices, samples = sorted(set(images)), work.store.read_samples().samples
    wanted = replace(work.images, items=tuple(items[samples[one].name] for one in indices))
    found = {}
    for index, loaded in zip(indices, load(wanted, size, size), strict=True):
        if not isinstance(loaded, Loaded):
            raise InputError(f"{loaded.name}: {loaded.reason}")
        found[index] = loaded.pixels
    return found


def seen_pictures(work: Work, images: Sequence[int], size: Size) -> list[Picture]:
    """Sample images at a size, with all channels: colours from the cache, others from the files."""
    if work.images.bands.many:
        found = read_again(work, images, size)
        return [found[image] for image in images]
    return [fit(decode_square(work.store.sample(image)), size) for image in images]


def say_how(work: Work, network: Network) -> None:
    """Say what a network needs, and with -v which shortcuts it does not take."""
    if network.needs:
        work.progress.warn(network.needs)
    if network.fallback and work.config.verbose:
        work.progress.say(f"slower, so that the answers are the network's own: {network.fallback}")


def usable_images(work: Work, seen: "Seen", observed: Observed) -> list[int]:
    """The images that count, by their place in the pass; names those that do not.

    Where an earlier pass over other layers has decided, it stays decided.

    Raises:
        InputError: with --strict, for the first that does not.
    """
    if work.store.has("samples"):
        known = {(one.name, one.sha256) for one in work.store.read_samples().samples}
        return [i for i, one in enumerate(seen.samples) if (one.name, one.sha256) in known]
    for image, reason in sorted(observed.unusable.items()):
        name = seen.samples[image].name
        if work.config.strict:
            raise InputError(f"{name}: {reason} (--strict stops at the first)")
        work.progress.warn(f"left out {name}: {reason}")
        seen.skipped.append(SkippedFile(name=name, reason=reason))
    return [i for i in range(len(seen.samples)) if i not in observed.unusable]


def keep_readout(work: Work) -> None:
    """Note which channels raise which class, where the classifier reads the means of a layer."""
    table = work.store.read_network()[1]
    layer, classes = readout_layer(table), class_layer(table)
    if layer and classes and not work.store.has_readout():
        means, scores = (work.store.read_stats(one.name) for one in (layer, classes))
        outputs = work.store.read_network()[0].outputs
        readout = read_readout(work.model().network, means, scores, outputs)
        if readout is not None:
            work.store.write_readout(readout)


class Seen:
    """Record of the images that passed."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.skipped: list[SkippedFile] = []
        self.squares: list[bytes] = []
        self.hf: list[float] = []

    def keep(self, kept: Sequence[int]) -> None:
        """Forget all images but these, and number them anew."""
        self.samples = [replace(self.samples[old], index=new) for new, old in enumerate(kept)]
        self.squares = [self.squares[old] for old in kept]
        self.hf = [self.hf[old] for old in kept]

    def sample_set(self, images: ImageSet) -> SampleSet:
        """The sample set of the pass."""
        quantiles = np.percentile(np.array(self.hf), (50, 5, 95))
        return SampleSet(
            title=images.title,
            sha256=images.sha256,
            samples=tuple(self.samples),
            skipped=(*images.skipped, *self.skipped),
            hf_median=float(quantiles[0]),
            hf_p05=float(quantiles[1]),
            hf_p95=float(quantiles[2]),
            credits=images.credits,
            crop=images.crop,
        )


def square_shape(size: Shape) -> Shape:
    """Height and width of the kept squares, for an input of `size`."""
    return round(VIEW_SHARE * size[0]), round(VIEW_SHARE * size[1])


def read_images(work: Work, size: Shape, seen: Seen) -> Iterator[Picture]:
    """Decode the set in order; files that cannot be used are named, counted and left out.

    Raises:
        InputError: no image could be read, or with --strict at the first that could not.
    """
    for item in load(work.images, size, square_shape(size)):
        if isinstance(item, Loaded):
            seen.samples.append(item.sample)
            seen.squares.append(item.square)
            seen.hf.append(float(high_frequency(item.pixels[None])[0]))
            yield item.pixels
            continue
        if work.config.strict:
            raise InputError(f"{item.name}: {item.reason} (--strict stops at the first)")
        work.progress.warn(f"skipped {item.name}: {item.reason}")
        seen.skipped.append(item)
