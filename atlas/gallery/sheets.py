"""Pictures as bytes: JPEGs, thumbnails, dataset examples, contact sheets, cards for link previews.

Everything is 8-bit RGB, `(h, w, 3)`, until `encode` turns it into a JPEG. Photographs do not need
its quality: their patches are 4:2:0 at quality 85.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from ..errors import CacheError
from ..images.pixels import THUMBNAIL, Pixels, fit, patch_shape
from ..shapes import Size, pair

CARD = (630, 1200)
"""Height and width of the preview that link targets show."""

MOSAIC = 168
PATCH = 54
"""Sides of a mosaic of nine patches and of each of them; between them stay 3 px."""

DOT = 32
"""Side of a rendering on the overview of its layer: a multiple of the 16 px of a JPEG's blocks."""

EMPTY = (128, 124, 118)
"""Colour of a sheet where it has no picture."""

SMALL = (
    *(cv2.IMWRITE_JPEG_QUALITY, 85),
    *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420),
)
SMALLER = (*(cv2.IMWRITE_JPEG_QUALITY, 80), *SMALL[2:])


def decode(data: bytes, what: str) -> Pixels:
    """RGB pixels of a JPEG that the cache holds.

    Raises:
        CacheError: the bytes are no picture.
    """
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if decoded is None:
        raise CacheError(
            f"the square of {what} in the cache is no picture; run `build_atlas.py check`"
        )
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)


def cover(pixels: Pixels, height: int, width: int) -> Pixels:
    """Resize and cut the middle so that a rectangle is filled without distortion."""
    scale = max(height / pixels.shape[0], width / pixels.shape[1])
    tall = max(height, round(pixels.shape[0] * scale))
    wide = max(width, round(pixels.shape[1] * scale))
    top, left = (tall - height) // 2, (wide - width) // 2
    return fit(pixels, tall, wide)[top : top + height, left : left + width]


MOST_CUT = 0.1
"""Share of a picture that may be cut off so that it fills its place."""


