"""Pictures as 8-bit pixels and as tensors, there and back."""

import cv2
import numpy as np
import pytest

from atlas.images.pixels import to_pixels
from atlas.images.tensors import decode_square, fit, to_tensor


def flat(value: int, side: int) -> np.ndarray:
    return np.full((side, side, 3), value, np.uint8)


def test_pixels_become_planes_from_zero_to_one() -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    image[0, 1] = (255, 51, 0)
    tensor = to_tensor([image])
    assert tensor.shape == (1, 3, 2, 2)
    assert tensor[0, :, 0, 1].tolist() == pytest.approx([1, 0.2, 0])
    assert not tensor[0, :, 1].any()


def test_pixels_are_rounded_and_ordered_height_width_colour() -> None:
    image = np.zeros((3, 2, 4), np.float16)
    image[0, 1, 3] = 1.0
    image[1, 0, 2] = 0.4 / 255
    image[2, 0, 2] = 0.6 / 255
    pixels = to_pixels(image)
    assert pixels.shape == (2, 4, 3)
    assert pixels.dtype == np.uint8
    assert pixels[1, 3].tolist() == [255, 0, 0]
    assert pixels[0, 2].tolist() == [0, 0, 1]


def test_values_outside_and_nan_become_pixels_too() -> None:
    image = np.array([[[-1.0, 2.0, np.nan, np.inf, -np.inf]]] * 3, np.float16)
    assert to_pixels(image)[0, :, 0].tolist() == [0, 255, 0, 255, 0]


def test_every_8_bit_value_survives_float16() -> None:
    levels = np.arange(256, dtype=np.uint8)
    image = np.broadcast_to((levels / 255).astype(np.float16), (3, 1, 256))
    assert np.array_equal(to_pixels(image)[0, :, 0], levels)


def test_picture_of_the_right_size_is_not_touched() -> None:
    same = flat(9, 16)
    assert fit(same, 16) is same


@pytest.mark.parametrize("side", [8, 40])
def test_picture_of_another_size_is_resized(side: int) -> None:
    assert np.array_equal(fit(flat(9, side), 16), flat(9, 16))


def test_smaller_pictures_are_averages_and_not_samples() -> None:
    blocks = flat(0, 32)
    blocks[::2, ::2] = 200  # every 2 × 2 block has the mean 50
    assert np.array_equal(fit(blocks, 16), flat(50, 16))


def test_view_is_decoded_to_red_green_blue() -> None:
    picture = flat(0, 16)
    picture[..., 0] = 200
    done, data = cv2.imencode(".jpg", picture[..., ::-1])
    assert done
    decoded = decode_square(data.tobytes())
    assert np.abs(decoded.astype(int) - picture).max() <= 3
    assert decoded.flags.c_contiguous
