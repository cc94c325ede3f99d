"""Transforms: every image its own draw, one resampling, reflected borders."""

import math

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional

from atlas.rendering.transforms import affine, apply_geometry, draw_geometry, grid_of
from tests.helpers import smooth_images


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def images(count: int, side: int = 16) -> torch.Tensor:
    return torch.from_numpy(np.stack(smooth_images(count, side))).permute(0, 3, 1, 2).float() / 255


def one_map(scale: float, degrees: float, right: float, down: float) -> torch.Tensor:
    """(1, 2, 3); shifts as shares of the side."""
    moved = 2 * torch.tensor([right, down])
    return affine(torch.tensor(scale), torch.tensor(math.radians(degrees)), moved)[None]


@pytest.mark.parametrize("shape", [(56, 56), (48, 64), (1, 7)])
def test_points_are_those_of_torch(shape: tuple[int, int]) -> None:
    maps = draw_geometry(3, 0.1, 0.1, 10, generators(1, 2)).flatten(0, 1)  # (6, 2, 3)
    wanted = functional.affine_grid(maps, [6, 3, *shape], align_corners=False)
    torch.testing.assert_close(grid_of(maps, shape), wanted, atol=1e-6, rtol=0)


def test_identity_map_returns_the_image() -> None:
    before = images(2)
    after = apply_geometry(before, one_map(1, 0, 0, 0).expand(2, 2, 3))
    torch.testing.assert_close(after, before, atol=2e-6, rtol=0)


def test_shift_moves_whole_pixels_and_reflects_the_border() -> None:
    before = images(1)
    after = apply_geometry(before, one_map(1, 0, 2 / 16, 0))
    torch.testing.assert_close(after[..., :14], before[..., 2:], atol=1e-5, rtol=0)
    torch.testing.assert_close(after[..., 14:], before[..., [15, 14]], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("scale", "degrees", "right", "down"),
    [(1, 0, 0.05, -0.03), (1.1, 0, 0, 0), (0.9, 0, 0, 0), (1, 10, 0, 0), (0.93, -7, 0.06, 0.02)],
)
def test_map_equals_warp_affine_with_reflected_border(
    scale: float, degrees: float, right: float, down: float
) -> None:
    side = 48
    picture = smooth_images(1, side, seed=3)[0].astype(np.float32) / 255
    picture = cv2.GaussianBlur(picture, (0, 0), 2)
    tensor = torch.from_numpy(picture).permute(2, 0, 1)[None]
    ours = apply_geometry(tensor, one_map(scale, degrees, right, down))[0].permute(1, 2, 0).numpy()
    angle, middle = math.radians(degrees), (side - 1) / 2
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    turn /= scale  # output pixel → input pixel, around the middle
    offset = middle - turn @ [middle, middle] + side * np.array([right, down])
    theirs = cv2.warpAffine(
        picture,
        np.column_stack([turn, offset]),
        (side, side),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT,
    )
    # cv2 before 5 rounds positions to 1/32 px, hence the tolerance; a border taken from the
    # other rule (BORDER_REFLECT_101, zeros) or a half-pixel error would be tens of times larger
    np.testing.assert_allclose(ours, theirs, atol=4e-3)


def test_draws_stay_within_their_ranges_and_fill_them() -> None:
    maps = draw_geometry(400, 16 / 224, 0.1, 10.0, generators(0, 1)).double()
    assert maps.shape == (400, 2, 2, 3)
    shift = maps[..., 2] / 2
    assert shift.abs().max() <= 16 / 224
    assert shift.abs().max() > 0.95 * 16 / 224
    scale = 1 / torch.hypot(maps[..., 0, 0], maps[..., 1, 0])
    assert scale.min() >= 0.9 - 1e-6
    assert scale.max() <= 1.1 + 1e-6
    assert scale.max() - scale.min() > 0.19
    degrees = torch.rad2deg(torch.atan2(maps[..., 1, 0], maps[..., 0, 0]))
    assert degrees.abs().max() <= 10 + 1e-5
    assert degrees.max() > 9.5
    assert degrees.min() < -9.5
    torch.testing.assert_close(maps[..., 0, 0], maps[..., 1, 1])
    torch.testing.assert_close(maps[..., 0, 1], -maps[..., 1, 0])


def test_draws_of_an_image_do_not_depend_on_the_batch() -> None:
    alone = draw_geometry(5, 0.1, 0.1, 10.0, generators(7))
    crowd = draw_geometry(5, 0.1, 0.1, 10.0, generators(3, 9, 7))
    assert torch.equal(alone[:, 0], crowd[:, 2])
    assert not torch.equal(crowd[:, 0], crowd[:, 1])


def test_resampling_of_an_image_does_not_depend_on_the_batch() -> None:
    maps = draw_geometry(1, 0.1, 0.1, 10.0, generators(1, 2, 3))[0]
    crowd = apply_geometry(images(3), maps)
    for i in range(3):
        assert torch.equal(apply_geometry(images(3)[i : i + 1], maps[i : i + 1])[0], crowd[i])


def test_zero_ranges_change_nothing() -> None:
    maps = draw_geometry(3, 0.0, 0.0, 0.0, generators(1))
    identity = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    assert torch.equal(maps, identity.expand(3, 1, 2, 3))
