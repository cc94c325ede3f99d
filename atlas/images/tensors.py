"""Pictures as people have them ((H, W, C) of whole numbers) and as networks take them."""

import functools
from collections.abc import Iterable, Iterator, Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..shapes import Picture, Size, T, pair, resize, white_of

CPU = torch.device("cpu")


def to_tensor(images: Sequence[Picture], device: torch.device = CPU) -> Tensor:
    """(H, W, C) images → (N, C, H, W) float32 in [0, 1] on a device."""
    stack, white = np.stack(images), white_of(images[0])
    numbers = stack if white == 255 else stack.astype(np.int32)  # torch knows little of uint16
    return torch.from_numpy(numbers).to(device).permute(0, 3, 1, 2).float() / white


LUMINANCE = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in grey, for pixels as they are stored.

Source: ITU-R BT.601, as in torchvision's Grayscale and PIL's convert("L"), which one-channel
networks were trained with."""


@functools.cache
def luminance_shares(dtype: torch.dtype, device: torch.device) -> Tensor:
    """`LUMINANCE` (3, 1, 1) on a device, where it stays: no step waits for a copy of it."""
    return torch.tensor(LUMINANCE, dtype=dtype, device=device).view(3, 1, 1)


def luminance(images: Tensor) -> Tensor:
    """Images (N, 3, H, W) as a network of one channel sees them, (N, 1, H, W)."""
    return (images * luminance_shares(images.dtype, images.device)).sum(1, keepdim=True)


def fit(picture: NDArray[T], size: Size) -> NDArray[T]:
    """Resize a picture (H, W, C), as the pictures of the sample set are."""
    if picture.shape[:2] == pair(size):
        return picture
    method = cv2.INTER_AREA if max(pair(size)) < max(picture.shape[:2]) else cv2.INTER_CUBIC
    return resize(picture, size, method)


def seen_at(images: Tensor, size: Size) -> Tensor:
    """Images (N, C, H, W) at the size a network sees; smaller ones are averages, as in `fit`."""
    shape = pair(size)
    if images.shape[2:] == shape:
        return images
    smaller = max(shape) < max(images.shape[2:])
    return F.interpolate(images, size=shape, mode="bilinear", antialias=smaller)


def decode_square(square: bytes) -> NDArray[np.uint8]:
    """(H, W, 3) RGB of a square, a JPEG that this program made."""
    pixels = cv2.imdecode(np.frombuffer(square, np.uint8), cv2.IMREAD_COLOR)
    return np.ascontiguousarray(np.asarray(pixels, np.uint8)[..., ::-1])


def batches(images: Iterable[Picture], size: int) -> Iterator[list[Picture]]:
    """Group images into lists of `size`, the last one shorter."""
    batch: list[Picture] = []
    for image in images:
        batch.append(image)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
