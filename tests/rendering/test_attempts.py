"""Batches, seeds and further attempts: how a picture comes to be kept."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from atlas.network.memory import is_out_of_memory
from atlas.network.network import Network
from atlas.records.statistics import LayerStats
from atlas.records.units import Rendering, Scores, Unit
from atlas.rendering import attempts, engine
from atlas.rendering.attempts import even_chunks, failed_rendering, render_best
from atlas.rendering.engine import render
from atlas.rendering.job import Draft, Job
from atlas.rendering.kinds import FourierRecipe, Octave, Recipe
from atlas.rendering.recipes import RECIPES
from atlas.rendering.scoring import score_images
from atlas.rendering.sources import PixelRecipe
from tests.helpers import (
    layer_info,
    natural_stats,
    nature_of,
    network_of,
    smooth_images,
    tiny_network,
)

SIDE = 16

Jobs = list[Job[Recipe]]


# --- chunks --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "largest", "sizes"),
    [(0, 8, []), (1, 8, [1]), (8, 8, [8]), (9, 8, [5, 4]), (17, 8, [6, 6, 5]), (3, 1, [1, 1, 1])],
)
def test_chunks_are_few_and_even(count: int, largest: int, sizes: list[int]) -> None:
    chunks = even_chunks(range(count), largest)
    assert [len(chunk) for chunk in chunks] == sizes
    assert [channel for chunk in chunks for channel in chunk] == list(range(count))


# --- a small run ---------------------------------------------------------------------------------


def short(**changes: object) -> FourierRecipe:
    recipe = RECIPES["octaves"]
    assert isinstance(recipe, FourierRecipe)
    steps = (Octave(share=0.5, steps=12), Octave(share=1.0, steps=12))
    return replace(recipe, octaves=steps, **changes)  # type: ignore[arg-type]


class Workshop:
    """A network, its natural statistics, and everything to render units of one layer."""

    def __init__(
        self,
        plain: nn.Module,
        layer: str,
        channels: int,
        side: int,
        images: list[NDArray[np.uint8]],
    ) -> None:
        self.network: Network = network_of(plain, [layer], SIDE)
        self.layer = layer
        self.stats: LayerStats = natural_stats(
            self.network, layer_info(layer, channels, side), images
        )
        self.examples = {
            channel: images[int(self.stats.over_images(channel).argmax())]
            for channel in range(channels)
        }

    def job(
        self, channels: Sequence[int], recipe: Recipe | None = None, **changes: object
    ) -> Job[Recipe]:
        nature = nature_of(
            {self.layer: self.stats}, hf=0.05, magnitude=np.zeros((3, 0, 0), np.float32)
        )
        job: Job[Recipe] = Job(
            recipe=recipe or short(),
            layer=self.layer,
            channels=tuple(channels),
            size=SIDE,
            seed=0,
            weights=self.network.weights_sha256,
            batch=8,
            precision="fp32",
            nature=nature,
            examples=self.examples,
            earlier={},
        )
        return replace(job, **changes)  # type: ignore[arg-type]

    def render(
        self, channels: Sequence[int], recipe: Recipe | None = None, **changes: object
    ) -> tuple[Rendering, ...]:
        return render_best(self.network, self.job(channels, recipe, **changes))


def tiny() -> Workshop:
    return Workshop(tiny_network(), "relu1", 4, SIDE, smooth_images(12))


def test_units_come_back_in_the_order_of_the_block() -> None:
    renderings = tiny().render([3, 0, 2])
    assert [one.unit.channel for one in renderings] == [3, 0, 2]
    for one in renderings:
        assert one.image.shape == (3, SIDE, SIDE)
        assert one.image.dtype == np.float16
        assert one.octave_steps == (12, 12)
        assert one.precision == "fp32"
        assert one.seconds > 0
        assert (one.reason == "") == (one.status == "ok")


def test_scores_are_those_of_the_8_bit_picture() -> None:
    workshop = tiny()
    (one,) = workshop.render([1])
    pixels = np.round(one.image.astype(np.float32) * 255).astype(np.uint8).transpose(1, 2, 0)
    (scores,) = score_images(workshop.network, "relu1", [1], [pixels], workshop.stats, 0.05)
    assert one.scores == scores


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_batch_size_changes_no_byte(batch: int) -> None:
    workshop = tiny()
    for one, other in zip(
        workshop.render([0, 1, 2, 3]),
        workshop.render([0, 1, 2, 3], batch=batch),
        strict=True,
    ):
        assert np.array_equal(one.image, other.image)
        assert one.scores == other.scores
        assert (one.seed, one.attempts, one.start) == (other.seed, other.attempts, other.start)


def test_seed_depends_on_each_of_its_parts() -> None:
    job = tiny().job([1])
    others = [
        job,
        replace(job, attempt=1),
        replace(job, channels=(2,)),
        replace(job, layer="b"),
        replace(job, seed=1),
        replace(job, size=32),
        replace(job, recipe=short(learning_rate=0.07)),
        replace(job, weights="1" * 64),
    ]
    seeds = [seed for one in others for seed in one.seeds]
    assert len(set(seeds)) == len(others)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert replace(job, channels=(2, 1), batch=1, precision="bf16").seeds[1] == seeds[0]


# --- retries -------------------------------------------------------------------------------------


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Jobs:
    """The jobs that are rendered."""
    seen: Jobs = []

    def remember(network: Network, job: Job[Recipe]) -> list[Draft]:
        seen.append(job)
        return render(network, job)

    monkeypatch.setattr(engine, "render", remember)
    return seen


def scripted(monkeypatch: pytest.MonkeyPatch, reaches: dict[int, list[float]]) -> None:
    """Let the attempts at each unit score these values of REACH, one after the other."""
    left = {channel: list(values) for channel, values in reaches.items()}

    def score(_network: Network, _layer: str, channels: Sequence[int], *_: object) -> list[Scores]:
        return [
            Scores(activation=1, reach=left[channel].pop(0), select=1, robust=1, hf=1)
            for channel in channels
        ]

    monkeypatch.setattr(attempts, "score_images", score)


def test_weak_unit_gets_three_seeds_then_its_example_and_the_best_is_kept(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop = tiny()
    scripted(monkeypatch, {0: [0.2, 0.5, 0.3, 0.4], 2: [2.0], 3: [0.1, 1.5]})
    kept = {one.unit.channel: one for one in workshop.render([0, 2, 3])}
    assert [job.channels for job in jobs] == [(0, 2, 3), (0, 3), (0,), (0,)]
    assert [job.start for job in jobs] == ["noise", "noise", "noise", "example"]
    seeds = [workshop.job([0], attempt=attempt).seeds[0] for attempt in range(4)]
    assert [job.seeds[0] for job in jobs] == seeds
    assert (kept[0].scores.reach, kept[0].seed, kept[0].start) == (0.5, seeds[1], "noise")
    assert [kept[channel].attempts for channel in (0, 2, 3)] == [4, 1, 2]
    assert [kept[channel].status for channel in (0, 2, 3)] == ["weak", "ok", "ok"]


def test_example_start_that_does_better_is_kept_and_labelled(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop = tiny()
    scripted(monkeypatch, {0: [0.2, 0.5, 0.3, 1.2]})
    (kept,) = workshop.render([0])
    assert (kept.status, kept.start, kept.attempts) == ("ok", "example", 4)
    assert jobs[-1].start == "example"


def test_unit_that_real_images_do_not_excite_more_needs_no_example(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def score(_network: Network, _layer: str, channels: Sequence[int], *_: object) -> list[Scores]:
        return [Scores(activation=1, reach=2, select=9, robust=1, hf=1) for _ in channels]

    monkeypatch.setattr(attempts, "score_images", score)
    (kept,) = tiny().render([0])
    assert (kept.status, kept.attempts, kept.start) == ("weak", 3, "noise")
    assert all(job.start == "noise" for job in jobs)


def test_pixel_recipe_is_tried_once(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = RECIPES["pyramid"]
    assert isinstance(recipe, PixelRecipe)
    scripted(monkeypatch, {0: [0.2]})
    (kept,) = tiny().render([0], replace(recipe, sizes=2, steps=2))
    assert (kept.attempts, kept.status, len(jobs)) == (1, "weak", 1)


# --- memory --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
def test_batch_that_does_not_fit_is_halved_and_gives_the_same_pictures(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop, sizes = tiny(), []
    expected = workshop.render([0, 1, 2, 3])

    def limited(network: Network, job: Job[Recipe]) -> list[Draft]:
        sizes.append(len(job.channels))
        if len(job.channels) > 1:
            raise error
        return render(network, job)

    monkeypatch.setattr(engine, "render", limited)
    got = workshop.render([0, 1, 2, 3])
    assert sizes[:7] == [4, 2, 1, 1, 2, 1, 1]
    for one, other in zip(expected, got, strict=True):
        assert np.array_equal(one.image, other.image)
        assert one.scores == other.scores


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("out of memory"), RuntimeError("bug")])
def test_one_unit_that_does_not_fit_and_other_errors_are_raised(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def fail(_network: Network, job: Job[Recipe]) -> list[Draft]:
        calls.append(len(job.channels))
        raise error

    monkeypatch.setattr(engine, "render", fail)
    with pytest.raises(type(error)):
        tiny().render([0, 1])
    assert calls == ([2, 1] if is_out_of_memory(error) else [2])


# --- units that fail -----------------------------------------------------------------------------


class Overflow(nn.Module):
    """Channel 1 overflows wherever it is above zero."""

    def forward(self, maps: Tensor) -> Tensor:
        return torch.stack([maps[:, 0], maps[:, 1] * 3e38 * 1e6, *maps[:, 2:].unbind(1)], 1)


def test_unit_that_is_not_finite_is_tried_again_at_half_the_rate_alone(
    jobs: Jobs,
) -> None:
    clean = tiny()
    parts = dict(tiny_network().named_children())
    broken = nn.Sequential(parts["conv1"], parts["relu1"], Overflow())
    workshop = Workshop(broken, "2", 4, SIDE, smooth_images(12))
    first, spoilt, second = workshop.render([0, 1, 2], short(seeds=1))
    assert [(job.channels, job.rate) for job in jobs[:2]] == [((0, 1, 2), 1.0), ((1,), 0.5)]
    assert jobs[1].seeds == jobs[0].seeds[1:2]
    assert spoilt.status == "nonfinite"
    assert spoilt.attempts == 1
    assert np.isfinite(spoilt.image.astype(np.float32)).all()
    for one in (first, second):
        assert one.status in ("ok", "weak")
        assert one.scores.reach > 0
    assert clean.stats.finite.all()
    assert not workshop.stats.finite[1]


def bright_patches() -> list[NDArray[np.uint8]]:
    """Natural images, some with a patch of full red or full green."""
    images = smooth_images(12)
    for i in range(6):
        images[i] = images[i].copy()
        images[i][4:12, 2 * i : 2 * i + 6] = (255, 0, 0) if i % 2 else (0, 255, 0)
    return images


def silent_network(activation: Callable[[], nn.Module]) -> nn.Module:
    """Channels 0 and 1 need red or green above .8 twice; 2 is dead for good; 3 is blue."""
    first, second = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)
    nn.init.zeros_(first.weight)
    nn.init.zeros_(second.weight)
    for channel, (colour, least) in enumerate([(0, 0.8), (1, 0.8), (2, 0.0), (2, 0.0)]):
        first.weight.data[channel, colour] = 1.0
        first.bias.data[channel] = -least  # type: ignore[union-attr]
        second.weight.data[channel, channel] = 0.0 if channel == 2 else 2.0
        second.bias.data[channel] = -1.0 if channel == 2 else -0.1  # type: ignore[union-attr]
    return nn.Sequential(first, activation(), second, activation())


class Clamp(nn.Module):
    """A ReLU in a form that is not redirected."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.clamp_min(0)


