"""Pages of sample images: what a network makes of each, seen through all lenses.

`write_images` puts the pages, their pictures and their data into the model's tree. A lens is about
a megabyte, so one is read at a time; what is kept of it are numbers and addresses.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ...images.bands import shown_picture
from ...ranking.classes import class_name
from ...records import FeatureMaps, FoolingImage, Lens, Pictures, Prediction
from ...shapes import Shape
from .. import addresses, class_sentences, heatmaps, sheets
from .. import data as sitedata
from ..sheets import Pixels
from ..text import percent, plural, shown
from ..views import Excited, Fooled, Guess, Heat, ImageView, LayerView, MapView, OnImage, Shot
from .frame import Book, Way, ways

UNITS = 4
"""Units of each layer that an image's page shows."""

SCALE, SIGNED_SCALE = "scale.png", "scale-signed.png"
"""Colour bars of feature maps: from zero, and from as far below it as above."""


def write_images(book: Book, pictures: Pictures) -> tuple[ImageView, ...]:
    """Write the page of every sample image that has one, and the page that lists them.

    Args:
        book: the model.
        pictures: where the lenses are read from.

    Returns:
        What the pages show, by index of the sample image; () where no image has a page.
    """
    indices = book.atlas.lenses
    if not indices:
        return ()
    put_scales(book)
    images = []
    for place, index in enumerate(indices):
        view = draw_image(book, pictures, pictures.lens(index))
        write_image(book, view, ways(indices, place, image_link))
        images.append(view)
    write_list(book, images)
    return tuple(images)


def put_scales(book: Book) -> None:
    """Write the colour bars that all pages share."""
    put(book, SCALE, sheets.encode_exactly(heatmaps.bar(0)))
    put(book, SIGNED_SCALE, sheets.encode_exactly(heatmaps.bar(-1)))


def put(book: Book, file: str, data: bytes) -> None:
    """Take a file into the folder of the sample images."""
    book.tree.put(f"{addresses.IMAGES}/{file}", data)


# --- pages ---------------------------------------------------------------------------------------


def write_list(book: Book, images: Sequence[ImageView]) -> None:
    """Write the page that lists the images."""
    book.put(
        "images",
        f"{addresses.IMAGES}/index.html",
        title=f"Images · {book.title}",
        description=f"{plural(len(images), 'sample image')} and what {book.title} takes them for.",
        trail=(("Images", ""),),
        images=images,
    )


def image_link(image: int) -> tuple[str, str]:
    """Address and label of an image's page, seen from that of another image."""
    return addresses.lens_page(image), f"image {image}"


def write_image(book: Book, view: ImageView, around: Sequence[Way]) -> None:
    """Write an image's page and its data.

    Args:
        book: the model.
        view: what the page shows.
        around: links to the neighbouring images that have pages.
    """
    guess = f", taken for “{view.guesses[0].name}”" if view.guesses else ""
    book.put(
        "image",
        f"{addresses.IMAGES}/{view.page}",
        title=f"{view.name} (image {view.image}) · {book.title}",
        description=f"What {book.title} makes of sample image {view.image}, {view.name}{guess}: "
        "the units it excites, feature maps, saliency, a fooling image.",
        trail=(("Images", "index.html"), (view.name, "")),
        card=f"{addresses.IMAGES}/{view.whole.file}",
        view=view,
        ways=around,
        classified=view.saliency is not None,
        scale=Shot(file=SCALE, height=heatmaps.BAR[0], width=heatmaps.BAR[1]),
        signed_scale=Shot(file=SIGNED_SCALE, height=heatmaps.BAR[0], width=heatmaps.BAR[1]),
        ceiling=heatmaps.CEILING,
        contrast=heatmaps.CONTRAST,
        word=class_sentences.OUTPUTS.get(book.atlas.model.outputs, ""),
        outcome=outcome(view.fooled, book.atlas.shown) if view.fooled else "",
    )
    data = sitedata.image_page_json(book.atlas, view, book.provenance)
    put(book, addresses.image_file(view.image, "json"), sitedata.to_json(data))


def outcome(fooled: Fooled, channels: Sequence[int] = ()) -> str:
    """Say whether the saved picture fools the network.

    Args:
        fooled: the picture.
        channels: those that are shown, where they are not all; then the cache holds the picture.
    """
    file = "16-bit picture of all channels" if channels else "8-bit file"
    if fooled.succeeded and not fooled.steps:
        return (
            f"The network takes the untouched picture for “{shown(fooled.target_name)}” already, "
            "so there was nothing to change."
        )
    if fooled.succeeded:
        chance = next((g.probability for g in fooled.guesses if g.index == fooled.target), None)
        sure = "" if chance is None else f" with {percent(chance)}"
        return (
            f"It fools the network: read back from the saved {file}, the picture is taken for "
            f"“{shown(fooled.target_name)}”{sure}."
        )
    best = f"“{shown(fooled.guesses[0].name)}”" if fooled.guesses else "no class at all"
    return (
        f"It did not succeed: after {plural(fooled.steps, 'step')} the saved {file} "
        f"is taken for {best}, not for “{shown(fooled.target_name)}”."
    )


# --- what they show ------------------------------------------------------------------------------


