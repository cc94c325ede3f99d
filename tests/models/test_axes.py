"""The meaning of axes in networks that arrange their outputs in every way people do."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from atlas.models.answer import BANDS, ideal, moved, spread
from atlas.models.axes import changed_images, sketch
from atlas.models.probes import probe_images
from atlas.models.table import layer_table
from atlas.records.network import LayerInfo
from tests.layer_tables import Small, names, row

SIDE = 64

Mix = Callable[[Small, Tensor], Tensor]


def table(forward: Callable[[Small, Tensor], object], **parts: nn.Module) -> tuple[LayerInfo, ...]:
    """The table of a small network on photographs of 64 px; its weights are the same each time."""
    torch.manual_seed(0)
    for part in parts.values():
        for module in part.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
    return layer_table(Small(forward, **parts).eval(), probe_images(SIDE, SIDE))


def seen(mix: Mix, channels: int = 12, stride: int = 4, **parts: nn.Module) -> LayerInfo | None:
    """Return the listed layout of `mix` for a map of 16 × 16; None if it is no layer."""
    found = table(
        lambda net, x: net.inside(mix(net, net.patch(x))),
        patch=nn.Conv2d(3, channels, 4, stride=stride),
        inside=nn.Identity(),
        **parts,
    )
    return row(found, "inside") if "inside" in names(found) else None


def shape_and_layout(found: LayerInfo | None) -> tuple[int, int, int, str]:
    assert found is not None
    return found.channels, found.height, found.width, found.layout


def windows(x: Tensor) -> Tensor:
    """(N, C, 16, 16) → (N, 4 · 4 windows, 4 · 4 places, C)."""
    n, c = x.shape[:2]
    return x.view(n, c, 4, 4, 4, 4).permute(0, 2, 4, 3, 5, 1).reshape(n, 16, 16, c)


def with_others(x: Tensor, before: int, behind: int) -> Tensor:
    """Tokens with others in front and behind."""
    tokens = x.flatten(2).transpose(1, 2)
    others = [torch.ones(len(x), count, x.shape[1]) for count in (before, behind)]
    return torch.cat([others[0], tokens, others[1]], dim=1)


def shuffled_channels(x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    return x.view(n, 4, c // 4, h, w).transpose(1, 2).reshape(n, c, h, w)


@pytest.mark.parametrize("channels", [12, 16, 24])
@pytest.mark.parametrize(
    ("mix", "layout"),
    [
        (lambda x: x, "NCHW"),
        (lambda x: x.movedim(1, -1), "NHWC"),
        (lambda x: torch.einsum("nchw->nhwc", x), "NHWC"),
        (lambda x: x.transpose(1, 2).transpose(2, 3), "NHWC"),
        (lambda x: x.swapaxes(1, 3).swapaxes(1, 2), "NHWC"),
        (lambda x: x.flatten(2).mT.unflatten(1, (16, 16)), "NHWC"),
        (lambda x: x.transpose(1, 2), "NHCW"),
        (shuffled_channels, "NCHW"),
        (lambda x: x.transpose(2, 3), "NCHW@WH"),
        (lambda x: x.movedim(1, -1).transpose(1, 2), "NHWC@WH"),
        (lambda x: x.flip(-1), "NCHW@Hw"),
        (lambda x: x.flip(2), "NCHW@hW"),
        (lambda x: x.flip((2, 3)), "NCHW@hw"),
        (lambda x: x.rot90(1, (2, 3)), "NCHW@wH"),
        (lambda x: x.rot90(-1, (2, 3)), "NCHW@Wh"),
        (lambda x: x.flatten(2), "NCL"),
        (lambda x: x.flatten(2).mT, "NLC"),
        (lambda x: x.transpose(2, 3).flatten(2).mT, "NLC@WH"),
        (lambda x: x.flip(-1).flatten(2).mT, "NLC@Hw"),
        (lambda x: with_others(x, 1, 0), "NLC+1"),
        (lambda x: with_others(x, 0, 1), "NLC-1"),
        (lambda x: with_others(x, 1, 4), "NLC+1-4"),
        (lambda x: with_others(x, 5, 0), "NLC+5"),
        (lambda x: x.unsqueeze(2).squeeze(2), "NCHW"),
    ],
)
def test_axes_are_found_however_they_were_arranged(
    mix: Callable[[Tensor], Tensor], layout: str, channels: int
) -> None:
    """Also where there are as many channels as rows and columns."""
    found = seen(lambda net, x: mix(x), channels)
    assert shape_and_layout(found) == (channels, 16, 16, layout)


def attention(x: Tensor, heads: int) -> Tensor:
    """(N, heads, H·W, H·W): what each place makes of each."""
    n, c = x.shape[:2]
    q = x.reshape(n, heads, c // heads, -1)
    return (q.transpose(2, 3) @ q * 4).softmax(-1)


@pytest.mark.parametrize(
    "mix",
    [
        lambda x: attention(x, 1),
        lambda x: attention(x, 2),
        lambda x: attention(x, 4),
        lambda x: attention(x, 2).mean(1),
        lambda x: x.flatten(2).mT @ x.flatten(2),  # (N, H·W, H·W), before any softmax
        lambda x: attention(x, 2)[:, :, :, :64],
        lambda x: functional.avg_pool2d(x, 4).flatten(2).mT @ x.flatten(2),  # (N, 16, 256)
        lambda x: x.reshape(len(x), 2, 6, 256).transpose(2, 3),  # (N, heads, H·W, part)
        windows,
        lambda x: windows(x).flatten(1, 2),  # all tokens, window after window
        lambda x: x.flatten(1),
        lambda x: x.mean((2, 3)),
        lambda x: x.mean((2, 3), keepdim=True),
        lambda x: x.mean(1),  # (N, H, W)
    ],
)
def test_matrices_windows_and_vectors_are_no_maps(mix: Callable[[Tensor], Tensor]) -> None:
    assert seen(lambda net, x: mix(x)) is None


def test_attention_over_places_that_gates_them_is_a_map() -> None:
    found = seen(lambda net, x: x.mean(1, keepdim=True).sigmoid())
    assert shape_and_layout(found) == (1, 16, 16, "NCHW")


def test_positions_that_change_in_number_are_those_of_the_picture() -> None:
    assert shape_and_layout(seen(lambda net, x: functional.pixel_unshuffle(x, 2))) == (
        *(48, 8, 8),
        "NCHW",
    )
    assert shape_and_layout(seen(lambda net, x: functional.pixel_shuffle(x, 2))) == (
        *(3, 32, 32),
        "NCHW",
    )
    assert shape_and_layout(seen(lambda net, x: functional.interpolate(x, scale_factor=2))) == (
        *(12, 32, 32),
        "NCHW",
    )
    assert shape_and_layout(seen(lambda net, x: x.mean(3, keepdim=True))) == (12, 16, 1, "NCHW")


def test_picture_that_is_not_square_has_a_grid_in_its_proportion() -> None:
    network = Small(
        lambda net, x: net.inside(net.patch(x).flatten(2).mT),
        patch=nn.Conv2d(3, 8, 4, stride=4),
        inside=nn.Identity(),
    )
    found = row(layer_table(network.eval(), probe_images(64, 32)), "inside")
    assert shape_and_layout(found) == (8, 16, 8, "NLC")


def test_what_no_picture_changes_is_no_layer() -> None:
    """A table over relative positions, (1, 15, 15, 8), that a network works out in every run."""
    found = table(
        lambda net, x: net.patch(x) + net.table(torch.ones(1, 15, 15, 2)).mean(),
        patch=nn.Conv2d(3, 8, 4, stride=4),
        table=nn.Linear(2, 8),
    )
    assert names(found) == ["patch"]


def test_layer_that_never_answers_is_read_as_those_before_it() -> None:
    dead = nn.Threshold(1e6, 0.0)
    assert shape_and_layout(seen(lambda net, x: dead(x))) == (12, 16, 16, "NCHW")
    assert shape_and_layout(seen(lambda net, x: dead(x.movedim(1, -1)))) == (12, 16, 16, "NHWC")
    assert shape_and_layout(seen(lambda net, x: dead(x.flatten(2).mT))) == (12, 16, 16, "NLC")


@pytest.mark.parametrize("shift", [2, 4, 8, -3])
def test_map_that_is_rolled_has_no_places_of_its_own(shift: int) -> None:
    found = seen(lambda net, x: x.roll(shift, 3))
    assert shape_and_layout(found) == (12, 16, 16, "NCHW@?")
    assert found is not None
    assert found.places == ()


def test_behind_a_roll_that_is_undone_places_are_known_again() -> None:
    found = seen(lambda net, x: x.roll(8, 3).roll(-8, 3))
    assert shape_and_layout(found) == (12, 16, 16, "NCHW")


def test_what_reads_where_the_picture_says_has_no_places_of_its_own() -> None:
    """A spatial transformer, at first hardly moving anything."""

    def transformed(x: Tensor) -> Tensor:
        angle = x.mean((1, 2, 3)) * 0.01
        turn = torch.stack([torch.ones_like(angle), angle, angle], 1)
        matrix = torch.stack([turn, turn.roll(1, 1)], 1)
        grid = functional.affine_grid(matrix, list(x.shape), align_corners=False)
        return functional.grid_sample(x, grid, align_corners=False)

    found = seen(lambda net, x: transformed(x))
    assert found is not None
    assert found.layout.endswith("@?")


class Block(nn.Module):
    """Attention written out, so that modules see its matrices and the parts of its heads."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm, self.qkv = nn.LayerNorm(channels), nn.Linear(channels, 3 * channels)
        self.softmax, self.heads = nn.Softmax(-1), nn.Identity()
        self.out = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        n, length, channels = x.shape
        parts = self.qkv(self.norm(x)).view(n, length, 3, 2, channels // 2)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        mixed = self.heads(self.softmax(q @ k.mT / 3) @ v)
        after: Tensor = x + self.out(mixed.transpose(1, 2).reshape(n, length, channels))
        return after


@pytest.mark.parametrize(("channels", "side"), [(16, 16), (16, 64), (64, 32)])
@pytest.mark.parametrize("behind", [0, 1])
def test_transformer_with_a_class_token_at_either_end(
    channels: int, side: int, behind: int
) -> None:
    """Also as many channels as patches; matrices (N, 2, L, L) and heads (N, 2, L, d) are none."""
    torch.manual_seed(1)
    network = Small(
        lambda net, x: net.blocks(with_others(net.patch(x), 1 - behind, behind)),
        patch=nn.Conv2d(3, channels, 4, stride=4),
        blocks=nn.Sequential(*(Block(channels) for _ in range(4))),
    )
    found = layer_table(network.eval(), probe_images(side, side))
    tokens = [one for one in found if one.groups and one.name != "patch"]
    assert {one.layout for one in tokens} == {"NLC-1" if behind else "NLC+1"}
    assert {one.height for one in tokens} == {side // 4}
    assert len(tokens) == 1 + 4 * 4, "each block and three of its modules, and all of them"
    assert {one.type for one in found if not one.groups} == {"Softmax", "Identity"}


# --- the measure ----------------------------------------------------------------------------------


def test_ideal_shares_are_the_overlap_with_each_third() -> None:
    assert np.allclose(ideal(3) + 1 / 3, np.eye(3))
    assert np.allclose(ideal(2) + 1 / 3, [[2 / 3, 0], [1 / 3, 1 / 3], [0, 2 / 3]])


def test_share_that_moves_is_all_of_it_or_none() -> None:
    place = ideal(12) + 1 / 3
    assert moved(place) == pytest.approx(1)
    assert moved(place[:, ::-1], back=True) == pytest.approx(1)
    assert moved(np.ones((BANDS, 12))) == pytest.approx(0)
    assert spread(np.ones((BANDS, 12))) == 0
    assert moved(place + 1) == pytest.approx(1 / 4), "three quarters answer to everything"
    rolled = np.roll(place, 6, axis=1)
    assert spread(rolled) == pytest.approx(1)
    assert moved(rolled) == pytest.approx(-1 / 2), "no place where it should be"


def test_sketches_differ_as_much_as_the_outputs() -> None:
    generator = torch.Generator().manual_seed(1)
    change = torch.zeros(1, 40, 30, 20)
    change[:, :, 10:20] = torch.randn(1, 40, 10, 20, generator=generator)
    sizes = [one.norm(dim=1) / 8**0.5 for one in sketch(change)]
    wanted = [change[0].norm(dim=dims) for dims in ((1, 2), (0, 2), (0, 1))]
    for size, exact in zip(sizes, wanted, strict=True):
        assert torch.allclose(size.mean(), exact.mean(), rtol=0.15)
    assert not sizes[1][:10].any()
    assert sizes[1][10:20].all()


def test_bands_are_the_thirds_down_and_then_across() -> None:
    plain, other = torch.zeros(1, 6, 9), torch.ones(1, 6, 9)
    changed = list(changed_images(plain, other))
    assert [int(one.sum()) for one in changed] == [2 * 9] * 3 + [6 * 3] * 3
    assert changed[1][0, 2:4].all()
    assert changed[5][0, :, 6:].all()
