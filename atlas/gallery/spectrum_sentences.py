"""Sentences about the spectrum of a unit: which percentile a strip shows, and how many images."""

from collections.abc import Sequence

from ..ranking.spectrum import POOL
from .text import number, percent, plural
from .views import StripView


def strip_name(strip: StripView) -> str:
    """The percentile of a strip, or from which to which they are the same value."""
    first = "" if strip.percentile == strip.up_to else f"{strip.percentile}th to "
    return f"{first}{strip.up_to}th percentile"


def strip_ticks(strip: StripView) -> str:
    """The same in digits."""
    first = "" if strip.percentile == strip.up_to else f"{strip.percentile}–"
    return f"{first}{strip.up_to}"


def share_sentence(strips: Sequence[StripView], place: int) -> str:
    """Return the sentence on the images between the value of a strip and that of the next one."""
    strip = strips[place]
    if strip.share == 1:
        return "All images have this peak."
    if place == len(strips) - 1:
        return f"{percent(strip.share)} of the images have this peak, the lowest."
    return (
        f"{percent(strip.share)} of the images from here down to {number(strips[place + 1].value)}."
    )


def spectrum_sentence(rows: int, images: int, placed: bool) -> str:
    """Return the sentences on what strips show, and over which images.

    Args:
        rows: images that percentiles count.
        images: sample images of the atlas.
        placed: whether positions of the layer's maps have a place in the image.
    """
    over = f"the {plural(images, 'sample image')}"
    over = over if rows == images else f"{plural(rows, 'image')} drawn from {over}"
    cut = (
        "shown is the part around it"
        if placed
        else "maps of this layer have no places, so whole images are shown"
    )
    text = (
        f"Peak: the largest value of the unit’s map on an image; {cut}. Percentiles and shares are "
        f"over {over}; each strip has the images nearest in rank, no two of one file."
    )
    return f"{text} They are chosen from {plural(POOL, 'image')} of these." if rows > POOL else text
