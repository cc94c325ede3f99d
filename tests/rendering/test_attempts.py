"""Blocks, batches, seeds and retries: how a picture comes to be kept."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from atlas.network.network import Network
from atlas.records import LayerStats, Rendering, Scores, Unit
from atlas.rendering import attempts as workers
from atlas.rendering.attempts import (
    BLOCK_UNITS,
    Block,
    Material,
    Settings,
    even_chunks,
    failed_rendering,
    is_out_of_memory,
    plan_blocks,
    render_block,
    shard_blocks,
    unit_seed,
)
from atlas.rendering.engine import render
from atlas.rendering.job import Draft, Job
from atlas.rendering.recipes import RECIPES, FourierRecipe, Octave, PixelRecipe, Recipe
from atlas.rendering.scoring import score_images
from tests.helpers import layer_info, natural_stats, network_of, smooth_images, tiny_network

SIDE = 16


# --- blocks and chunks ---------------------------------------------------------------------------


def blocks(chosen: Sequence[int], finished: Sequence[int] = ()) -> list[tuple[int, int, int]]:
    return [
        (block.first, block.last, len(block.channels))
        for block in plan_blocks("a", chosen, finished)
    ]


def test_borders_of_blocks_are_multiples_of_their_size() -> None:
    assert BLOCK_UNITS == 32
    assert blocks(range(70)) == [(0, 31, 32), (32, 63, 32), (64, 69, 6)]
    assert blocks([]) == []


def test_blocks_leave_out_what_is_finished_and_keep_their_borders() -> None:
    chosen = list(range(100, 170))
    finished = [*chosen[:32], chosen[33], chosen[63]]
    assert blocks(chosen, finished) == [(32, 62, 30), (64, 69, 6)]
    (first, _) = plan_blocks("a", chosen, finished)
    assert first.channels == (132, *range(134, 163))
    assert first.layer == "a"
    assert blocks(chosen, chosen) == []


def test_channels_come_in_order_of_rank() -> None:
    (block,) = plan_blocks("a", [7, 3, 9], [3])
    assert (block.first, block.last, block.channels) == (0, 2, (7, 9))


def test_more_units_later_leave_earlier_blocks_as_they_are() -> None:
    assert blocks(range(40), range(10)) == [(10, 31, 22), (32, 39, 8)]


CHOSEN = {"early": range(70), "late": range(100), "classes": range(10)}
COSTS = {"early": 1.0, "late": 3.0, "classes": 4.0}


@pytest.mark.parametrize("shards", [1, 2, 3, 8, 20])
def test_every_block_is_in_exactly_one_shard(shards: int) -> None:
    parts = [shard_blocks(CHOSEN, COSTS, (number, shards)) for number in range(1, shards + 1)]
    assert sorted(place for part in parts for place in part) == [
        *(("classes", 0), ("early", 0), ("early", 32), ("early", 64)),
        *(("late", 0), ("late", 32), ("late", 64), ("late", 96)),
    ]


def test_shards_have_equally_much_to_do() -> None:
    # 96, 96, 96 of late; 40 of classes; 32, 32 of early; 12 of late; 6 of early: 410 in all
    one, two = (shard_blocks(CHOSEN, COSTS, (number, 2)) for number in (1, 2))
    assert one == {("late", 0), ("late", 64), ("late", 96)}  # 96 + 96 + 12 = 204
    assert two == shard_blocks(CHOSEN, COSTS, (1, 1)) - one  # 206


def test_a_finished_block_moves_no_other_to_another_shard() -> None:
    ours = shard_blocks({"a": range(96)}, {"a": 1.0}, (2, 2))
    assert ours == {("a", 32)}
    firsts = [
        [block.first for block in plan_blocks("a", range(96), finished, ours)]
        for finished in ([], range(40), range(96))
    ]
    assert firsts == [[32], [40], []]


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


def settings_of(recipe: Recipe, batch: int = 8) -> Settings:
    return Settings(
        recipe=recipe, size=SIDE, seed=0, batch=batch, precision="fp32", natural_hf=0.05
    )


class Studio:
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
        self.material = Material(
            natural={layer: self.stats},
            best_image=lambda channel: images[int(self.stats.over_images(channel).argmax())],
            earlier=lambda channel: (),
            magnitude=np.zeros((3, 0, 0), np.float32),
        )

    def render(
        self, channels: Sequence[int], settings: Settings | None = None
    ) -> tuple[Rendering, ...]:
        block = Block(layer=self.layer, first=0, last=len(channels) - 1, channels=tuple(channels))
        return render_block(self.network, block, settings or settings_of(short()), self.material)


def tiny() -> Studio:
    return Studio(tiny_network(), "relu1", 4, SIDE, smooth_images(12))


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
    studio = tiny()
    (one,) = studio.render([1])
    pixels = np.round(one.image.astype(np.float32) * 255).astype(np.uint8).transpose(1, 2, 0)
    (scores,) = score_images(studio.network, "relu1", [1], [pixels], studio.stats, 0.05)
    assert one.scores == scores


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_batch_size_changes_no_byte(batch: int) -> None:
    studio = tiny()
    for one, other in zip(
        studio.render([0, 1, 2, 3]),
        studio.render([0, 1, 2, 3], settings_of(short(), batch)),
        strict=True,
    ):
        assert np.array_equal(one.image, other.image)
        assert one.scores == other.scores
        assert (one.seed, one.attempts, one.start) == (other.seed, other.attempts, other.start)


def test_seed_depends_on_each_of_its_parts() -> None:
    network, unit, settings = tiny().network, Unit(layer="a", channel=1), settings_of(short())
    seeds = [
        unit_seed(network, unit, settings, 0),
        unit_seed(network, unit, settings, 1),
        unit_seed(network, replace(unit, channel=2), settings, 0),
        unit_seed(network, replace(unit, layer="b"), settings, 0),
        unit_seed(network, unit, replace(settings, seed=1), 0),
        unit_seed(network, unit, replace(settings, size=32), 0),
        unit_seed(network, unit, replace(settings, recipe=short(learning_rate=0.06)), 0),
    ]
    same = unit_seed(network, unit, replace(settings, batch=1, natural_hf=1.0), 0)
    network.weights_sha256 = "1" * 64
    seeds.append(unit_seed(network, unit, settings, 0))
    assert len(set(seeds)) == len(seeds)
    assert same == seeds[0], "batch, precision and natural images are no part of it"
    assert all(0 <= seed < 2**63 for seed in seeds)


# --- retries -------------------------------------------------------------------------------------


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """The jobs that are rendered."""
    seen: list[Job] = []

    def remember(network: Network, recipe: Recipe, job: Job) -> list[Draft]:
        seen.append(job)
        return render(network, recipe, job)

    monkeypatch.setattr(workers, "render", remember)
    return seen


def scripted(monkeypatch: pytest.MonkeyPatch, reaches: dict[int, list[float]]) -> None:
    """Let the attempts at each unit score these values of REACH, one after the other."""
    left = {channel: list(values) for channel, values in reaches.items()}

    def score(_network: Network, _layer: str, channels: Sequence[int], *_: object) -> list[Scores]:
        return [
            Scores(activation=1, reach=left[channel].pop(0), select=1, robust=1, hf=1)
            for channel in channels
        ]

    monkeypatch.setattr(workers, "score_images", score)


def test_weak_unit_gets_three_seeds_then_its_example_and_the_best_is_kept(
    jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = tiny()
    scripted(monkeypatch, {0: [0.2, 0.5, 0.3, 0.4], 2: [2.0], 3: [0.1, 1.5]})
    kept = {one.unit.channel: one for one in studio.render([0, 2, 3])}
    assert [job.channels for job in jobs] == [(0, 2, 3), (0, 3), (0,), (0,)]
    assert [job.start is not None for job in jobs] == [False, False, False, True]
    unit, settings = Unit(layer="relu1", channel=0), settings_of(short())
    seeds = [unit_seed(studio.network, unit, settings, attempt) for attempt in range(4)]
    assert [job.seeds[0] for job in jobs] == seeds
    assert (kept[0].scores.reach, kept[0].seed, kept[0].start) == (0.5, seeds[1], "noise")
    assert [kept[channel].attempts for channel in (0, 2, 3)] == [4, 1, 2]
    assert [kept[channel].status for channel in (0, 2, 3)] == ["weak", "ok", "ok"]


def test_example_start_that_does_better_is_kept_and_labelled(
    jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = tiny()
    scripted(monkeypatch, {0: [0.2, 0.5, 0.3, 1.2]})
    (kept,) = studio.render([0])
    assert (kept.status, kept.start, kept.attempts) == ("ok", "example", 4)
    assert jobs[-1].start is not None
    assert np.array_equal(jobs[-1].start[0], studio.material.best_image(0))


def test_unit_that_real_images_do_not_excite_more_needs_no_example(
    jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    def score(_network: Network, _layer: str, channels: Sequence[int], *_: object) -> list[Scores]:
        return [Scores(activation=1, reach=2, select=9, robust=1, hf=1) for _ in channels]

    monkeypatch.setattr(workers, "score_images", score)
    (kept,) = tiny().render([0])
    assert (kept.status, kept.attempts, kept.start) == ("weak", 3, "noise")
    assert all(job.start is None for job in jobs)


def test_pixel_recipe_is_tried_once(jobs: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = RECIPES["pyramid"]
    assert isinstance(recipe, PixelRecipe)
    scripted(monkeypatch, {0: [0.2]})
    (kept,) = tiny().render([0], settings_of(replace(recipe, sizes=2, steps=2)))
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
    studio, sizes = tiny(), []
    expected = studio.render([0, 1, 2, 3])

    def limited(network: Network, recipe: Recipe, job: Job) -> list[Draft]:
        sizes.append(len(job.channels))
        if len(job.channels) > 1:
            raise error
        return render(network, recipe, job)

    monkeypatch.setattr(workers, "render", limited)
    got = studio.render([0, 1, 2, 3])
    assert sizes[:7] == [4, 2, 1, 1, 2, 1, 1]
    for one, other in zip(expected, got, strict=True):
        assert np.array_equal(one.image, other.image)
        assert one.scores == other.scores


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("out of memory"), RuntimeError("bug")])
def test_one_unit_that_does_not_fit_and_other_errors_are_raised(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def fail(_network: Network, _recipe: Recipe, job: Job) -> list[Draft]:
        calls.append(len(job.channels))
        raise error

    monkeypatch.setattr(workers, "render", fail)
    with pytest.raises(type(error)):
        tiny().render([0, 1])
    assert calls == ([2, 1] if is_out_of_memory(error) else [2])


# --- units that fail -----------------------------------------------------------------------------


class Overflow(nn.Module):
    """Channel 1 overflows wherever it is above zero."""

    def forward(self, maps: Tensor) -> Tensor:
        return torch.stack([maps[:, 0], maps[:, 1] * 3e38 * 1e6, *maps[:, 2:].unbind(1)], 1)


def test_unit_that_is_not_finite_is_tried_again_at_half_the_rate_alone(jobs: list[Job]) -> None:
    clean = tiny()
    parts = dict(tiny_network().named_children())
    broken = nn.Sequential(parts["conv1"], parts["relu1"], Overflow())
    studio = Studio(broken, "2", 4, SIDE, smooth_images(12))
    first, spoilt, second = studio.render([0, 1, 2], settings_of(short(seeds=1)))
    assert [(job.channels, job.rate) for job in jobs[:2]] == [((0, 1, 2), 1.0), ((1,), 0.5)]
    assert jobs[1].seeds == jobs[0].seeds[1:2]
    assert spoilt.status == "nonfinite"
    assert spoilt.attempts == 1
    assert np.isfinite(spoilt.image.astype(np.float32)).all()
    for one in (first, second):
        assert one.status in ("ok", "weak")
        assert one.scores.reach > 0
    assert clean.stats.finite.all()
    assert not studio.stats.finite[1]


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
    studio = Studio(silent_network(activation), "3", 4, SIDE, bright_patches())
    assert studio.stats.std[2] == 0
    red, green, dead, blue = studio.render([0, 1, 2, 3], settings_of(short()))
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
    kept = tiny().render([0], replace(settings_of(short()), snapshots=True))[0].snapshots
    assert kept.shape == (2, 3, 112, 112)
    assert tiny().render([0])[0].snapshots.shape[0] == 0
