"""A synthetic atlas of any size: plausible layers, colourful pictures, no network.

`make_atlas` gives the records and `SyntheticPictures` the pixels. Everything is drawn from the
unit's name, so a unit looks the same in an atlas of ten units and in one of seven thousand.
"""

import zlib
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from math import nan
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from atlas.gallery.parts import Part, part_of
from atlas.ranking.stimuli import make_stimuli
from atlas.ranking.tuning import analyse
from atlas.records.atlas import LayerAtlas, ModelAtlas, RunInfo
from atlas.records.attribution import NO_MASKS, UnitMasks
from atlas.records.circuits import NO_KERNEL, Circuit, Kind, Link
from atlas.records.evidence import NOWHERE, LayerEvidence, Place
from atlas.records.lens import FeatureMaps, FoolingImage, Lens, Prediction
from atlas.records.maps import LayerMap, MapCell
from atlas.records.meanings import Meanings
from atlas.records.network import CLASSES, LayerInfo, ModelInfo
from atlas.records.samples import Sample, SampleSet, SkippedFile
from atlas.records.statistics import LayerStats, Readout
from atlas.records.tuning import Responses
from atlas.records.units import CHANGES, Rendering, Scores, Unit

INPUT = 224
KINDS = ("ok", "ok", "ok", "ok", "ok", "ok", "weak", "ok", "dead", "ok", "ok", "unrendered")
BLOCKS = (1, 2, 2, 3, 3, 4, 1)
"""Blocks of each stage, as in EfficientNet-Lite0."""


def generator(*words: object) -> np.random.Generator:
    """A generator that depends on the words only."""
    return np.random.default_rng(zlib.crc32(" ".join(map(str, words)).encode("utf-8", "replace")))


def texture(random: np.random.Generator, size: int, smoothness: float) -> NDArray[np.float32]:
    """A colourful texture (size, size, 3) in [0, 1] with the spectrum of a photograph."""
    rows, columns = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]
    frequency = np.maximum(np.hypot(rows, columns), 1 / size)
    angle = random.uniform(0, np.pi)
    along = np.abs(columns * np.cos(angle) + rows * np.sin(angle))
    centre = 0.5 / (2 + 12 * smoothness)
    band = np.exp(-(((frequency - centre) / (0.3 * centre)) ** 2))
    noise = random.standard_normal((3, *frequency.shape, 2)) @ (1, 1j)
    spectrum = band * (0.2 + np.exp(-((along / centre) ** 2 * 4))) * 30 + frequency**-1.0 * 0.05
    planes = np.fft.irfft2(noise * spectrum, (size, size))
    planes = planes / planes.std(axis=(1, 2), keepdims=True)
    mix = random.standard_normal((3, 3)) * 0.5 + np.ones((3, 3)) * 0.6
    return (1 / (1 + np.exp(-np.einsum("cd,dhw->hwc", mix, planes)))).astype(np.float32)


def layer_names(count: int) -> list[tuple[str, str]]:
    """Name and type of so many layers: a stem, then stages of blocks."""
    blocks = [
        (f"blocks.{stage}.{block}", "InvertedResidual" if block else "DepthwiseSeparableConv")
        for stage in range(40)
        for block in range(BLOCKS[stage % len(BLOCKS)])
    ]
    return [("conv_stem", "Conv2dSame"), *blocks][:count]


def layer_info(name: str, kind: str, index: int, count: int, channels: int) -> LayerInfo:
    """A row of the layer table; positions shrink and receptive fields grow with depth."""
    halvings = 1 + index * 5 // max(1, count)
    return LayerInfo(
        name=name,
        index=index,
        type=kind,
        channels=channels,
        height=max(1, INPUT >> halvings),
        width=max(1, INPUT >> halvings),
        receptive_field=min(2 ** (halvings + 2) - 1, 900),
        stride=2**halvings,
        multiply_adds=1_000_000 * (index + 1),
        groups=("blocks", "all"),
    )


