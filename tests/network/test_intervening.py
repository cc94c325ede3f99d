"""Interventions: outputs of layers are replaced, nothing else is, and no hook stays."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atlas.errors import InputError
from atlas.models.hooks import bypassed
from atlas.network.intervening import IMAGE, Interventions, cut_apart
from atlas.network.network import Network
from tests.attribution.wired import Body
from tests.helpers import network_of


def noise(count: int, side: int = 16, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


@contextmanager
def opened(plain: nn.Module, layers: Sequence[str]) -> Iterator[tuple[Network, Interventions]]:
    network = network_of(plain, layers)
    with network.intervene(layers) as run:
        yield network, run


def chain() -> nn.Sequential:
    """Three convolutions with ReLUs that change their input in place."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 4, 3),
            nn.ReLU(inplace=True),
            nn.Conv2d(4, 5, 3),
            nn.ReLU(inplace=True),
            nn.Conv2d(5, 2, 3),
        )


def hook_count(plain: nn.Module) -> int:
    return sum(
        len(one._forward_hooks) + len(one._forward_pre_hooks) + ("forward" in vars(one))
        for one in plain.modules()
    )


# --- replacing -----------------------------------------------------------------------------------


def test_given_maps_are_what_the_layers_behind_see() -> None:
    plain = chain()
    other = torch.randn(1, 5, 12, 12, generator=torch.Generator().manual_seed(1))
    with torch.no_grad(), opened(plain, ["0", "2", "4"]) as (_, run):
        scene = run.record(noise(1))
        got = run.rerun(scene, "2", ["4"], {"2": other})["4"]
    torch.testing.assert_close(got, plain[4](other.clamp_min(0)))


def test_recorded_maps_are_those_before_an_operation_in_place() -> None:
    plain = chain()
    with torch.no_grad(), opened(plain, ["0", "2", "4"]) as (_, run):
        scene = run.record(noise(1))
        run.rerun(scene, "2", ["4"], {"2": scene.maps["2"]})
        first = nn.functional.conv2d(noise(1), plain[0].weight, plain[0].bias)
    torch.testing.assert_close(scene.maps["0"], first)
    torch.testing.assert_close(scene.outputs["0"], first)
    assert float(first.min()) < 0, "the ReLU behind would have shown"


def test_each_row_of_what_is_given_has_its_own_answer() -> None:
    with torch.no_grad(), opened(chain(), ["0", "2", "4"]) as (_, run):
        scene = run.record(noise(1))
        rows = torch.cat([scene.maps["2"], 2 * scene.maps["2"]])
        both = run.rerun(scene, "2", ["4"], {"2": rows})["4"]
        torch.testing.assert_close(both[:1], scene.maps["4"])
        torch.testing.assert_close(both[1:], run.rerun(scene, "2", ["4"], {"2": rows[1:]})["4"])


def test_rows_that_do_not_fit_into_memory_together_run_one_by_one() -> None:
    room = [True]

    def forward(body: Body, images: Tensor) -> Tensor:
        maps: Tensor = body.last(body.first(images))
        if len(images) > 1 and not room[0]:
            raise torch.OutOfMemoryError("no room")
        return maps

    body = Body(forward, first=nn.Conv2d(3, 4, 1), last=nn.Conv2d(4, 2, 1))
    with torch.no_grad(), opened(body, ["first", "last"]) as (_, run):
        run.way = replace(run.way, stops=False)
        scene = run.record(noise(1))
        rows = torch.cat([scene.maps["first"], 2 * scene.maps["first"]])
        together = run.rerun(scene, "first", ["last"], {"first": rows})["last"]
        room[0] = False
        again = run.rerun(scene, "first", ["last"], {"first": rows})["last"]
    torch.testing.assert_close(again, together)


