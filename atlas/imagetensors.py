"""Pictures as people have them ((H, W, 3) uint8) and as networks take them."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor


def to_tensor(images: Sequence[NDArray[np.uint8]]) -> Tensor:
    """(H, W, 3) uint8 images → (N, 3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255


LUMINANCE = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in grey, for pixels as they are stored.

Source: ITU-R BT.601, as in torchvision's Grayscale and PIL's convert("L"), which one-channel
networks were trained with."""


def luminance(images: Tensor) -> Tensor:
    """Images (N, 3, H, W) as a network of one channel sees them, (N, 1, H, W)."""
    shares = torch.tensor(LUMINANCE, dtype=images.dtype, device=images.device)
    return (images * shares.view(3, 1, 1)).sum(1, keepdim=True)


def to_pixels(image: NDArray[np.float16]) -> NDArray[np.uint8]:
    """The 8-bit picture (H, W, 3) of a rendering (3, H, W) in [0, 1]: what pages show."""
    wide = np.nan_to_num(image.astype(np.float32), nan=0.5)
    return np.round(wide.clip(0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)


def fit(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Resize a picture to a square, as the pictures of the sample set are."""
    if picture.shape[:2] == (side, side):
        return picture
    method = cv2.INTER_AREA if side < picture.shape[0] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (side, side), interpolation=method), np.uint8)


def seen_at(images: Tensor, side: int) -> Tensor:
    """Images (N, C, S, S) at the side a network sees; smaller ones are averages, as in `fit`."""
    if images.shape[-1] == side:
        return images
    smaller = side < images.shape[-1]
    return F.interpolate(images, size=(side, side), mode="bilinear", antialias=smaller)


def decode_view(view: bytes) -> NDArray[np.uint8]:
    """(S, S, 3) RGB of a view, a JPEG that this program made."""
    pixels = cv2.imdecode(np.frombuffer(view, np.uint8), cv2.IMREAD_COLOR)
    return np.ascontiguousarray(np.asarray(pixels, np.uint8)[..., ::-1])
