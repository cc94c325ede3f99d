"""Tokens and channels-last outputs as maps: each number at the place it came from."""

import pytest
import torch

from atlas.models.layouts import Layout, from_maps, grid_of, read_layout, to_maps

MAPS = torch.arange(2 * 3 * 4 * 5).view(2, 3, 4, 5).float()
"""(N, C, H, W), every number another."""


@pytest.mark.parametrize(("before", "behind"), [(0, 0), (1, 0), (0, 1), (5, 2)])
def test_tokens_row_by_row_are_the_map_they_were_made_of(before: int, behind: int) -> None:
    others = [torch.zeros(2, count, 3) for count in (before, behind)]
    tokens = torch.cat([others[0], MAPS.flatten(2).transpose(1, 2), others[1]], dim=1)
    layout = str(Layout(dims="NLC", before=before, behind=behind))
    assert torch.equal(to_maps(tokens, layout, (4, 5)), MAPS)
    assert torch.equal(to_maps(tokens.transpose(1, 2), layout.replace("LC", "CL"), (4, 5)), MAPS)


@pytest.mark.parametrize(
    ("layout", "arranged"),
    [
        ("NCHW@Hw", MAPS.flip(3)),
        ("NCHW@hW", MAPS.flip(2)),
        ("NCHW@WH", MAPS.transpose(2, 3)),
        ("NCHW@wH", MAPS.rot90(1, (2, 3))),
        ("NCHW@Wh", MAPS.rot90(-1, (2, 3))),
        ("NHWC@wh", MAPS.transpose(2, 3).flip((2, 3)).permute(0, 2, 3, 1)),
        ("NHCW", MAPS.transpose(1, 2)),
        ("NLC@WH", MAPS.transpose(2, 3).flatten(2).transpose(1, 2)),
        ("NCHW@?", MAPS),
    ],
)
def test_maps_are_turned_upright(layout: str, arranged: torch.Tensor) -> None:
    assert torch.equal(to_maps(arranged, layout, (4, 5)), MAPS)


@pytest.mark.parametrize(
    "layout", ["NCHW", "NHWC", "NHCW", "NCHW@Hw", "NCHW@wH", "NHWC@wh", "NCHW@?", "NHWC@Wh"]
)
def test_maps_go_back_where_they_came_from(layout: str) -> None:
    output = torch.arange(120).view(2, 3, 4, 5).float()
    maps = to_maps(output, layout, (4, 5))
    assert torch.equal(from_maps(maps, torch.zeros_like(output), layout), output)


@pytest.mark.parametrize("layout", ["NLC", "NCL", "NLC+1", "NLC+2-3", "NLC+1@WH", "NCL-1@wh"])
def test_tokens_go_back_and_those_without_a_place_stay(layout: str) -> None:
    known, axis = read_layout(layout), read_layout(layout).dims.index("L")
    tokens = 20 + known.before + known.behind
    output = torch.rand([2, tokens, 3] if axis == 1 else [2, 3, tokens])
    back = from_maps(2 * to_maps(output, layout, (4, 5)), output, layout)
    ends = [(0, known.before, 1), (known.before, 20, 2), (known.before + 20, known.behind, 1)]
    for first, count, factor in ends:
        part = output.narrow(axis, first, count)
        assert torch.equal(back.narrow(axis, first, count), factor * part)


def test_channels_last_become_channels_first() -> None:
    assert torch.equal(to_maps(MAPS.permute(0, 2, 3, 1), "NHWC", (4, 5)), MAPS)
    assert to_maps(MAPS, "NCHW", (4, 5)) is MAPS


def test_gradients_reach_the_tokens_and_not_those_in_front() -> None:
    tokens = torch.ones(1, 1 + 4, 2, requires_grad=True)
    to_maps(tokens, "NLC+1", (2, 2)).sum().backward()
    assert tokens.grad is not None
    assert tokens.grad[0, :, 0].tolist() == [0, 1, 1, 1, 1]


@pytest.mark.parametrize("text", ["NCHW", "NHWC", "NLC", "NLC+1", "NLC-1", "NCL", "NLC+1-2@wH"])
def test_layouts_are_read_as_they_are_written(text: str) -> None:
    assert str(read_layout(text)) == text


def test_layouts_name_what_is_unusual() -> None:
    assert str(Layout(dims="NLC", before=12)) == "NLC+12"
    assert read_layout("NLC+1-2@wH") == Layout(dims="NLC", before=1, behind=2, order="wH")


def test_grid_keeps_its_proportion_at_another_size() -> None:
    assert grid_of(4 * 6, (2, 3)) == (4, 6)
    assert grid_of(49, (14, 14)) == (7, 7)
    with pytest.raises(ValueError, match="50 tokens are no grid like 14 × 14"):
        grid_of(50, (14, 14))