def test_nothing_before_the_first_replaced_layer_is_run_again() -> None:
    calls: list[str] = []

    class Counted(nn.Conv2d):
        def forward(self, images: Tensor) -> Tensor:
            calls.append("run")
            return super().forward(images)

    plain = nn.Sequential(Counted(3, 2, 1), Counted(2, 2, 1), Counted(2, 2, 1))
    with torch.no_grad(), opened(plain, ["0", "1", "2"]) as (_, run):
        scene = run.record(noise(1))
        calls.clear()
        run.rerun(scene, "1", ["2"], {"1": scene.maps["1"]})
    assert calls == ["run"]


def test_no_hook_stays_behind_and_the_network_is_as_it_was() -> None:
    plain = chain()
    before = plain(noise(1))
    with opened(plain, ["0", "2", "4"]) as (network, run):
        run.record(noise(1))
        assert hook_count(network.network)
    assert hook_count(network.network) == hook_count(plain) == 0
    assert torch.equal(plain(noise(1)), before)


class Pair(NamedTuple):
    """What some networks hand from block to block."""

    maps: Tensor
    loss: Tensor


class Packed(nn.Module):
    """A block that puts out a pair, a dict or a list."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.conv = kind, nn.Conv2d(3, 4, 1)

    def forward(self, images: Tensor) -> object:
        maps, loss = self.conv(images), images.mean((1, 2, 3))
        packed = {"pair": Pair(maps, loss), "dict": {"maps": maps, "loss": loss}}
        return {**packed, "list": [maps, loss]}[self.kind]


@pytest.mark.parametrize(("kind", "key"), [("pair", 0), ("dict", "maps"), ("list", 0)])
def test_maps_in_a_tuple_a_dict_or_a_list_are_replaced_where_they_are(
    kind: str, key: int | str
) -> None:
    def forward(body: Body, images: Tensor) -> Tensor:
        packed = body.block(images)
        loss = packed[1] if isinstance(key, int) else packed["loss"]
        return body.last(packed[key]) + loss[:, None, None, None]

    body = Body(forward, block=Packed(kind), last=nn.Conv2d(4, 2, 1))
    other = torch.ones(1, 4, 16, 16)
    with torch.no_grad(), opened(body, ["block", "last"]) as (_, run):
        scene = run.record(noise(1))
        got = run.rerun(scene, "block", ["last"], {"block": other})["last"]
        torch.testing.assert_close(got, body.last(other))
        run.rerun(scene, "last", ["last"], {})


def test_a_module_with_a_hook_of_its_own_is_run_and_then_replaced() -> None:
    plain, seen = chain(), []
    plain[2].register_forward_hook(lambda _module, _inputs, output: seen.append(1) or 2 * output)
    with torch.no_grad(), opened(plain, ["0", "2", "4"]) as (_, run):
        scene = run.record(noise(1))
        seen.clear()
        got = run.rerun(scene, "2", ["4"], {"2": scene.maps["2"]})["4"]
    assert seen
    torch.testing.assert_close(got, scene.maps["4"])


def test_a_network_that_needs_what_its_layers_leave_behind_is_run_whole() -> None:
    class Leaving(nn.Conv2d):
        def forward(self, images: Tensor) -> Tensor:
            self.left = images.mean((1, 2, 3), keepdim=True)
            return super().forward(images)

    def forward(body: Body, images: Tensor) -> Tensor:
        return body.last(body.first(images)) + body.first.left

    body = Body(forward, first=Leaving(3, 4, 1), last=nn.Conv2d(4, 2, 1))

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.end = body, nn.Conv2d(2, 2, 1)

        def forward(self, images: Tensor) -> Tensor:
            return self.end(self.body(images))

    with torch.no_grad(), opened(Whole(), ["body.first", "body", "end"]) as (_, run):
        assert not run.skips
        scene = run.record(noise(1))
        again = run.rerun(scene, "body", ["body"], {"body.first": 0 * scene.maps["body.first"]})
    wanted = body.last.bias.view(1, -1, 1, 1) + noise(1).mean()
    torch.testing.assert_close(again["body"], wanted.expand(1, 2, 16, 16))


def test_a_network_that_ends_by_clearing_up_is_run_to_its_end() -> None:
    kept: list[Tensor] = []

    def forward(body: Body, images: Tensor) -> Tensor:
        kept.append(body.first(images))
        deep: Tensor = body.last(body.second(kept[0]))
        kept.clear()
        return deep

    parts = {"first": nn.Conv2d(3, 4, 1), "second": nn.Conv2d(4, 4, 1), "last": nn.Conv2d(4, 2, 1)}
    with torch.no_grad(), opened(Body(forward, **parts), list(parts)) as (_, run):
        assert not run.way.stops
        scene, other = run.record(noise(1)), run.record(noise(1, seed=1))
        twice = torch.cat([scene.maps["first"]] * 2)
        run.rerun(scene, "second", ["second"], {"first": twice})
        again = run.record(noise(1, seed=1))
    torch.testing.assert_close(again.maps["last"], other.maps["last"])


def test_a_network_that_replaces_outputs_itself_is_refused() -> None:
    """Its second layer reads the weights' own input, not what the first one hands on."""

    def forward(body: Body, images: Tensor) -> Tensor:
        body.first(images)
        kept = body.first(images)  # the first call is looked at, the second one counts
        return body.last(kept + torch.rand(1))

    body = Body(forward, first=nn.Conv2d(3, 4, 1), last=nn.Conv2d(4, 2, 1))
    network = network_of(body, ["first"])
    with pytest.raises(InputError, match="run by themselves"):
        network.intervene(["first", "last"]).__enter__()


