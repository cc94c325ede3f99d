"""The stage images → lenses: what the network makes of the sample images that get a page."""

from collections.abc import Mapping, Sequence

from ..errors import CacheError, InputError, one_line
from ..files.digests import fingerprint
from ..files.files import require_free
from ..files.names import shown
from ..lenses.look import look
from ..models.selection import class_layer
from ..network import tuning
from ..network.network import Network
from ..ranking.classes import find_classes, varied_samples
from ..records.lens import Lens
from ..records.network import CLASSES, LayerInfo
from ..shapes import Picture, Shape
from ..workers.forks import forked
from ..workers.local import how_many_work
from .rank import read_again
from .run import Work, target_words

LENSES_VERSION = 2
"""Raised whenever the same settings would give other lenses."""

BLOCK_IMAGES = 8
"""Images committed together: half a minute on two cores."""

IMAGE_BYTES = 1_500_000
"""Room that the lenses of one image take, about."""


def lens_images(work: Work) -> tuple[int, ...]:
    """The sample images that get a page, as many of --lenses as there are."""
    return varied_samples(work.store.read_samples().samples, work.config.lenses)


def lens_fingerprint(work: Work, layers: Sequence[LayerInfo]) -> str:
    """Identifies what decides the lenses beside the key."""
    marks = [work.store.dictionary_mark(layer.name) for layer in layers if layer.parent]
    return fingerprint(
        {
            "lenses": LENSES_VERSION,
            "layers": [layer.name for layer in maps_of(layers)] + marks,
            "target": target_mark(work),
            "seed": work.config.seed,
        }
    )


def maps_of(layers: Sequence[LayerInfo]) -> list[LayerInfo]:
    """The layers that have maps to show."""
    return [layer for layer in layers if layer.name != CLASSES]


def look_at_images(work: Work, layers: Sequence[LayerInfo]) -> int:
    """Look at every image that gets a page and is not in the cache.

    Whatever goes wrong with it, the renderings are there and get their pages.

    Returns:
        How many images could not be looked at; they have no page, and are tried again next time.

    Raises:
        CacheError: the cache cannot be written.
    """
    try:
        return look_at_missing(work, layers)
    except CacheError:
        raise
    except Exception as error:
        if work.config.strict:
            raise
        work.progress.warn(f"there are no new image pages: {one_line(error)}")
        return 1


def look_at_missing(work: Work, layers: Sequence[LayerInfo]) -> int:
    """The same, block by block, for those that the cache does not hold."""
    chosen, mark = lens_images(work), lens_fingerprint(work, layers)
    if len(chosen) < work.config.lenses:
        work.progress.say(f"{len(chosen)} sample images, so {len(chosen)} image pages")
    done = work.store.finished_lenses(mark)
    blocks = [chosen[first : first + BLOCK_IMAGES] for first in range(0, len(chosen), BLOCK_IMAGES)]
    part, parts = work.config.shard
    ours = blocks[part - 1 :: parts]
    todo = [[image for image in block if image not in done] for block in ours]
    if not any(todo):
        return 0
    require_free(work.store.folder, sum(map(len, todo)) * IMAGE_BYTES)
    names = [layer.name for layer in maps_of(layers)]
    scores = class_layer(work.store.read_network()[1])
    taps = [*names, scores.name] if scores else names
    network = Network(work.model(), taps, tuning.choose_device(work.config.device))
    failed = 0

    def attempt(task: tuple[int, Picture]) -> list[Lens] | str:
        return look_at(work, network, *task, names)

    with (
        forked(attempt, how_many_work(work.config, network.device), work.progress.warn) as tried,
        work.progress.lenses(sum(map(len, todo))) as looked,
    ):
        for images in filter(None, todo):
            pictures = read_pictures(work, images, network.info.shape)
            seen = {image: lenses for (image, _), lenses in tried(pictures.items())}
            found = found_in(work, {image: seen[image] for image in pictures})
            if found:
                work.store.write_lenses(images[0], images[-1], mark, found)
            failed += len(images) - len(found)
            looked(len(images))
    return failed


def read_pictures(work: Work, images: Sequence[int], shape: Shape) -> dict[int, Picture]:
    """Images as the ranking saw them, from their files; names those that are there no more."""
    try:
        return read_again(work, images, shape)
    except InputError as error:
        if work.config.strict:
            raise
        if len(images) == 1:
            work.progress.warn(f"no page of image {error}")
            return {}
    found: dict[int, Picture] = {}
    for image in images:
        found |= read_pictures(work, [image], shape)
    return found


def found_in(work: Work, tried: Mapping[int, list[Lens] | str]) -> list[Lens]:
    """The lenses of images, in their order; a warning for each that could not be looked at."""
    found = []
    for image, lenses in tried.items():
        if isinstance(lenses, str):
            name = work.store.read_samples().samples[image].name
            work.progress.warn(f"no page of image {shown(name)}: {lenses}")
        else:
            found += lenses
    return found


def look_at(
    work: Work, network: Network, image: int, picture: Picture, layers: Sequence[str]
) -> list[Lens] | str:
    """Apply all lenses to one image; where that fails, why."""
    scores = class_layer(work.store.read_network()[1])
    classes = scores.channels if scores else 0
    try:
        seen, aim = {image: picture}, target(work, classes)
        return look(network, seen, layers, classes, aim, work.config.seed)
    except Exception as error:  # whatever it is, it is this image's; the others go on
        if work.config.strict:
            raise
        return one_line(error)


def target(work: Work, classes: int) -> int | None:
    """The class that --target means; None for the least likely of a fixed list."""
    words, names = target_words(work), work.class_names
    return find_classes("--target", words, names, classes)[0] if words and classes else None


def target_mark(work: Work) -> str:
    """Return the part of --target that decides the lenses: the class, under any of its names."""
    scores = class_layer(work.store.read_network()[1])
    number = target(work, scores.channels if scores else 0)
    return "auto" if number is None else str(number)