def draw_image(book: Book, pictures: Pictures, lens: Lens) -> ImageView:
    """Write the pictures of an image and collect what its page shows."""
    index = lens.image
    pixels = sheets.decode(pictures.sample(index), f"sample image {index}")
    return ImageView(
        image=index,
        name=book.atlas.samples.samples[index].name,
        page=addresses.lens_page(index),
        whole=put_whole(book, pictures, index, pixels),
        guesses=guesses(book, lens.predictions),
        saliency=draw_heat(book, index, "saliency", lens.saliency),
        smoothgrad=draw_heat(book, index, "smoothgrad", lens.smoothgrad),
        fooled=draw_fooled(book, index, lens.fooling, pixels) if lens.fooling else None,
        layers=draw_layers(book, lens),
    )


def put_whole(book: Book, pictures: Pictures, index: int, pixels: Pixels) -> Shot:
    """Write the view of the whole image, unless a unit's page has brought it along."""
    if addresses.sample_image(index) not in book.tree.sizes:
        book.tree.put(addresses.sample_image(index), pictures.sample(index))
    height, width = pixels.shape[:2]
    return Shot(file=addresses.image_file(index, "jpg"), height=height, width=width)


def guesses(book: Book, predictions: Sequence[Prediction]) -> tuple[Guess, ...]:
    """Predictions with the names of their classes, and the pages of those that have one."""
    names, classes = book.atlas.model.class_names, book.classes
    pages = (
        {one.index: f"../{classes.folder}/{one.page}" for one in classes.classes} if classes else {}
    )
    return tuple(
        Guess(
            index=one.index,
            name=class_name(names, one.index),
            probability=one.probability,
            page=pages.get(one.index, ""),
        )
        for one in predictions
    )


def draw_picture(book: Book, file: str, pixels: Pixels) -> Shot:
    """Write a picture, exactly where its name ends in png."""
    exactly = file.endswith(".png")
    put(book, file, sheets.encode_exactly(pixels) if exactly else sheets.encode(pixels))
    return Shot(file=file, height=pixels.shape[0], width=pixels.shape[1])


def draw_heat(book: Book, index: int, what: str, values: NDArray[np.float16]) -> Heat | None:
    """Write a heat map; None where there is none."""
    if not values.size:
        return None
    shot = draw_picture(book, addresses.image_file(index, f"{what}.jpg"), heatmaps.heat(values))
    return Heat(shot=shot, ceiling=heatmaps.ceiling(values))


def draw_fooled(book: Book, index: int, fooling: FoolingImage, view: Pixels) -> Fooled:
    """Write a fooling image, the picture that it was made from, and what differs.

    Args:
        book: the model.
        index: of the sample image.
        fooling: its fooling image.
        view: the whole sample image, at the resolution of the cache.
    """
    shown = book.atlas.shown
    changed = shown_picture(fooling.image, shown)
    seen = shown_picture(fooling.original, shown) if fooling.original.size else view
    original = sheets.fit(seen, *changed.shape[:2])
    names = book.atlas.model.class_names
    files = {
        "png": original,
        "fooling.png": changed,
        "difference.jpg": heatmaps.difference(original, changed),
    }
    shots = [
        draw_picture(book, addresses.image_file(index, what), pixels)
        for what, pixels in files.items()
    ]
    return Fooled(
        original=shots[0],
        changed=shots[1],
        difference=shots[2],
        target=fooling.target,
        target_name=class_name(names, fooling.target),
        succeeded=fooling.fooled,
        steps=fooling.steps,
        l2=fooling.l2,
        linf=fooling.linf,
        guesses=guesses(book, fooling.predictions),
    )


def draw_layers(book: Book, lens: Lens) -> tuple[OnImage, ...]:
    """Write the feature maps of every layer and find the units that the image excites most."""
    found = {maps.layer: maps for maps in lens.maps if len(maps.channels)}
    pictures = [found[layer.name].maps for layer in book.layers if layer.name in found]
    drawn = book.tree.pool.map(partial(draw_band, book.atlas.model.shape), pictures)
    layers = []
    for place, layer in enumerate(book.layers, 1):
        maps, excited = found.get(layer.name), most_excited(layer, lens.image)
        if maps is None:
            layers.append(OnImage(layer=layer, excited=excited, maps=(), band=None, signed=False))
        else:
            band = put_band(
                book, addresses.image_file(lens.image, f"maps-{place}.jpg"), next(drawn)
            )
            views, signed = map_views(layer, maps), bool((maps.maps < 0).any())
            layers.append(
                OnImage(layer=layer, excited=excited, maps=views, band=band, signed=signed)
            )
    return tuple(layers)


def draw_band(shape: Shape, maps: NDArray[np.float16]) -> bytes:
    """The feature maps of a layer over an image of this shape as one JPEG."""
    return sheets.encode(heatmaps.band(maps, shape), sheets.SMALL)


def put_band(book: Book, file: str, data: bytes) -> Shot:
    """Write the picture of a layer's feature maps."""
    put(book, file, data)
    return Shot(file=file, height=sheets.THUMBNAIL, width=sheets.THUMBNAIL * addresses.TILES)


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