# --- the graph -----------------------------------------------------------------------------------


def test_cut_finds_the_layer_before_and_the_image() -> None:
    with opened(chain(), ["0", "2", "4"]) as (_, run):
        assert cut_apart(run, run.record(noise(1))) == {"0": (IMAGE,), "2": ("0",), "4": ("2",)}


def test_cut_sees_layers_inside_layers() -> None:
    """A residual block is fed by the convolution inside it and by what it adds that to."""

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 1)

        def forward(self, images: Tensor) -> Tensor:
            return F.relu(self.conv(images) + images)

    plain = nn.Sequential(nn.Conv2d(3, 4, 1), Residual())
    with opened(plain, ["0", "1.conv", "1"]) as (_, run):
        found = cut_apart(run, run.record(noise(1)))
    assert found == {"0": (IMAGE,), "1.conv": ("0",), "1": ("0", "1.conv")}


def test_an_operation_without_a_derivative_is_fed_by_nothing() -> None:
    class Hard(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: object, *slopes: Tensor) -> Tensor:
            raise NotImplementedError("nobody needs it")

    def forward(body: Body, images: Tensor) -> Tensor:
        return body.last(Hard.apply(body.first(images)))

    body = Body(forward, first=nn.Conv2d(3, 4, 1), last=nn.Conv2d(4, 2, 1))
    with opened(body, ["first", "last"]) as (_, run):
        assert cut_apart(run, run.record(noise(1))) == {"first": (IMAGE,), "last": ()}


def test_a_doubtful_derivative_does_not_warn_the_user() -> None:
    class Doubtful(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: object, *slopes: Tensor) -> Tensor:
            warnings.warn("this may be incorrect", UserWarning, stacklevel=1)
            return slopes[0]

    def forward(body: Body, images: Tensor) -> Tensor:
        return body.last(Doubtful.apply(body.first(images)))

    body = Body(forward, first=nn.Conv2d(3, 4, 1), last=nn.Conv2d(4, 2, 1))
    with opened(body, ["first", "last"]) as (_, run):
        assert cut_apart(run, run.record(noise(1)))["last"] == ("first",)


def test_a_function_of_the_module_itself_is_put_back() -> None:
    module = nn.Conv2d(3, 2, 1)
    own = module.forward
    module.forward = lambda images: 2 * own(images)  # type: ignore[method-assign]
    ours = module.forward
    with bypassed(module, lambda: "known"):
        assert module(noise(1)) == "known"
    assert module.forward is ours