@pytest.mark.parametrize("activation", [nn.ReLU, nn.ReLU6, Clamp])
def test_units_silent_on_noise_come_alive_and_only_the_dead_one_is_dead(
    activation: Callable[[], nn.Module],
) -> None:
    workshop = Workshop(silent_network(activation), "3", 4, SIDE, bright_patches())
    assert workshop.stats.std[2] == 0
    red, green, dead, blue = workshop.render([0, 1, 2, 3])
    for one in (red, green, blue):
        assert one.status in ("ok", "weak")
        assert one.scores.reach > 0
        assert one.objective[-1] > one.objective[0]
    assert (dead.status, dead.attempts) == ("dead", 1)
    assert "no sample image activates this unit" in dead.reason
    if activation is Clamp:
        assert (red.start, green.start) == ("example", "example")
        assert (red.attempts, green.attempts) == (4, 4)
    assert red.image[0].max() > 0.8 > red.image[1].mean()
    assert green.image[1].max() > 0.8 > green.image[0].mean()


def test_failed_unit_is_recorded_with_its_reason_and_no_pixels() -> None:
    unit = Unit(layer="a", channel=1)
    one = failed_rendering(unit, "octaves", "ValueError: no")
    assert (one.unit, one.status, one.reason) == (unit, "failed", "ValueError: no")
    assert one.image.size == 0
    assert np.isnan(one.scores.reach)


def test_snapshots_are_kept_where_asked_for() -> None:
    kept = tiny().render([0], snapshots=True)[0].snapshots
    assert kept.shape == (2, 3, 112, 112)
    assert tiny().render([0])[0].snapshots.shape[0] == 0