def layer_stats(info: LayerInfo, images: int) -> LayerStats:
    """Statistics of a layer over so many images; patches are as large as the receptive field."""
    random, channels = generator("stats", info.name), info.channels
    values = random.gamma(1.2, 0.5, (images, channels)).astype(np.float32)
    best = np.argsort(-values, axis=0, kind="stable")[:9].T  # (C, K)
    kept = best.shape[1]
    side = min(max(info.receptive_field, 12), INPUT)
    corner = random.integers(0, INPUT - side + 1, (channels, kept, 2))
    found = np.full((channels, 9), -1, np.int32)
    found[:, :kept] = best
    box = np.zeros((channels, 9, 4), np.int32)
    box[:, :kept] = np.concatenate([corner, corner + side], axis=2)
    peak = np.zeros((channels, 9), np.float32)
    peak[:, :kept] = np.take_along_axis(values, best.T, axis=0).T * 3
    offsets = np.arange(1, 6, dtype=np.int32)
    near = (np.arange(channels, dtype=np.int32)[:, None] + offsets) % channels
    return LayerStats(
        layer=info.name,
        activations=values.astype(np.float16),
        deviations=(values / 2).astype(np.float16),
        peaks=(values * 3).astype(np.float16),
        places=random.integers(0, info.height * info.width, values.shape).astype(np.uint16),
        rows=np.arange(images, dtype=np.int32),
        scale=np.ones(channels, np.float32),
        mean=values.mean(axis=0),
        std=values.std(axis=0),
        max=values.max(axis=0),
        p99=np.percentile(values, 99, axis=0).astype(np.float32),
        active=np.clip(values.mean(axis=0), 0, 1),
        finite=np.ones(channels, np.bool_),
        example_image=found,
        example_activation=peak,
        example_box=box,
        neighbours=np.where(offsets < channels, near, -1).astype(np.int32),
        correlation=np.broadcast_to((0.9 - 0.1 * offsets).astype(np.float32), near.shape).copy(),
    )


def rendering(unit: Unit, recipe: str, kind: str, pixels: NDArray[np.float16]) -> Rendering:
    """The record of a rendering; a dead one has no scores that mean anything."""
    random = generator(unit, recipe)
    reach = {"ok": random.gamma(4, 0.7) + 1, "weak": random.uniform(0.1, 0.9)}.get(kind, 0.0)
    dead = kind == "dead"
    curve = np.log1p(np.arange(64)) * (0.02 if dead else reach) + random.normal(0, 0.05, 64)
    return Rendering(
        unit=unit,
        recipe=recipe,
        image=pixels,
        snapshots=np.zeros((0, 3, 0, 0), np.float16),
        status=kind,  # type: ignore[arg-type]
        reason={"weak": "REACH below 1 after 3 seeds", "dead": "no activation"}.get(kind, ""),
        scores=Scores(
            activation=float(reach * 2.5),
            reach=float(reach),
            select=0 if dead else int(1 + random.integers(0, 2) * random.integers(0, 4)),
            robust=nan if dead else float(random.uniform(0.6, 1)),
            hf=float(random.uniform(0.3, 2.5)),
            ranks=ranks_of(unit, recipe, dead),
            confidence=float(random.uniform(0.3, 1)) if unit.layer == CLASSES else nan,
        ),
        objective=curve.astype(np.float32),
        octave_steps=(128, 96, 32),
        seed=int(random.integers(0, 2**40)),
        start="example" if kind == "weak" else "noise",
        attempts=3 if kind == "weak" else 1,
        seconds=1.25,
        precision="fp32",
    )


def ranks_of(unit: Unit, recipe: str, dead: bool) -> tuple[int, ...]:
    """Places under the eight changes, mostly the first; none was measured where it is dead."""
    random = generator("ranks", unit, recipe)
    return tuple(0 if dead else int(1 + max(0, random.integers(-4, 9))) for _ in range(CHANGES))


def status_of(unit: Unit) -> str:
    """Return the status of a unit: mostly ok, some weak, dead or not rendered yet."""
    return KINDS[int(generator("status", unit).integers(len(KINDS)))]


def layer_atlas(
    info: LayerInfo,
    images: int,
    units: int,
    recipes: tuple[str, ...],
    plain: bool,
    reference: int,
) -> LayerAtlas:
    """A layer with its first `units` by mean activation; `plain` makes all of them ok."""
    stats = layer_stats(info, images)
    ranking = np.argsort(-stats.mean, kind="stable").astype(np.int32)
    chosen = tuple(int(channel) for channel in ranking[:units])
    nothing = np.zeros((3, 0, 0), np.float16)
    made = []
    for channel in chosen:
        unit = Unit(layer=info.name, channel=channel)
        kind = "ok" if plain else status_of(unit)
        if kind != "unrendered":
            made += [rendering(unit, recipe, kind, nothing) for recipe in recipes]
    return LayerAtlas(
        info=info,
        stats=stats,
        natural=layer_stats(info, reference) if reference else stats,
        ranking=ranking,
        chosen=chosen,
        renderings=tuple(made),
    )


