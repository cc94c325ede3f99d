"""A sheet of chosen units for papers and slides, as PNG or PDF.

Each unit is a block: its pictures side by side, its best real patches, and under each what it is
and how far it can be trusted; below all of them what they were made from. The sheet is 180 mm wide
at 300 dpi, two blocks abreast, and as high as its blocks are, at most the height of a page of A4.
In a PDF it is one picture: the fonts that every PDF has are Latin only and may not be embedded.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from PIL import Image, PngImagePlugin

from ..errors import UsageError
from ..images.pixels import Pixels, to_pixels
from ..records.atlas import LayerAtlas, ModelAtlas, Pictures
from ..records.units import Rendering, Unit
from . import sheets
from .draw import box_of
from .lettering import Style, break_lines, check_letters, shorten, write_lines
from .text import number, plural, reach, shown

DPI = 300
WIDTH, HEIGHT = 2126, 3035
"""Pixels of a sheet: 180 mm, and 257 mm at most."""

EDGE, GUTTER, GAP, SPACE = 36, 60, 8, 44
"""Pixels around all, between columns, between pictures, and between rows."""

ABREAST = 4
"""Pictures of a block in a row at most."""

NAME, HEAD = Style(size=38, weight=600), Style(size=26, weight=600)
WORDS, FOOT = Style(size=26), Style(size=24, colour=(98, 90, 80))
"""The name of a unit, the first line under a picture, the others, and the footer."""

SUFFIXES = (".png", ".pdf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A picture of a block, and the lines under it."""

    pixels: Pixels
    said: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A unit on the sheet: its name, what people call it, and its pictures."""

    name: str
    tiles: tuple[Tile, ...]


def draw_figure(atlas: ModelAtlas, pictures: Pictures, units: dict[Unit, str]) -> Pixels:
    """Draw the sheet of some units.

    Args:
        atlas: the model.
        pictures: where the pixels are read from.
        units: those to show, each with a picture; unit → what people call it, or "".

    Raises:
        InputError: there are no letters to write with.
        UsageError: there are more units than fit.
    """
    check_letters()
    layers = {layer.info.name: layer for layer in atlas.layers}
    squares = sheets.Squares(pictures.sample)
    blocks = [
        make_block(atlas, layers[unit.layer], pictures, squares, unit, called)
        for unit, called in units.items()
    ]
    return lay_out(blocks, break_lines(footer(atlas), WIDTH - 2 * EDGE, FOOT))


def make_block(
    atlas: ModelAtlas,
    layer: LayerAtlas,
    pictures: Pictures,
    squares: sheets.Squares,
    unit: Unit,
    called: str,
) -> Block:
    """A unit with its pictures, the leading one first, then its patches."""
    made = {one.recipe: one for one in layer.renderings if one.unit == unit}
    shown_recipes = [name for name in atlas.recipes_of(layer) if name in made]
    found = [
        (made[name], pictures.rendering(unit, name)) for name in shown_recipes if has(made[name])
    ]
    tiles = [
        Tile(pixels=to_pixels(whole.image, atlas.shown), said=picture_words(one, layer))
        for one, whole in found
    ]
    name = f"{unit} “{shown(called)}”" if called else str(unit)
    return Block(name=name, tiles=(*tiles, patch_tile(atlas, layer, squares, unit.channel)))


def has(rendering: Rendering) -> bool:
    """Return whether a rendering has pixels in the cache."""
    return rendering.status != "failed"


def picture_words(made: Rendering, layer: LayerAtlas) -> tuple[str, ...]:
    """What is said of a picture."""
    evidence = layer.evidence
    place = evidence.pictures.get(made.recipe, {}).get(made.unit.channel) if evidence else None
    ident = f"IDENT {place.ident} of {evidence.live}" if evidence and place and place.ident else ""
    said = (made.recipe, f"{made.status} · REACH {reach(made.scores.reach)}", ident)
    return tuple(filter(None, said))


def patch_tile(atlas: ModelAtlas, layer: LayerAtlas, squares: sheets.Squares, channel: int) -> Tile:
    """The best real patches of a unit, nine at most."""
    stats = layer.stats
    images = [int(image) for image in stats.example_image[channel] if image >= 0]
    patches = [
        sheets.cut_patch(squares[image], box_of(layer, channel, place), atlas.model.shape)
        for place, image in enumerate(images)
    ]
    peaks = [number(float(one)) for one in stats.example_activation[channel][: len(images)]]
    said = f"peaks {peaks[0]} to {peaks[-1]}" if peaks else "no image excites it"
    count = plural(len(atlas.samples.samples), "image")
    return Tile(pixels=three_by_three(patches), said=("real patches", said, f"best of {count}"))


def three_by_three(patches: Sequence[Pixels], side: int = 1008) -> Pixels:
    """Patches in three rows on white, best first."""
    sheet, gap = np.full((side, side, 3), 255, np.uint8), 12
    each = (side - 2 * gap) // 3
    for place, pixels in enumerate(patches[:9]):
        row, column = divmod(place, 3)
        tile = sheets.place(pixels, each, each)
        sheets.put(sheet, tile, row * (each + gap), column * (each + gap))
    return sheet


def footer(atlas: ModelAtlas) -> str:
    """What the sheet was made from, in one paragraph."""
    model, samples, natural = atlas.model, atlas.samples, atlas.natural
    recipes = ", ".join(f"{name} {digest[:12]}" for name, digest in atlas.digests.items())
    version = dict(atlas.run.versions).get("cnn-atlas", "")
    parts = (
        f"{model.title} ({model.name})" if model.title != model.name else model.title,
        f"weights SHA-256 {model.weights_sha256}",
        f"recipes {recipes}",
        f"{atlas.size} px, seed {atlas.seed}",
        f"{plural(len(samples.samples), 'image')} ({samples.title}), SHA-256 {samples.sha256[:12]}",
        f"REACH over {plural(len(natural.samples), 'image')} ({natural.title})",
        f"CNN atlas {version}, {atlas.run.created[:10]}",
    )
    return shown(" · ".join(parts))


# --- layout --------------------------------------------------------------------------------------


def lay_out(blocks: Sequence[Block], foot: list[str]) -> Pixels:
    """Set blocks in rows on a white sheet, the footer below.

    Raises:
        UsageError: there are more than fit; says how many do.
    """
    columns = min(2, len(blocks))
    width = (WIDTH - 2 * EDGE - GUTTER * (columns - 1)) // columns
    abreast = min(ABREAST, max(len(block.tiles) for block in blocks))
    side = (width - GAP * (abreast - 1)) // abreast
    pitch = max(height_of(block, side, abreast) for block in blocks) + SPACE
    below = SPACE + len(foot) * FOOT.pitch
    fit = (HEIGHT - 2 * EDGE - below) // pitch * columns
    if len(blocks) > fit:
        raise UsageError(
            f"{plural(len(blocks), 'unit')} do not fit on one sheet, {fit} do; make several sheets"
        )
    rows = -(-len(blocks) // columns)
    sheet = np.full((2 * EDGE + rows * pitch - SPACE + below, WIDTH, 3), 255, np.uint8)
    for place, block in enumerate(blocks):
        row, column = divmod(place, columns)
        draw_block(
            sheet, block, EDGE + column * (width + GUTTER), EDGE + row * pitch, side, abreast
        )
    write_lines(sheet, foot, EDGE, sheet.shape[0] - EDGE - len(foot) * FOOT.pitch, FOOT)
    return sheet


def caption(tile: Tile, side: int) -> list[str]:
    """The lines under a picture; the first one is as long as fits."""
    head, *more = tile.said
    lines = [line for text in more for line in break_lines(text, side, WORDS)]
    return [shorten(head, side, HEAD), *lines]


def strips(block: Block, abreast: int) -> list[Sequence[Tile]]:
    """The pictures of a block, row by row."""
    return [block.tiles[at : at + abreast] for at in range(0, len(block.tiles), abreast)]


def strip_height(strip: Sequence[Tile], side: int) -> int:
    """Pixels of a row of pictures with the lines under them."""
    return side + GAP + max(len(caption(tile, side)) for tile in strip) * WORDS.pitch


def height_of(block: Block, side: int, abreast: int) -> int:
    """Pixels from the top of a block to its end."""
    return NAME.pitch + GAP + sum(strip_height(one, side) for one in strips(block, abreast))


def draw_block(sheet: Pixels, block: Block, left: int, top: int, side: int, abreast: int) -> None:
    """Draw a block into a sheet."""
    width = abreast * (side + GAP) - GAP
    write_lines(sheet, [shorten(block.name, width, NAME)], left, top, NAME)
    top += NAME.pitch + GAP
    for strip in strips(block, abreast):
        for place, tile in enumerate(strip):
            at = left + place * (side + GAP)
            sheets.put(sheet, sheets.place(tile.pixels, side, side), top, at)
            head, *more = caption(tile, side)
            write_lines(sheet, [head], at, top + side + GAP, HEAD)
            write_lines(sheet, more, at, top + side + GAP + HEAD.pitch, WORDS)
        top += strip_height(strip, side)


# --- files ---------------------------------------------------------------------------------------


def encode_figure(sheet: Pixels, suffix: str, atlas: ModelAtlas) -> bytes:
    """Bytes of a sheet as PNG or PDF, with its footer as the description.

    Equal sheets give equal bytes: the date is that of the atlas.
    """
    image, buffer, said = Image.fromarray(sheet), io.BytesIO(), footer(atlas)
    if suffix == ".png":
        text = PngImagePlugin.PngInfo()
        text.add_itxt("Description", said)
        image.save(buffer, "PNG", dpi=(DPI, DPI), pnginfo=text, optimize=True)
        return buffer.getvalue()
    date = datetime.fromisoformat(atlas.run.created).utctimetuple()
    image.save(
        buffer,
        "PDF",
        resolution=DPI,
        quality=95,
        subsampling=0,
        title=shown(f"Units of {atlas.model.title}"),
        subject=said,
        creationDate=date,
        modDate=date,
    )
    return buffer.getvalue()
