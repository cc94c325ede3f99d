"""The forecast: what is counted is exact, what is timed adds up."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from atlas import pipeline
from atlas.config import Config
from atlas.progress import Progress
from atlas.rendering.recipes import find_recipes
from atlas.stages.forecast import VIEW, Forecast, Row, forecast, site_bytes
from atlas.stages.forecast_text import forecast_text
from atlas.stages.recipes import choose_recipes
from atlas.stages.run import choose_layers, peek_work

Tiny = Callable[..., Config]

ROW = Row(layer="conv", units=4, renderings=3, cached=1, flops=2.5e12, seconds=90.0)
PLAN = Forecast(
    rows=(ROW, replace(ROW, layer="head", seconds=30.0)),
    images=10,
    ranking=12.0,
    lenses=60.0,
    lens_images=5,
    site=6.0,
    cache_bytes=123e6,
    site_bytes=450e6,
    masked=8,
    masks=24.0,
    traced=8,
    circuits=12.0,
    tuning=18.0,
)


def forecast_of(config: Config) -> Forecast:
    with peek_work(config, Progress(quiet=True)) as work:
        return forecast(work, choose_recipes(work), choose_layers(work))


def test_time_is_the_sum_of_its_parts() -> None:
    assert PLAN.seconds == pytest.approx(8 + 12 + 18 + 90 + 30 + 60 + 6 + 24 + 12)
    text = forecast_text(PLAN)
    assert "in all about 4.3 minutes" in text
    assert "masks of 8 units: 0.4 minutes" in text
    assert "circuits of 8 units: 0.2 minutes" in text
    assert "6 renderings: 2.0 minutes" in text
    assert "cache about 123 MB, site about 450 MB (50% of the 900 MB" in text


def test_table_has_a_row_a_layer_with_its_cost() -> None:
    rows = [line.split() for line in forecast_text(PLAN).splitlines()[:3]]
    assert rows[0] == ["layer", "units", "renderings", "cached", "TFLOP", "minutes"]
    assert rows[1] == ["conv", "4", "3", "1", "2.5", "1.5"]


def test_operations_are_steps_times_four_multiply_adds_of_all_missing_pictures(
    tiny: Tiny,
) -> None:
    (row,) = forecast_of(tiny(layers=("relu1",), recipe=("octaves",), units=2)).rows
    # octaves: 32 steps at full size; conv1 at 32 px: 32² positions × 4 channels × 27 weights
    assert row.flops == pytest.approx(1.2 * 2 * 32 * 4 * 32**2 * 4 * 27)


def test_everything_is_missing_before_and_nothing_after_a_build(tiny: Tiny) -> None:
    config = tiny(layers=("relu1", "relu2"), recipe=("octaves",), classes=1, lenses=3)
    before = forecast_of(config)
    assert [row.layer for row in before.rows] == ["relu1", "relu2", "class scores"]
    assert [row.units for row in before.rows] == [2, 3, 1]  # relu2: and about one for the class
    assert all(row.cached == 0 and row.seconds > 0 for row in before.rows)
    assert (before.lens_images, before.images) == (3, 10)
    assert before.masked == 2 + 3  # classes have none
    assert before.masks > 0
    assert before.traced == 2 + 3
    assert before.circuits > 0
    assert before.stimuli == 159
    assert before.tuning > 0
    assert "tuning over 159 synthetic stimuli: 0.0 minutes" in forecast_text(before)
    pipeline.build(config, Progress(quiet=True))
    after = forecast_of(config)
    assert all(row.renderings == 0 and row.seconds == 0 for row in after.rows)
    assert [row.cached for row in after.rows] == [2, 3, 1]  # relu2: the units behind the class too
    assert after.lens_images == after.ranking == after.lenses == after.tuning == 0
    assert after.masked == after.masks == 0
    assert after.traced == after.circuits == 0


def test_circuits_that_are_off_cost_nothing(tiny: Tiny) -> None:
    off, on = (forecast_of(tiny(circuits=circuits)) for circuits in ("off", "auto"))
    assert off.traced == off.circuits == 0
    assert on.cache_bytes - off.cache_bytes == on.traced * 10_000


def test_masks_that_are_off_cost_nothing(tiny: Tiny) -> None:
    off, on = (forecast_of(tiny(masks=masks)) for masks in ("off", "auto"))
    assert off.masked == off.masks == 0
    assert on.cache_bytes - off.cache_bytes == on.masked * 115_000


@pytest.mark.parametrize(("images", "wholes"), [(10, 10), (1000, 1000), (60_000, 1000)])
def test_whole_images_are_counted_once_and_as_many_as_strips_show_at_most(
    tiny: Tiny, images: int, wholes: int
) -> None:
    with peek_work(tiny(lenses=0), Progress(quiet=True)) as work:
        (item, *_) = work.images.items
        many = replace(work, images=replace(work.images, items=(item,) * images))
        assert site_bytes(many, 0, 0, 0) == wholes * VIEW


@pytest.mark.parametrize("recipe", ["company", "phase", "pyramid", "class"])
def test_every_kind_of_recipe_can_be_timed(tiny: Tiny, recipe: str) -> None:
    config = tiny(layers=("relu1",), recipe=("octaves",), units=1)
    with peek_work(config, Progress(quiet=True)) as work:
        plan = forecast(work, find_recipes((recipe,)), choose_layers(work))
    assert plan.rows[0].seconds > 0