def class_layer(
    count: int, names: int, images: int, recipes: tuple[str, ...], plain: bool
) -> LayerAtlas:
    """The classifier's output, the first `count` classes chosen; scores far enough apart to tell.

    Args:
        count: classes to show.
        names: of classes that there are; 0 for twice as many as are shown.
        images, recipes, plain: as for a layer.
    """
    info = replace(
        layer_info(CLASSES, "Linear", 99, 99, names or 2 * count),
        **{"height": 1, "width": 1, "receptive_field": 0, "stride": 0, "groups": ("classes",)},
    )
    made = layer_atlas(info, images, count, recipes, plain, 0)
    stats = made.stats
    wide = {name: getattr(stats, name) * np.float32(5) for name in ("mean", "std", "max", "p99")}
    box = np.broadcast_to(np.array([0, 0, INPUT, INPUT], np.int32), stats.example_box.shape)
    stats = replace(stats, scale=stats.scale * np.float32(5), example_box=box.copy(), **wide)
    return replace(made, stats=stats, natural=stats)


def readout(layer: LayerAtlas, classes: int) -> Readout:
    """Eight channels for each class, every other one of the first four ranks."""
    first, last = layer.ranking[:4], layer.ranking[len(layer.ranking) // 2 :]
    rows = []
    for one in range(classes):
        random = generator("votes", one)
        rows.append([*random.permutation(first), *random.permutation(last)[:4]])
    votes = np.sort(generator("contributions").gamma(2, 0.4, (classes, 8)))[:, ::-1]
    return Readout(
        layer=layer.info.name,
        channels=np.array(rows, np.int32)[:, [0, 4, 1, 5, 2, 6, 3, 7]],
        contributions=votes.astype(np.float32),
        images=np.arange(classes, dtype=np.int32) % 4,
    )


def make_atlas(
    *,
    name: str = "synthetic",
    layers: int = 6,
    units: int = 12,
    channels: int = 0,
    images: int = 24,
    recipes: tuple[str, ...] = ("octaves",),
    names: tuple[tuple[str, str], ...] = (),
    plain: bool = False,
    reference: int = 0,
    size: int = 224,
    title: str = "",
    class_names: tuple[str, ...] = (),
    sample_names: tuple[str, ...] = (),
    skipped: tuple[SkippedFile, ...] = (),
    classes: int = 0,
    class_recipes: tuple[str, ...] = ("octaves", "class"),
    credits: tuple[str, ...] = (),
    lenses: tuple[int, ...] = (),
) -> ModelAtlas:
    """An atlas of `layers` × `units`.

    Args:
        name, title: of the model.
        layers, units: how many, and how many units of each are chosen.
        channels: of each layer; 0 for twice the units.
        images: sample images.
        recipes: the first is the default.
        names: name and type of each layer, instead of plausible ones.
        plain: every unit is ok and rendered.
        reference: images of a reference set of its own; 0 for none.
        size: side of the renderings.
        class_names, sample_names, skipped, class_recipes, credits, lenses: as in the records.
        classes: how many to show; their voters are channels of the last layer, which has eight or
            more.
    """
    rows = list(names) or layer_names(layers)
    wide = channels or 2 * units
    infos = [
        layer_info(layer, kind, index, len(rows), wide) for index, (layer, kind) in enumerate(rows)
    ]
    samples = tuple(
        Sample(
            index=index,
            name=sample_names[index] if index < len(sample_names) else f"photo_{index:03d}.jpg",
            sha256=f"{index:064x}",
            box=(0, 0, 288, 288),
        )
        for index in range(images)
    )
    sample_set = SampleSet(
        title="generated textures",
        sha256="c3" * 32,
        samples=samples,
        skipped=skipped,
        hf_median=0.02,
        hf_p05=0.005,
        hf_p95=0.09,
        credits=credits,
    )
    reference_set = replace(
        sample_set,
        title="reference photographs",
        sha256="d4" * 32,
        samples=tuple(
            replace(samples[0], index=at, sha256=f"{at:064x}") for at in range(reference)
        ),
        skipped=(),
    )
    made = tuple(layer_atlas(info, images, units, recipes, plain, reference) for info in infos)
    scores = (
        class_layer(classes, len(class_names), images, class_recipes, plain) if classes else None
    )
    digests = {recipe: f"{place:02x}" * 32 for place, recipe in enumerate(recipes, 1)}
    more = {recipe: f"{place:02x}" * 32 for place, recipe in enumerate(class_recipes, 0xC1)}
    return ModelAtlas(
        model=ModelInfo(
            name=name,
            title=title or name.capitalize(),
            source="drawn at random for tests",
            weights_sha256="5a" * 32,
            licence="CC0-1.0",
            parameters=4_652_008,
            input_size=INPUT,
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
            class_names=class_names,
        ),
        samples=sample_set,
        natural=reference_set if reference else sample_set,
        layers=made,
        classes=scores,
        class_recipes=class_recipes if classes else (),
        class_recipe_digests=tuple((more | digests)[one] for one in class_recipes)
        if classes
        else (),
        readout=readout(made[-1], scores.info.channels) if scores else None,
        lenses=lenses,
        recipes=recipes,
        recipe_digests=tuple(digests.values()),
        rank="mean",
        size=size,
        seed=0,
        key="0123456789abcdef",
        run=RunInfo(
            versions=(("cnn-atlas", "0.1"), ("Python", "3.11.7"), ("torch", "2.14.0")),
            device="cpu (synthetic)",
            command=f"python build_atlas.py build --model {name}",
            created="2026-01-31T12:00:00Z",
        ),
    )


def tuned(atlas: ModelAtlas) -> ModelAtlas:
    """The atlas with the tuning of all layers: each channel answers to stripes around an angle."""
    stimuli = make_stimuli(atlas.model.shape, atlas.model.channels)

    def of_layer(layer: LayerAtlas) -> LayerAtlas:
        random, channels = generator("tuning", layer.info.name), layer.info.channels
        angle, best = random.uniform(0, np.pi, channels), random.uniform(-4, -1, channels)
        means = random.gamma(1, 0.1, (len(stimuli), channels))
        for row, one in enumerate(stimuli):
            if one.kind == "grating":
                near = np.cos(np.radians(one.orientation) - angle) ** 4
                means[row] += near * np.exp(-((np.log(one.frequency) - best) ** 2))
            elif one.kind == "hue":
                means[row] += np.cos(np.radians(one.hue) - 2 * angle).clip(0)
        responses = Responses(
            layer=layer.info.name,
            means=means.astype(np.float16),
            deviations=np.zeros(means.shape, np.float16),
            scale=np.ones(channels, np.float32),
        )
        return replace(layer, tuning=analyse(responses, stimuli, atlas.model.shape))

    return replace(atlas, layers=tuple(map(of_layer, atlas.layers)), stimuli=stimuli)


def judged(atlas: ModelAtlas) -> ModelAtlas:
    """The atlas as an observer judges it, which knows pictures by `company` best.

    The last chosen unit of a layer has no place: it never varies on the judging images.
    """
    classes = judged_layer(atlas.classes, atlas.class_recipes) if atlas.classes else None
    layers = tuple(judged_layer(layer, atlas.recipes) for layer in atlas.layers)
    return replace(atlas, layers=layers, classes=classes)


def judged_layer(layer: LayerAtlas, recipes: tuple[str, ...]) -> LayerAtlas:
    """A layer with the places of its units, drawn at random."""
    live, nowhere = layer.info.channels - 1, layer.chosen[-1]
    made = {(one.recipe, one.unit.channel) for one in layer.renderings}

    def place(channel: int, kind: str, last: int) -> Place:
        random = generator("place", layer.info.name, channel, kind)
        ident = int(random.integers(1, last + 1))
        return NOWHERE if channel == nowhere else Place(ident=ident, predict=1 / (1 + ident))

    pictures = {
        recipe: {
            channel: place(channel, recipe, live // 8 + 1 if recipe == "company" else live)
            for channel in layer.chosen
            if (recipe, channel) in made
        }
        for recipe in recipes
    }
    evidence = LayerEvidence(
        observer="Onlooker",
        judges=70,
        live=live,
        pictures={recipe: places for recipe, places in pictures.items() if places},
        photographs={channel: place(channel, "nine", live // 8 + 1) for channel in layer.chosen},
        swapped=dict.fromkeys(recipes, 0.5),
    )
    order = tuple(sorted(recipes, key=lambda recipe: recipe != "company"))
    return replace(layer, evidence=evidence, recipes=order)


@dataclass(frozen=True)
class SyntheticPictures:
    """Pixels of a synthetic atlas.

    Attributes:
        atlas: whose pictures.
        octaves: snapshots that each rendering keeps.
        variety: so many different pictures in all; large atlases reuse them.
        side: of the sample images.
    """

    atlas: ModelAtlas
    octaves: int = 0
    variety: int = 10**9
    side: int = 288

    @cached_property
    def records(self) -> dict[tuple[Unit, str], Rendering]:
        """Every rendering's record."""
        return {
            (rendering.unit, rendering.recipe): rendering
            for layer in self.layers
            for rendering in (*layer.renderings, *layer.meaning_pictures)
        }

    @property
    def layers(self) -> tuple[LayerAtlas, ...]:
        """The layers, and the class scores after them."""
        return (*self.atlas.layers, *filter(None, [self.atlas.classes]))

    @cached_property
    def depths(self) -> dict[str, int]:
        """Position of each layer."""
        return {layer.info.name: place for place, layer in enumerate(self.layers)}

    def rendering(self, unit: Unit, recipe: str) -> Rendering:
        """The rendering of a unit with its pixels."""
        record = self.records[unit, recipe]
        depth = self.depths[unit.layer]
        smooth = 0.6 + 1.1 * depth / max(1, len(self.atlas.layers))
        smooth = smooth if self.variety > 1000 else 1.1
        which = zlib.crc32(f"{unit} {recipe}".encode("utf-8", "replace")) % self.variety
        pixels = pixels_of(which, self.atlas.size, smooth, record.status == "dead")
        step = pixels[:, ::4, ::4]
        snapshots = np.stack([step] * self.octaves) if self.octaves else record.snapshots
        return rendering_with(record, pixels, snapshots)

    def sample(self, index: int) -> bytes:
        """The square of a sample image."""
        return square_of(index, self.side)

    def map_picture(self, layer: str, cell: int) -> NDArray[np.float16]:
        """The picture of a cell of a map."""
        which = zlib.crc32(f"{layer} cell {cell}".encode()) % self.variety
        return pixels_of(which, self.atlas.size, 1.5, False)

    def masks(self, unit: Unit) -> UnitMasks:
        """The masks of a unit: discs, each somewhere else in its patch."""
        (known,) = (one.masks[unit.channel] for one in self.layers if one.info.name == unit.layer)
        examples = int(np.isfinite(known.patch).sum())
        return replace(known, masks=discs(unit, examples))

    def lens(self, image: int) -> Lens:
        """Return a lens record of a sample image; without class names it has no classifier."""
        classes = len(self.atlas.model.class_names)
        maps = tuple(feature_maps(layer.info, image) for layer in self.atlas.layers)
        empty = np.zeros((0, 0), np.float16)
        if not classes:
            return Lens(
                image=image,
                predictions=(),
                saliency=empty,
                smoothgrad=empty,
                fooling=None,
                maps=maps,
            )
        seen = predictions(classes, "seen", image)
        return Lens(
            image=image,
            predictions=seen,
            saliency=saliency(image, 0.2),
            smoothgrad=saliency(image, 1.2),
            fooling=fooling_image(self.sample(image), image, classes, seen),
            maps=maps,
        )


def discs(unit: Unit, count: int) -> NDArray[np.uint8]:
    """Masks (count, 112, 112) of a unit."""
    random = generator("masks", unit)
    rows, columns = np.mgrid[:112, :112]
    centres = random.uniform(20, 92, (count, 2, 1, 1))
    squares = (rows - centres[:, 0]) ** 2 + (columns - centres[:, 1]) ** 2
    return np.rint(255 * np.exp(-squares / 600)).astype(np.uint8)


def masked(atlas: ModelAtlas) -> ModelAtlas:
    """The atlas with masks of every chosen unit, PATCH around .7 and KEEP around .5."""

    def of_layer(layer: LayerAtlas) -> LayerAtlas:
        found = {}
        for channel in layer.chosen:
            random = generator("kept", layer.info.name, channel)
            shares = random.uniform(0.3, 0.9, (2, 9)).astype(np.float32)
            shares[:, layer.stats.example_image[channel] < 0] = nan
            found[channel] = UnitMasks(
                channel=channel, patch=shares[0], keep=shares[1] / 2, masks=NO_MASKS
            )
        return replace(layer, masks=found)

    return replace(atlas, layers=tuple(map(of_layer, atlas.layers)))


def wired(atlas: ModelAtlas) -> ModelAtlas:
    """The atlas with circuits of every chosen unit; the first layer is fed by the image alone.

    The last channel of every layer is fed by one with a kernel of 3 × 3 weights.
    """
    names = [layer.info.name for layer in atlas.layers]

    def of_layer(layer: LayerAtlas) -> LayerAtlas:
        place = names.index(layer.info.name)
        found = {}
        for channel in layer.chosen:
            links: dict[Kind, tuple[Link, ...]] = {
                "fed_by": links_of(names[place - 1], channel) if place else (),
                "feeds": links_of(names[place + 1], channel) if place + 1 < len(names) else (),
                "classes": links_of(CLASSES, channel) if atlas.model.class_names else (),
            }
            reasons: dict[Kind, str] = {
                kind: "nothing to see" for kind, some in links.items() if not some
            }
            found[channel] = Circuit(
                channel=channel,
                images=(0, 2),
                activation=3.0,
                error=0.0 if place else nan,
                links=links,
                reasons=reasons,
            )
        return replace(layer, circuits=found)

    return replace(atlas, layers=tuple(map(of_layer, atlas.layers)))


def mapped(atlas: ModelAtlas) -> ModelAtlas:
    """The atlas with a map of its second layer, 3 × 4, the second cell empty, and with meanings.

    Of every second unit of that layer there are two, the first of them without a picture.
    """
    first, layer, *others = atlas.layers
    classes, images = len(atlas.model.class_names), len(atlas.samples.samples)

    def cell(number: int) -> MapCell:
        random = generator("cell", number)
        agreement = random.uniform(-1, 1, 12).astype(np.float32)
        agreement[1] = nan
        return MapCell(
            cell=number,
            count=5 + number,
            direction=random.normal(size=layer.stats.channels).astype(np.float32),
            images=tuple(range(min(9, images))),
            boxes=np.tile(np.array([[16, 32, 128, 144]], np.int32), (min(9, images), 1)),
            classes=(number % classes, 0) if classes and number % classes else (),
            contributions=(0.5, 0.25) if classes and number % classes else (),
            agreement=agreement,
            image=np.zeros((3, 0, 0), np.float16),
        )

    cells = [cell(number) for number in range(12) if number != 1]
    found = LayerMap(rows=3, columns=4, positions=1234, total=11, cells=cells)
    half = images // 2
    meanings = {
        channel: Meanings(
            channel=channel,
            images=tuple(range(images)),
            groups=tuple(int(at >= half and place % 2 == 0) for at in range(images)),
            chance=0.004 if place % 2 == 0 else 0.4,
        )
        for place, channel in enumerate(layer.chosen)
    }
    records = {one.unit.channel: one for one in layer.renderings if one.status == "ok"}
    made = tuple(
        replace(records[channel], recipe="company-meaning-2")
        for channel, one in meanings.items()
        if one.count > 1 and channel in records
    )
    known = replace(layer, map=found, meanings=meanings, meaning_pictures=made)
    return replace(atlas, layers=(first, known, *others))


def links_of(layer: str, channel: int) -> tuple[Link, ...]:
    """Ten links, five that raise and five that lower, the first three of each checked."""
    random = generator("links", layer, channel)
    kernel = random.normal(size=(3, 3)).astype(np.float32)
    sizes = [5.0, 4.0, 3.0, 2.0, 1.0, -1.0, -2.0, -3.0, -4.0, -5.0]
    return tuple(
        Link(
            layer=layer,
            channel=other,
            effect=size,
            change=nan if abs(size) < 3 else size + float(random.normal(0, 0.1)),
            product=nan if layer == CLASSES else 2 * size,
            kernel=kernel if abs(size) == 5 else NO_KERNEL,
        )
        for other, size in enumerate(sizes)
    )


STUBBORN = 3
"""Every so manieth image, from this one on, cannot be turned into a fooling image."""


def predictions(classes: int, *words: object) -> tuple[Prediction, ...]:
    """The five most likely classes, or as many as there are."""
    random = generator("predictions", *words)
    found = random.permutation(classes)[:5].tolist()
    shares = np.sort(random.dirichlet(np.full(classes + 1, 0.4)))[::-1].tolist()
    return tuple(
        Prediction(index=index, probability=share)
        for index, share in zip(found, shares, strict=False)
    )


def saliency(image: int, smoothness: float) -> NDArray[np.float16]:
    """A heat map (INPUT, INPUT) in [0, 1], brighter towards one place."""
    random = generator("saliency", image, smoothness)
    rows, columns = np.mgrid[:INPUT, :INPUT] / INPUT
    y, x = random.uniform(0.3, 0.7, 2)
    near = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) * 8)
    values = near * random.gamma(1, 1, (INPUT, INPUT))
    values = cv2.GaussianBlur(values, (0, 0), smoothness)
    return (values / values.max()).astype(np.float16)


def fooling_image(
    square: bytes, image: int, classes: int, seen: tuple[Prediction, ...]
) -> FoolingImage:
    """The square changed by at most three levels; every third image stays what it was."""
    decoded = cv2.imdecode(np.frombuffer(square, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    grows = decoded.shape[0] < INPUT
    method = cv2.INTER_CUBIC if grows else cv2.INTER_AREA
    original = cv2.resize(np.ascontiguousarray(decoded), (INPUT, INPUT), interpolation=method)
    noise = np.rint(generator("fooling", image).normal(0, 1.2, original.shape).clip(-3, 3))
    changed = np.clip(original + noise, 0, 255).astype(np.uint8)
    difference = (changed.astype(float) - original) / 255
    target = (seen[0].index + 1) % classes
    fooled = image % STUBBORN != STUBBORN - 1
    return FoolingImage(
        image=changed,
        target=target,
        fooled=fooled,
        steps=12 if fooled else 100,
        l2=float(np.sqrt((difference**2).sum())),
        linf=float(np.abs(difference).max()),
        predictions=(Prediction(index=target, probability=0.875), *seen[:4]) if fooled else seen,
    )


def feature_maps(info: LayerInfo, image: int) -> FeatureMaps:
    """The eight most active channels of a layer; every other layer has values below zero."""
    random = generator("maps", info.name, image)
    count, side = min(8, info.channels), min(info.height, 112)
    channels = np.argsort(-layer_stats(info, image + 1).activations[image], kind="stable")[:count]
    noise = random.standard_normal((count, side, side)).astype(np.float32)
    maps = np.stack([cv2.GaussianBlur(one, (0, 0), max(0.5, side / 16)) for one in noise])
    maps = maps - maps.min() if info.index % 2 == 0 else maps
    peaks = np.abs(maps).max((1, 2)).clip(1e-6)
    return FeatureMaps(
        layer=info.name,
        channels=channels.astype(np.int32),
        means=maps.mean((1, 2)),
        peaks=peaks,
        maps=(maps / peaks[:, None, None]).astype(np.float16),
    )


def rendering_with(
    record: Rendering, pixels: NDArray[np.float16], snapshots: NDArray[np.float16]
) -> Rendering:
    """A record with its pixels."""
    return replace(record, image=pixels, snapshots=snapshots)


@lru_cache(maxsize=256)
def pixels_of(which: int, size: int, smooth: float, dead: bool) -> NDArray[np.float16]:
    """The pixels (3, size, size) of a rendering; a dead one stays grey."""
    random = generator("picture", which)
    image = texture(random, size, smooth) if not dead else np.full((size, size, 3), 0.5)
    return np.ascontiguousarray(image.transpose(2, 0, 1)).astype(np.float16)


@lru_cache(maxsize=1024)
def square_of(index: int, side: int) -> bytes:
    """A sample image: a smooth landscape with some discs in it."""
    random = generator("view", index)
    image = np.ascontiguousarray((texture(random, side, 1.7) * 255).astype(np.uint8))
    for _ in range(6):
        centre = tuple(int(value) for value in random.integers(0, side, 2))
        colour = tuple(int(value) for value in random.integers(0, 255, 3))
        cv2.circle(image, centre, int(random.integers(6, side // 4)), colour, -1, cv2.LINE_AA)
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])
    assert done
    return data.tobytes()


def parted(atlas: ModelAtlas, site: Path, number: int, count: int) -> Part:
    """The part of an atlas that a site shows."""
    layers = [*atlas.layers, *([atlas.classes] if atlas.classes else [])]
    units = {layer.info.name: len(layer.chosen) for layer in layers}
    return part_of(site, number, count, units)
