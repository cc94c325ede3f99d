"""Records: frozen values, and the few numbers that are derived from others."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from atlas.ranking.ranking import channel_statistics
from atlas.records.samples import Sample, SampleSet
from atlas.records.statistics import LayerStats
from atlas.records.units import Unit
from tests.helpers import layer_info


def stats(means: np.ndarray) -> LayerStats:
    table = means.astype(np.float32)
    places = np.zeros(table.shape, np.int32)
    return channel_statistics(layer_info("a", table.shape[1], 2), 8, table, table, places, table)


def test_unit_is_written_layer_colon_channel() -> None:
    assert str(Unit(layer="inception4a", channel=225)) == "inception4a:225"


def test_units_sort_by_layer_and_then_by_number() -> None:
    units = [Unit(layer="b", channel=1), Unit(layer="a", channel=10), Unit(layer="a", channel=9)]
    assert [str(unit) for unit in sorted(units)] == ["a:9", "a:10", "b:1"]


def test_records_cannot_be_changed() -> None:
    unit = Unit(layer="a", channel=1)
    with pytest.raises(FrozenInstanceError):
        unit.channel = 2  # type: ignore[misc]


def test_contrast_is_top_percentile_over_mean_in_spreads() -> None:
    values = np.arange(101.0)[:, None]  # p99 = 99, mean = 50, variance = (101² − 1) / 12 = 850
    assert stats(values).contrast[0] == pytest.approx(49 / 850**0.5, rel=1e-6)


def test_constant_channel_has_contrast_zero() -> None:
    constant = np.full((7, 2), 0.1)
    assert stats(constant).std.tolist() == [0, 0]
    assert stats(constant).contrast.tolist() == [0, 0]


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_activations_over_images_keep_three_digits_at_any_scale(size: float) -> None:
    values = size * np.array([[1.0, -3.0], [0.5, 2.0], [0.001, 0.0]])
    got = stats(values)
    for channel in (0, 1):
        np.testing.assert_allclose(
            got.over_images(channel), values[:, channel], rtol=1e-3, atol=size * 1e-6
        )
    assert got.over_images(0).dtype == np.float32


def test_copies_and_crops_of_one_file_are_one_distinct_image() -> None:
    samples = tuple(
        Sample(index=i, name=f"{i}.jpg", sha256=digest, box=(0, 0, 8, 8))
        for i, digest in enumerate("abab")
    )
    group = SampleSet(
        title="t", sha256="s", samples=samples, skipped=(), hf_median=0, hf_p05=0, hf_p95=0
    )
    assert group.distinct == 2
