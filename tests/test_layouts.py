"""Tokens and channels-last outputs as maps: each number at the place it came from."""

import pytest
import torch

from atlas.layouts import grid_of, leading_tokens, to_maps, token_layout

MAPS = torch.arange(2 * 3 * 4 * 5).view(2, 3, 4, 5).float()
"""(N, C, H, W), every number another."""


@pytest.mark.parametrize("leading", [0, 1, 5])
def test_tokens_row_by_row_are_the_map_they_were_made_of(leading: int) -> None:
    tokens = torch.cat([torch.zeros(2, leading, 3), MAPS.flatten(2).transpose(1, 2)], dim=1)
    assert torch.equal(to_maps(tokens, token_layout(leading), (4, 5)), MAPS)


def test_channels_last_become_channels_first() -> None:
    assert torch.equal(to_maps(MAPS.permute(0, 2, 3, 1), "NHWC", (4, 5)), MAPS)
    assert to_maps(MAPS, "NCHW", (4, 5)) is MAPS


def test_gradients_reach_the_tokens_and_not_those_in_front() -> None:
    tokens = torch.ones(1, 1 + 4, 2, requires_grad=True)
    to_maps(tokens, "NLC+1", (2, 2)).sum().backward()
    assert tokens.grad is not None
    assert tokens.grad[0, :, 0].tolist() == [0, 1, 1, 1, 1]


def test_layouts_name_the_tokens_in_front() -> None:
    assert [token_layout(count) for count in (0, 1, 12)] == ["NLC", "NLC+1", "NLC+12"]
    assert [leading_tokens(layout) for layout in ("NLC", "NLC+1", "NLC+12")] == [0, 1, 12]


def test_grid_keeps_its_proportion_at_another_size() -> None:
    assert grid_of(4 * 6, (2, 3)) == (4, 6)
    assert grid_of(49, (14, 14)) == (7, 7)
    with pytest.raises(ValueError, match="50 tokens are no grid like 14 × 14"):
        grid_of(50, (14, 14))