def place(pixels: Pixels, height: int, width: int) -> Pixels:
    """Fill a rectangle without distortion; a picture that would lose much is whole inside."""
    tall, wide = pixels.shape[0] * width, pixels.shape[1] * height
    if min(tall, wide) >= (1 - MOST_CUT) * max(tall, wide):
        return cover(pixels, height, width)
    sheet, scale = empty(height, width), min(height / pixels.shape[0], width / pixels.shape[1])
    down, across = (max(1, round(side * scale)) for side in pixels.shape[:2])
    put(sheet, fit(pixels, down, across), (height - down) // 2, (width - across) // 2)
    return sheet


def thumbnail(pixels: Pixels) -> Pixels:
    """The (112, 112, 3) thumbnail of a picture."""
    return place(pixels, THUMBNAIL, THUMBNAIL)


# --- dataset examples ----------------------------------------------------------------------------


def cut_patch(square: Pixels, box: tuple[int, int, int, int], input_size: Size) -> Pixels:
    """Cut a dataset example out of a square of its sample image.

    Args:
        square: (h, w, 3), the part that the network sees, at any resolution.
        box: y0, x0, y1, x1 in pixels of the network's input.
        input_size: of the network's input.
    """
    sides = np.array([square.shape[0], square.shape[1]] * 2) / np.array(pair(input_size) * 2)
    scaled = np.rint(np.array(box) * sides).astype(int)
    top, bottom = span(scaled[0], scaled[2], square.shape[0])
    left, right = span(scaled[1], scaled[3], square.shape[1])
    return fit(square[top:bottom, left:right], *patch_shape(box))


def span(first: int, last: int, size: int) -> tuple[int, int]:
    """Confine a range to [0, size) and keep at least one pixel of it."""
    start = min(max(int(first), 0), size - 1)
    return start, min(max(int(last), start + 1), size)


class Squares:
    """Decoded squares of sample images, the most recently used ones kept.

    Args:
        read: sample index → JPEG.
        budget: bytes of pixels to keep.
    """

    def __init__(self, read: Callable[[int], bytes], budget: int = 320_000_000) -> None:
        self.read = read
        self.budget = budget
        self.kept: OrderedDict[int, Pixels] = OrderedDict()

    def __getitem__(self, index: int) -> Pixels:
        """The (h, w, 3) square of a sample image."""
        if index not in self.kept:
            self.kept[index] = decode(self.read(index), f"sample image {index}")
            self.budget -= self.kept[index].nbytes
            while self.budget < 0 and len(self.kept) > 1:
                self.budget += self.kept.popitem(last=False)[1].nbytes
        self.kept.move_to_end(index)
        return self.kept[index]


# --- many pictures in one ------------------------------------------------------------------------


def contact_sheet(tiles: Sequence[Pixels | None], per_side: int, side: int = THUMBNAIL) -> Pixels:
    """Lay thumbnails out in a square, row by row.

    Args:
        tiles: (side, side, 3) each, as many as there is room for; None leaves its place empty.
        per_side: rows and columns.
        side: of a tile.

    Returns:
        (side · per_side, side · per_side, 3).
    """
    whole = [*tiles, *[None] * (per_side**2 - len(tiles))]
    rows = [whole[start : start + per_side] for start in range(0, len(whole), per_side)]
    return rows_of_tiles(rows, side)


def rows_of_tiles(rows: Sequence[Sequence[Pixels | None]], side: int = THUMBNAIL) -> Pixels:
    """Lay thumbnails out in rows of any length.

    Args:
        rows: at least one tile in all, (side, side, 3) each; None leaves its place empty.
        side: of a tile.
    """
    sheet = empty(side * len(rows), side * max(map(len, rows)))
    for row, tiles in enumerate(rows):
        for column, pixels in enumerate(tiles):
            if pixels is not None:
                put(sheet, pixels, row * side, column * side)
    return sheet


def dot(thumb: Pixels | None) -> Pixels:
    """A thumbnail for the overview of its layer, (32, 32, 3); hatched where there is none."""
    if thumb is not None:
        return fit(thumb, DOT, DOT)
    stripes = np.add.outer(np.arange(DOT), np.arange(DOT)) // 4 % 2 * 40 + 100
    return np.repeat(stripes[..., None], 3, axis=2).astype(np.uint8)


def mosaic(patches: Sequence[Pixels]) -> Pixels:
    """The nine best patches of a unit as one picture (168, 168, 3), row by row, best first."""
    sheet, pitch = empty(MOSAIC, MOSAIC), (MOSAIC - PATCH) // 2
    for number, pixels in enumerate(patches[:9]):
        put(sheet, place(pixels, PATCH, PATCH), number // 3 * pitch, number % 3 * pitch)
    return sheet


def empty(height: int, width: int) -> Pixels:
    """A picture of one colour, (h, w, 3)."""
    row = np.tile(np.array(EMPTY, np.uint8), width)  # a whole row at a time is 20 times as fast
    return np.broadcast_to(row, (height, 3 * width)).reshape(height, width, 3).copy()


def put(sheet: Pixels, pixels: Pixels, top: int, left: int) -> None:
    """Copy pixels into a sheet."""
    sheet[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels


def card(pairs: Sequence[tuple[Pixels, Pixels]]) -> Pixels:
    """The preview picture of a page: renderings, each with its best real patch at its right.

    Args:
        pairs: rendering and patch, best first; 9, 4 or 1 of them are used.

    Returns:
        (630, 1200, 3).
    """
    height, width = CARD
    sheet = empty(height, width)
    side = next((side for side in (3, 2, 1) if len(pairs) >= side * side), 0)
    for number in range(side * side):
        row, column = divmod(number, side)
        for half, pixels in enumerate(pairs[number]):
            tile = place(pixels, height // side, width // side // 2)
            put(sheet, tile, row * (height // side), (2 * column + half) * (width // side // 2))
    return sheet
