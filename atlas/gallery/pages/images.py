"""Pages of sample images: what a network makes of each, seen through all lenses.

`write_images` puts the pages, their pictures and their data into the model's tree. A lens is about
a megabyte, so one is read at a time; what is kept of it are numbers and addresses.
"""

from collections.abc import Sequence

from ...images.pixels import encode_exactly
from ...records.atlas import Pictures
from .. import addresses, class_sentences, heatmaps, sheets
from ..data.encode import to_json
from ..data.images import image_file
from ..draw_images import draw_image
from ..draw_units import Files
from ..image_views import Fooled, ImageView
from ..text import percent, plural, shown
from ..views import Shot
from .frame import PageWriter, Way, ways

SCALES = {"scale.png": 0, "scale-signed.png": -1}
"""Colour bars of feature maps, and their least values: zero, and as far below it as above."""


def write_images(writer: PageWriter, pictures: Pictures) -> tuple[ImageView, ...]:
    """Write the page of every sample image that has one, and the page that lists them.

    Args:
        writer: the model.
        pictures: where the lenses are read from.

    Returns:
        What the pages show, by index of the sample image; () where no image has a page.
    """
    indices = writer.atlas.lenses
    if not indices:
        return ()
    put(writer, {file: encode_exactly(heatmaps.bar(end)) for file, end in SCALES.items()})
    classes, images = writer.classes, []
    known = [(one, classes.folder) for one in classes.classes] if classes else []
    pages = {one.index: f"../{folder}/{one.page}" for one, folder in known}
    for place, index in enumerate(indices):
        sample = sheets.decode(pictures.sample(index), f"sample image {index}")
        lens, pool = pictures.lens(index), writer.tree.pool
        view, files = draw_image(lens, sample, writer.atlas, writer.layers, pages, pool)
        put(writer, files)
        write_image(writer, view, ways(indices, place, image_link))
        images.append(view)
    write_list(writer, images)
    return tuple(images)


def put(writer: PageWriter, files: Files) -> None:
    """Take files into the folder of the sample images."""
    for file, data in files.items():
        writer.tree.put(f"{addresses.IMAGES}/{file}", data)


def write_list(writer: PageWriter, images: Sequence[ImageView]) -> None:
    """Write the page that lists the images."""
    writer.put(
        "images",
        f"{addresses.IMAGES}/index.html",
        title=f"Images · {writer.title}",
        description=f"{plural(len(images), 'sample image')} and the classes that {writer.title} "
        "predicts for them.",
        trail=(("Images", ""),),
        images=images,
    )


def image_link(image: int) -> tuple[str, str]:
    """Address and label of an image's page, seen from that of another image."""
    return addresses.lens_page(image), f"image {image}"


def write_image(writer: PageWriter, view: ImageView, around: Sequence[Way]) -> None:
    """Write an image's page and its data.

    Args:
        writer: the model.
        view: what the page shows.
        around: links to the neighbouring images that have pages.
    """
    guess = f", predicted as “{view.guesses[0].name}”" if view.guesses else ""
    writer.put(
        "image",
        f"{addresses.IMAGES}/{view.page}",
        title=f"{view.name} (image {view.image}) · {writer.title}",
        description=f"Results of {writer.title} on sample image {view.image}, {view.name}{guess}: "
        "the units it excites, feature maps, saliency, a fooling image.",
        trail=(("Images", "index.html"), (view.name, "")),
        card=f"{addresses.IMAGES}/{view.whole.file}",
        view=view,
        ways=around,
        classified=view.saliency is not None,
        scales=[Shot(file=file, height=heatmaps.BAR[0], width=heatmaps.BAR[1]) for file in SCALES],
        ceiling=heatmaps.CEILING,
        contrast=heatmaps.CONTRAST,
        word=class_sentences.OUTPUTS.get(writer.atlas.model.outputs, ""),
        outcome=outcome(view.fooled, writer.atlas.shown) if view.fooled else "",
    )
    data = image_file(writer.atlas, view, writer.provenance)
    put(writer, {addresses.image_file(view.image, "json"): to_json(data)})


def outcome(fooled: Fooled, channels: Sequence[int] = ()) -> str:
    """Say whether the saved picture fools the network.

    Args:
        fooled: the picture.
        channels: those that are shown, where they are not all; then the cache holds the picture.
    """
    file = "16-bit picture of all channels" if channels else "8-bit file"
    if fooled.succeeded and not fooled.steps:
        return (
            f"The network already predicts “{shown(fooled.target_name)}” for the original, "
            "so nothing was changed."
        )
    if fooled.succeeded:
        chance = next((g.probability for g in fooled.guesses if g.index == fooled.target), None)
        sure = "" if chance is None else f" with {percent(chance)}"
        return (
            f"It fools the network: read back from the saved {file}, the picture is predicted as "
            f"“{shown(fooled.target_name)}”{sure}."
        )
    best = f"“{shown(fooled.guesses[0].name)}”" if fooled.guesses else "no class at all"
    return (
        f"It did not succeed: after {plural(fooled.steps, 'step')} the saved {file} "
        f"is predicted as {best}, not as “{shown(fooled.target_name)}”."
    )
