"""Draw what a network makes of a sample image: values for its page, and pictures as bytes.

`draw_image` is the way in. Addresses are seen from the folder of the sample images.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ..images.bands import shown_picture
from ..images.pixels import THUMBNAIL, Pixels, encode, encode_exactly, fit
from ..ranking.classes import class_name
from ..records.atlas import ModelAtlas
from ..records.lens import FeatureMaps, FoolingImage, Lens, Prediction
from ..shapes import Shape
from . import addresses, heatmaps, sheets
from .draw_units import Files, shot
from .image_views import Excited, Fooled, Guess, Heat, ImageView, MapView, OnImage
from .views import LayerView, Shot

UNITS = 4
"""Units of each layer that an image's page shows."""


def draw_image(
    lens: Lens,
    sample: Pixels,
    atlas: ModelAtlas,
    layers: Sequence[LayerView],
    pages: Mapping[int, str],
    pool: Executor,
) -> tuple[ImageView, Files]:
    """Draw an image through all lenses.

    Args:
        lens: what the network makes of it.
        sample: its square, at the resolution of the cache.
        atlas, layers: the model.
        pages: class → its page.
        pool: draws the feature maps.
    """
    index = lens.image
    name_classes = partial(guesses, atlas.model.class_names, pages)
    saliency, files = draw_heat(addresses.image_file(index, "saliency.jpg"), lens.saliency)
    smooth, more = draw_heat(addresses.image_file(index, "smoothgrad.jpg"), lens.smoothgrad)
    fooled = None
    if lens.fooling:
        seen = name_classes(lens.fooling.predictions)
        fooled, fooling_files = draw_fooled(lens.fooling, index, sample, atlas, seen)
        files |= fooling_files
    on_layers, bands = draw_layers(layers, lens, atlas.model.shape, pool)
    view = ImageView(
        image=index,
        name=atlas.samples.samples[index].name,
        page=addresses.lens_page(index),
        whole=shot(addresses.image_file(index, "jpg"), sample),
        guesses=name_classes(lens.predictions),
        saliency=saliency,
        smoothgrad=smooth,
        fooled=fooled,
        layers=on_layers,
    )
    return view, files | more | bands


def guesses(
    names: Sequence[str], pages: Mapping[int, str], predictions: Sequence[Prediction]
) -> tuple[Guess, ...]:
    """Predictions with the names of their classes, and the pages of those that have one."""
    return tuple(
        Guess(
            index=one.index,
            name=class_name(names, one.index),
            probability=one.probability,
            page=pages.get(one.index, ""),
        )
        for one in predictions
    )


def draw_heat(file: str, values: NDArray[np.float16]) -> tuple[Heat | None, Files]:
    """Draw a heat map; None where there is none."""
    if not values.size:
        return None, {}
    pixels = heatmaps.heat(values)
    heat = Heat(shot=shot(file, pixels), ceiling=heatmaps.ceiling(values))
    return heat, {file: encode(pixels)}


def draw_fooled(
    fooling: FoolingImage, index: int, sample: Pixels, atlas: ModelAtlas, seen: tuple[Guess, ...]
) -> tuple[Fooled, Files]:
    """Draw a fooling image, the picture that it was made from, and what differs.

    Args:
        fooling: the fooling image.
        index, sample: of the sample image: which, and its square at the resolution of the cache.
        atlas: the model.
        seen: what the network takes the fooling image for.
    """
    changed = shown_picture(fooling.image, atlas.shown)
    start = shown_picture(fooling.original, atlas.shown) if fooling.original.size else sample
    original = fit(start, *changed.shape[:2])
    difference = heatmaps.difference(original, changed)
    names = [addresses.image_file(index, what) for what in ("png", "fooling.png", "difference.jpg")]
    fooled = Fooled(
        original=shot(names[0], original),
        changed=shot(names[1], changed),
        difference=shot(names[2], difference),
        target=fooling.target,
        target_name=class_name(atlas.model.class_names, fooling.target),
        succeeded=fooling.fooled,
        steps=fooling.steps,
        l2=fooling.l2,
        linf=fooling.linf,
        guesses=seen,
    )
    exact = (encode_exactly(original), encode_exactly(changed))
    return fooled, dict(zip(names, (*exact, encode(difference)), strict=True))


def draw_layers(
    layers: Sequence[LayerView], lens: Lens, shape: Shape, pool: Executor
) -> tuple[tuple[OnImage, ...], Files]:
    """Draw the feature maps of every layer, and find the units that the image excites most."""
    found = {maps.layer: maps for maps in lens.maps if len(maps.channels)}
    on_layers = tuple(
        on_image(
            layer,
            lens.image,
            found.get(layer.name),
            addresses.image_file(lens.image, f"maps-{place}.jpg"),
        )
        for place, layer in enumerate(layers, 1)
    )
    files = {on.band.file: found[on.layer.name].maps for on in on_layers if on.band}
    bands = pool.map(partial(draw_band, shape), files.values())
    return on_layers, dict(zip(files, bands, strict=True))


def draw_band(shape: Shape, maps: NDArray[np.float16]) -> bytes:
    """The feature maps of a layer over an image of this shape as one JPEG."""
    return encode(heatmaps.band(maps, shape), sheets.SMALL)


def on_image(layer: LayerView, image: int, maps: FeatureMaps | None, file: str) -> OnImage:
    """A layer on an image.

    Args:
        layer, image: which.
        maps: its feature maps; None where there are none.
        file: of their picture.
    """
    width = THUMBNAIL * addresses.TILES
    return OnImage(
        layer=layer,
        excited=most_excited(layer, image),
        maps=map_views(layer, maps) if maps else (),
        band=Shot(file=file, height=THUMBNAIL, width=width) if maps else None,
        signed=bool((maps.maps < 0).any()) if maps else False,
    )


def map_views(layer: LayerView, maps: FeatureMaps) -> tuple[MapView, ...]:
    """The channels of feature maps, as many as a picture of them shows."""
    units = {unit.channel: unit for unit in layer.units}
    rows = zip(maps.channels.tolist(), maps.means.tolist(), maps.peaks.tolist(), strict=True)
    return tuple(
        MapView(channel=channel, mean=mean, peak=peak, unit=units.get(channel))
        for channel, mean, peak in list(rows)[: addresses.TILES]
    )


def most_excited(layer: LayerView, image: int) -> tuple[Excited, ...]:
    """The units of this atlas that an image excites furthest above their mean, best first.

    Distances are in spreads over the natural images, because activations of two channels have
    nothing in common; ties go by rank, and a unit without any spread is left out.
    """
    stats, natural = layer.atlas.stats, layer.atlas.natural
    channels = np.array([unit.channel for unit in layer.units], int)
    values = stats.activations[image, channels].astype(np.float32) * stats.scale[channels]
    spread = natural.std[channels]
    above = (values - natural.mean[channels]) / np.where(spread > 0, spread, np.nan)
    above[~np.isfinite(above)] = np.nan
    order = np.argsort(-above, kind="stable")  # what is not a number comes last
    return tuple(
        Excited(unit=layer.units[at], activation=float(values[at]), spreads=float(above[at]))
        for at in order[:UNITS].tolist()
        if np.isfinite(above[at])
    )
