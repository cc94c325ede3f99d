"""Several blocks optimised together: whatever fails, each unit ends in its own block."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from atlas.config import Config
from atlas.network.network import Network
from atlas.rendering import engine
from atlas.rendering.job import Draft, Job
from atlas.rendering.kinds import FourierRecipe, Octave, Recipe
from atlas.rendering.recipes import RECIPES
from atlas.workers import local
from atlas.workers import renderer as worker
from atlas.workers.local import how_many_work, joined, render_here
from atlas.workers.renderer import Rendered, Renderer
from atlas.workers.schedule import BlockGroup, UnitBlock
from tests.helpers import layer_info, natural_stats, nature_of, network_of, smooth_images
from tests.helpers import tiny_network as tiny_plain

Tiny = Callable[..., Config]


@pytest.fixture
def rendering(tiny: Tiny) -> Renderer:
    """Renders units of relu1 of the tiny network, all of them in one batch."""
    network = network_of(tiny_plain(), ["relu1"])
    stats = natural_stats(network, layer_info("relu1", 4, 16), smooth_images(8))
    nature = nature_of({"relu1": stats}, hf=0.05, magnitude=np.zeros((3, 0, 0), np.float32))
    return Renderer(tiny(size=32, batch=64), network, nature)


def blocks(*channels: Sequence[int]) -> list[UnitBlock]:
    """A block for each of the sequences, by few steps and without further attempts."""
    recipe = RECIPES["octaves"]
    assert isinstance(recipe, FourierRecipe)
    short = replace(recipe, octaves=(Octave(share=1.0, steps=3),), seeds=1)
    grey = np.full((32, 32, 3), 128, np.uint8)
    return [
        UnitBlock(
            recipe=short,
            layer=layer_info("relu1", 4, 16),
            first=first,
            last=first + len(some) - 1,
            channels=tuple(some),
            examples=dict.fromkeys(some, grey),
        )
        for first, some in enumerate(channels)
    ]


def made(rendered: Sequence[Rendered]) -> list[list[int]]:
    """Channels of each block."""
    return [[one.unit.channel for one in each.renderings] for each in rendered]


def test_blocks_together_give_the_bytes_of_each_alone(rendering: Renderer) -> None:
    several = blocks([2, 0], [3], [1])
    together = rendering.render(several)
    assert made(together) == [[2, 0], [3], [1]]
    for block, rendered in zip(several, together, strict=True):
        (alone,) = rendering.render([block])
        for one, other in zip(alone.renderings, rendered.renderings, strict=True):
            assert one.image.tobytes() == other.image.tobytes()
            assert replace(one.scores, confidence=0) == replace(other.scores, confidence=0)


def test_seconds_are_shared_out_by_units(rendering: Renderer) -> None:
    one, two = rendering.render(blocks([2], [0, 1]))
    assert two.seconds == pytest.approx(2 * one.seconds)


@pytest.mark.parametrize("fits", [1, 2, 3])
def test_a_lack_of_memory_with_several_blocks_in_flight_loses_nothing(
    rendering: Renderer, monkeypatch: pytest.MonkeyPatch, fits: int
) -> None:
    several = blocks([2, 0], [3], [1])
    wanted = rendering.render(several)
    render, asked = engine.render, []

    def limited(network: Network, job: Job[Recipe]) -> list[Draft]:
        asked.append(len(job.channels))
        if len(job.channels) > fits:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return render(network, job)

    monkeypatch.setattr(engine, "render", limited)
    found = rendering.render(several)
    assert asked[0] == 4
    assert made(found) == [[2, 0], [3], [1]]
    for one, other in zip(wanted, found, strict=True):
        for ours, theirs in zip(one.renderings, other.renderings, strict=True):
            assert ours.image.tobytes() == theirs.image.tobytes()


def test_a_unit_that_fails_takes_no_other_of_its_group_with_it(
    rendering: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = worker.render_best, []

    def cursed(network: Network, job: Job[Recipe]) -> Any:
        asked.append(job.channels)
        if 0 in job.channels:
            raise ValueError("channel 0 is cursed")
        return real(network, job)

    monkeypatch.setattr(worker, "render_best", cursed)
    found = rendering.render(blocks([2, 0], [3], [1]))
    assert made(found) == [[2, 0], [3], [1]]
    failed = [
        one.unit.channel for each in found for one in each.renderings if one.reason[-6:] == "cursed"
    ]
    assert failed == [0]
    assert asked == [(2, 0, 3, 1), (2, 0), (2,), (0,), (3,), (1,)]


def test_batch_and_precision_of_a_layer_are_found_out_once(
    rendering: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def runs_in(_network: Network, precision: str, _layer: str) -> bool:
        asked.append(precision)
        return True

    monkeypatch.setattr(Network, "runs_in", runs_in)
    for block in blocks([2, 0], [3], [1]):
        rendering.make_job(block)
    assert asked == ["fp32"]


def test_what_compile_could_not_do_is_said(rendering: Renderer) -> None:
    assert rendering.render(blocks([2]))[0].notes == ()
    rendering.network.recorder.failure = "steps are not recorded as CUDA graphs: why"
    assert rendering.render(blocks([2]))[0].notes == ("steps are not recorded as CUDA graphs: why",)


def test_compiled_blocks_that_fail_on_a_unit_are_given_up_and_the_group_rendered_again(
    rendering: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, eager = worker.render_best, rendering.network.way
    compiled = replace(eager)
    rendering.network.way, rendering.network._eager = compiled, eager

    def failing(network: Network, job: Job[Recipe]) -> Any:
        if network.way is compiled:
            raise RuntimeError("no code for this shape")
        return real(network, job)

    monkeypatch.setattr(worker, "render_best", failing)
    found = rendering.render(blocks([2, 0], [3]))
    assert made(found) == [[2, 0], [3]]
    assert not any(one.status == "failed" for each in found for one in each.renderings)
    assert found[0].notes[0].startswith("--compile on: blocks through torch.compile fail here")


# --- processes of this machine -------------------------------------------------------------------


def in_processes(
    rendering: Renderer, groups: Sequence[BlockGroup], count: int
) -> dict[int, list[Rendered]]:
    """What becomes of groups in so many processes, of which none may be lost."""
    return {
        id(group): made for group, made in render_here(rendering, count, pytest.fail, iter(groups))
    }


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize(
    "several", [[[[2, 0], [3], [1]]], [[[2, 0]], [[3, 1]]], [[[2]], [[0]], [[3]], [[1]]]]
)
def test_processes_make_the_bytes_of_one_process(
    rendering: Renderer, several: list[list[list[int]]], count: int
) -> None:
    groups = [BlockGroup(blocks=tuple(blocks(*some))) for some in several]
    one_by_one, side_by_side = (in_processes(rendering, groups, each) for each in (1, count))
    for group, wanted in zip(groups, several, strict=True):
        alone, shared = one_by_one[id(group)], side_by_side[id(group)]
        assert made(shared) == made(alone) == wanted
        for one, other in zip(alone, shared, strict=True):
            for picture, same in zip(one.renderings, other.renderings, strict=True):
                assert picture.image.tobytes() == same.image.tobytes()
                assert picture.seed == same.seed


def test_a_block_in_parts_keeps_its_order_and_what_was_noted(rendering: Renderer) -> None:
    (group,) = [BlockGroup(blocks=tuple(blocks([3, 1, 0, 2])))]
    parts = group.parts(3)
    assert [part.blocks[0].channels for part in parts] == [(3, 1), (0,), (2,)]
    shares = [Rendered(renderings=(), device="cpu", seconds=n, notes=("a",)) for n in (1.0, 2.0)]
    assert joined(shares) == Rendered(renderings=(), device="cpu", seconds=3.0, notes=("a",))


def test_compiled_blocks_are_rendered_in_one_process(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "how_many", lambda _: 4)
    device = torch.device("cpu")
    found = [how_many_work(tiny(compile=one), device) for one in ("auto", "off", "on")]
    assert found == [4, 4, 1]
