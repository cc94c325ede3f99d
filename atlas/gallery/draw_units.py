"""Draw one unit: its pictures, patches and tiles, from what was read of it, as bytes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..images.pixels import Pixels, encode, to_pixels
from ..records.attribution import NO_MASKS
from ..records.units import Rendering
from ..shapes import Size
from . import addresses, sheets
from .draw_masks import MASKS, masks_sheet
from .views import Picture, Shot

SHEET_UNITS = addresses.TILES**2
"""Units on a contact sheet."""

Box = tuple[int, int, int, int]
"""y0, x0, y1, x1 in pixels of the network's input."""

Files = dict[str, bytes]
"""Address → bytes."""

Pair = tuple[Pixels, Pixels]
"""A rendering and the real patch beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A unit as it is read from the cache.

    Attributes:
        channel: which.
        renderings: of each its record, and the same with pixels; the one that leads first.
        images, boxes, squares: where it is excited most, best first: indices of sample images, the
            parts of them that excite it, and the images.
        masks: (K, h, w) which pixels of these parts its peaks depend on; `NO_MASKS` where that is
            not known, or not shown.
    """

    channel: int
    renderings: tuple[tuple[Rendering, Rendering], ...]
    images: tuple[int, ...]
    boxes: tuple[Box, ...]
    squares: tuple[Pixels, ...]
    masks: NDArray[np.uint8] = field(default_factory=lambda: NO_MASKS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiles:
    """A unit's pictures for contact sheets: thumbnails by recipe, best patch, nine patches."""

    thumbs: Mapping[str, Pixels]
    patch: Pixels | None
    mosaic: Pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A unit drawn; addresses are seen from its layer's folder.

    Attributes:
        pictures, patches, masks: what its page shows.
        files: all of them.
        tiles: for contact sheets.
        pair: for a card; () where it has no picture that can be trusted, or no patch.
    """

    pictures: tuple[Picture, ...]
    patches: tuple[Shot, ...]
    masks: Shot | None
    files: Files
    tiles: Tiles
    pair: tuple[Pair, ...]


def draw_unit(
    source: Source, *, recipes: tuple[str, ...], shown: Sequence[int], size: Size
) -> Drawing:
    """Draw a unit.

    Args:
        source: the unit.
        recipes: those of its layer, the default one first.
        shown: the channels that pages show; () for colours.
        size: of the network's input.
    """
    pictures: list[Picture] = []
    pixels: dict[str, Pixels] = {}
    for record, made in source.renderings:
        suffix = addresses.recipe_suffix(record.recipe, recipes)
        picture, drawn = draw_picture(record, made, suffix, shown)
        pictures.append(picture)
        pixels |= drawn
    lead = next((pixels[picture.image.file] for picture in pictures if picture.image), None)
    patches = cut_patches(source, size)
    best = next(iter(patches.values()), None)
    masks = (
        {addresses.masks(source.channel): masks_sheet(source.masks)} if len(source.masks) else {}
    )
    trusted = bool(pictures) and pictures[0].rendering.status == "ok"
    return Drawing(
        pictures=tuple(pictures),
        patches=tuple(shot(file, patch) for file, patch in patches.items()),
        masks=next((shot(file, sheet) for file, sheet in masks.items()), None),
        files={file: encode(picture) for file, picture in pixels.items()}
        | {file: encode(sheet, MASKS) for file, sheet in masks.items()}
        | {file: encode(patch, sheets.SMALL) for file, patch in patches.items()},
        tiles=Tiles(
            thumbs={one.rendering.recipe: pixels[one.thumb.file] for one in pictures if one.thumb},
            patch=None if best is None else sheets.thumbnail(best),
            mosaic=sheets.mosaic(list(patches.values())),
        ),
        pair=((lead, best),) if trusted and lead is not None and best is not None else (),
    )


def draw_picture(
    record: Rendering, made: Rendering, suffix: str, shown: Sequence[int]
) -> tuple[Picture, dict[str, Pixels]]:
    """Draw a rendering: whole, small, after each octave; nothing where it has no pixels.

    Args:
        record: the rendering without pixels.
        made: the same with pixels.
        suffix: of its recipe.
        shown: the channels that pages show; () for colours.
    """
    if not made.image.size:
        return Picture(rendering=record, image=None, thumb=None, snapshots=()), {}
    channel, whole = record.unit.channel, to_pixels(made.image, shown)
    drawn = {
        addresses.picture(channel, suffix): whole,
        addresses.thumbnail(channel, suffix): sheets.thumbnail(whole),
    }
    for octave, step in enumerate(made.snapshots, 1):
        drawn[addresses.snapshot(channel, suffix, octave)] = to_pixels(step, shown)
    image, thumb, *snapshots = (shot(file, pixels) for file, pixels in drawn.items())
    return Picture(rendering=record, image=image, thumb=thumb, snapshots=tuple(snapshots)), drawn


def cut_patches(source: Source, size: Size) -> dict[str, Pixels]:
    """The dataset examples of a unit, best first."""
    parts = enumerate(zip(source.squares, source.boxes, strict=True), 1)
    return {
        addresses.patch(source.channel, place): sheets.cut_patch(square, box, size)
        for place, (square, box) in parts
    }


def shot(file: str, pixels: Pixels) -> Shot:
    """The picture at an address."""
    return Shot(file=file, height=pixels.shape[0], width=pixels.shape[1])


def draw_sheets(number: int, tiles: Sequence[Tiles], recipes: tuple[str, ...]) -> Files:
    """The contact sheets of a number: of the renderings by each recipe, and of the patches."""
    files = {
        addresses.sheet(number, addresses.recipe_suffix(recipe, recipes)): encode(
            sheets.contact_sheet([one.thumbs.get(recipe) for one in tiles], addresses.TILES)
        )
        for recipe in recipes
    }
    patches = sheets.contact_sheet([one.patch for one in tiles], addresses.TILES)
    return {**files, addresses.patch_sheet(number): encode(patches, sheets.SMALL)}


def draw_mosaics(number: int, tiles: Sequence[Tiles]) -> Files:
    """The sheet of a number that shows nine patches of each unit."""
    pixels = [one.mosaic for one in tiles]
    sheet = sheets.contact_sheet(pixels, addresses.TILES, sheets.MOSAIC)
    return {addresses.mosaic_sheet(number): encode(sheet, sheets.SMALLER)}


def draw_overview(grid: NDArray[np.int64], dots: Sequence[Pixels]) -> Files:
    """The small renderings of a layer on its grid of places, -1 where there is none."""
    rows = [[dots[place] if place >= 0 else None for place in row] for row in grid.tolist()]
    pixels = sheets.rows_of_tiles(rows, sheets.DOT)
    return {addresses.OVERVIEW: encode(pixels, sheets.SMALLER)}
