"""The stage images → lenses: what the network makes of the sample images that get a page."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from . import tuning
from .classes import find_classes, varied_samples
from .config import fingerprint
from .files import require_free
from .imagetensors import decode_view, fit
from .layers import class_layer
from .lenses import look
from .network import Network
from .records import CLASSES, LayerInfo
from .work import Work, target_words

LENSES_VERSION = 1
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
    return fingerprint(
        {
            "lenses": LENSES_VERSION,
            "layers": [layer.name for layer in maps_of(layers)],
            "target": work.config.target,
            "seed": work.config.seed,
        }
    )


def maps_of(layers: Sequence[LayerInfo]) -> list[LayerInfo]:
    """The layers that have maps to show."""
    return [layer for layer in layers if layer.name != CLASSES]


def look_at_images(work: Work, layers: Sequence[LayerInfo]) -> None:
    """Look at every image that gets a page and is not in the cache, block by block."""
    chosen, mark = lens_images(work), lens_fingerprint(work, layers)
    if len(chosen) < work.config.lenses:
        work.progress.say(f"{len(chosen)} sample images, so {len(chosen)} image pages")
    done = work.store.finished_lenses(mark)
    blocks = [chosen[first : first + BLOCK_IMAGES] for first in range(0, len(chosen), BLOCK_IMAGES)]
    part, parts = work.config.shard
    ours = blocks[part - 1 :: parts]
    todo = [[image for image in block if image not in done] for block in ours]
    if not any(todo):
        return
    require_free(work.store.folder, sum(map(len, todo)) * IMAGE_BYTES)
    names = [layer.name for layer in maps_of(layers)]
    scores = class_layer(work.store.read_network()[1])
    taps = [*names, scores.name] if scores else names
    network = Network(work.model(), taps, tuning.choose_device(work.config.device))
    with work.progress.lenses(sum(map(len, todo))) as looked:
        for images in filter(None, todo):
            pictures = {image: seen_picture(work, image) for image in images}
            classes = scores.channels if scores else 0
            found = look(network, pictures, names, classes, target(work, classes), work.config.seed)
            work.store.write_lenses(images[0], images[-1], mark, found)
            looked(len(images))


def seen_picture(work: Work, image: int) -> NDArray[np.uint8]:
    """(S, S, 3) the sample image at the side of the network's input, from the cache."""
    return fit(decode_view(work.store.sample(image)), work.store.read_network()[0].input_size)


def target(work: Work, classes: int) -> int | None:
    """The class that --target means; None for the least likely of a fixed list."""
    words, names = target_words(work), work.store.read_network()[0].class_names
    return find_classes("--target", words, names, classes)[0] if words and classes else None
