"""Draw the masks of a unit: one sheet of nine, which pages lay over its patches."""

import cv2
import numpy as np
from numpy.typing import NDArray

from ..images.pixels import THUMBNAIL, Pixels

SIDE = 3
"""Rows and columns of a sheet of masks, as of the patches that it is laid over."""

WHITE = 255

ROOTS = np.rint(WHITE * np.sqrt(np.arange(WHITE + 1) / WHITE)).astype(np.uint8)
"""Brightness of each value of a mask."""

MASKS = (cv2.IMWRITE_JPEG_QUALITY, 75)
"""How a sheet of masks is encoded: they are smooth."""


def masks_sheet(masks: NDArray[np.uint8]) -> Pixels:
    """The masks (K, h, w) of a unit in a square of nine tiles, (336, 336).

    A patch that is no square is whole inside its tile; the rest of it stays white, so that whatever
    is below is seen. Pages multiply the patch by the sheet, which is the root of the masks: by the
    masks themselves most of a patch would be black.
    """
    sheet = np.full((SIDE * THUMBNAIL, SIDE * THUMBNAIL), WHITE, np.uint8)
    for place, mask in enumerate(masks[: SIDE**2]):
        row, column = divmod(place, SIDE)
        top = row * THUMBNAIL + (THUMBNAIL - mask.shape[0]) // 2
        left = column * THUMBNAIL + (THUMBNAIL - mask.shape[1]) // 2
        sheet[top : top + mask.shape[0], left : left + mask.shape[1]] = ROOTS[mask]
    return sheet
