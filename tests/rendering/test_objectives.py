"""Objectives: one value per image, each for its own unit, worked out in numpy."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from atlas.ranking.ranking import channel_statistics
from atlas.records.maps import Directions
from atlas.records.statistics import LayerStats
from atlas.rendering.objectives import (
    Objective,
    company_objective,
    direction_objective,
    facet_objective,
    gram_matrix,
    mean_and_deviation,
    standardise,
    unit_objective,
)
from tests.helpers import layer_info


def stats_of(name: str, means: NDArray[np.float32]) -> LayerStats:
    places = np.zeros(means.shape, np.int32)
    return channel_statistics(
        layer_info(name, means.shape[1], 4), 16, means, means, places, np.abs(means)
    )


def table(seed: int, images: int, channels: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(images, channels)).astype(np.float32)


def z(values: NDArray[np.float32], natural: NDArray[np.float32]) -> NDArray[np.float64]:
    wide = natural.astype(np.float64)
    result: NDArray[np.float64] = (values - wide.mean(0)) / wide.std(0)
    return result


def test_each_image_is_valued_for_its_own_unit() -> None:
    natural, values = table(0, 30, 5), table(1, 3, 5)
    value = unit_objective("a", [4, 0, 4], stats_of("a", natural))({"a": torch.tensor(values)})
    expected = z(values, natural)[[0, 1, 2], [4, 0, 4]]
    np.testing.assert_allclose(value.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_negative_sign_turns_the_value_around() -> None:
    stats, means = stats_of("a", table(0, 30, 5)), {"a": torch.tensor(table(1, 2, 5))}
    plain = unit_objective("a", [1, 2], stats)(means)
    assert torch.equal(unit_objective("a", [1, 2], stats, sign=-1)(means), -plain)


def test_channel_that_never_varies_is_not_divided_by_zero() -> None:
    stats = stats_of("a", np.full((4, 2), 3.0, np.float32))
    assert standardise(torch.tensor([[5.0, 3.0]]), stats).tolist() == [[2.0, 0.0]]


def company_by_loops(
    statistics: dict[str, NDArray[np.float32]],
    natural: dict[str, NDArray[np.float32]],
    training: NDArray[np.bool_],
    channel: int,
    image: int,
    aside: NDArray[np.bool_] | None = None,
) -> float:
    """z + 100 · mean cosine of one image, written as docs/rendering.md writes it."""

    def scaled(name: str, k: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        used = natural[name][training][..., k].astype(np.float64)
        spread = np.where(used.std(0) > 0, used.std(0), 1)
        picture = (statistics[name][image, :, k] - used.mean(0)) / spread
        return (used - used.mean(0)) / spread, picture

    answers = scaled("own", 0)[0][:, channel]
    if aside is not None:
        answers = np.array(
            [min(one, 0) if out else one for one, out in zip(answers, aside, strict=True)]
        )
    cosines = []
    for name in natural:
        for k in (0, 1):
            images, picture = scaled(name, k)
            target = sum(answer * row for answer, row in zip(answers, images, strict=True))
            cosines.append(target @ picture / np.linalg.norm(target) / np.linalg.norm(picture))
    return float(scaled("own", 0)[1][channel] + 100 * np.mean(cosines))


def natural_of(seed: int, channels: int) -> NDArray[np.float32]:
    """(40, C, 2): means and deviations of a layer on natural images."""
    return np.stack([table(seed, 40, channels), np.abs(table(seed + 50, 40, channels))], 2)


def statistics(name: str, both: NDArray[np.float32]) -> LayerStats:
    means, deviations = both[..., 0], both[..., 1]
    info = layer_info(name, means.shape[1], 4)
    return channel_statistics(info, 16, means, means, np.zeros(means.shape, np.int32), deviations)


NATURAL = {"other": natural_of(3, 6), "own": natural_of(2, 3)}
TRAINING = np.arange(40) % 3 > 0


def company(channels: list[int], weight: float = 100.0) -> Objective:
    stats = {name: statistics(name, both) for name, both in NATURAL.items()}
    return company_objective("own", channels, stats, TRAINING, weight)


def test_company_is_the_unit_and_what_goes_with_it_over_the_images() -> None:
    seen = {"other": natural_of(4, 6)[:2], "own": natural_of(5, 3)[:2]}
    got = company([1, 2])({name: torch.tensor(values) for name, values in seen.items()})
    for image, channel in enumerate((1, 2)):
        expected = company_by_loops(seen, NATURAL, TRAINING, channel, image)
        assert float(got[image]) == pytest.approx(expected, rel=2e-3)


def test_images_set_aside_count_as_if_they_did_not_excite_the_unit() -> None:
    stats = {name: statistics(name, both) for name, both in NATURAL.items()}
    aside = {one: np.random.default_rng(one).random(TRAINING.sum()) < 0.5 for one in (1, 2)}
    objective = company_objective("own", [1, 2], stats, TRAINING, 100.0, aside=aside)
    seen = {"other": natural_of(4, 6)[:2], "own": natural_of(5, 3)[:2]}
    got = objective({name: torch.tensor(values) for name, values in seen.items()})
    plain = company([1, 2])({name: torch.tensor(values) for name, values in seen.items()})
    assert not torch.equal(got, plain)
    for image, channel in enumerate((1, 2)):
        expected = company_by_loops(seen, NATURAL, TRAINING, channel, image, aside[channel])
        assert float(got[image]) == pytest.approx(expected, rel=2e-3, abs=5e-3)  # float16


def test_company_does_not_know_the_judging_images() -> None:
    stats = {name: statistics(name, both) for name, both in NATURAL.items()}
    seen = {name: torch.tensor(both[:2]) for name, both in NATURAL.items()}
    changed = {}
    for name, one in stats.items():
        other = one.activations.copy()
        other[~TRAINING] = 1 - other[~TRAINING]
        changed[name] = replace(one, activations=other)
    plain, blind, seeing = (
        company_objective("own", [1, 2], natural, training, 100.0)(seen)
        for natural, training in ((stats, TRAINING), (changed, TRAINING), (changed, TRAINING < 2))
    )
    assert torch.equal(plain, blind)
    assert not torch.equal(plain, seeing)


def test_value_of_an_image_does_not_depend_on_its_neighbours() -> None:
    seen = {"other": torch.tensor(natural_of(4, 6)[:3]), "own": torch.tensor(natural_of(5, 3)[:3])}
    crowd = company([1, 2, 0])(seen)
    alone = company([0])({name: values[2:] for name, values in seen.items()})
    assert torch.equal(alone[0], crowd[2])


def test_a_channel_that_is_not_finite_counts_for_nothing_in_the_company() -> None:
    broken = {name: both.copy() for name, both in NATURAL.items()}
    broken["other"][3, 2] = np.nan
    stats = {name: statistics(name, both) for name, both in broken.items()}
    seen = {name: torch.tensor(both[:2]) for name, both in NATURAL.items()}
    value = company_objective("own", [1, 2], stats, TRAINING, 100.0)(seen)
    assert torch.isfinite(value).all()


def test_mean_and_deviation_are_those_of_the_map_also_where_it_is_flat() -> None:
    maps = torch.tensor([[[[1.0, 4.0], [3.0, 0.0]], [[2.0, 2.0], [2.0, 2.0]]]], requires_grad=True)
    got = mean_and_deviation(maps)
    assert got.tolist() == [[[2.0, pytest.approx(2.5**0.5)], [2.0, 0.0]]]
    got.sum().backward()
    assert maps.grad is not None
    assert torch.isfinite(maps.grad).all()


def plain_mean_and_deviation(maps: Tensor) -> Tensor:
    """The same by single operations, whose derivatives are torch's."""
    flat = maps.float().flatten(2)
    variance = flat.var(2, correction=0)
    still = variance <= 0
    deviation = torch.where(still, 0.0, torch.where(still, 1.0, variance).sqrt())
    return torch.stack([flat.mean(2), deviation], 2)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(5, 6, 8, 8), (2, 3, 7, 9), (3, 4, 1, 1)])
def test_derivatives_of_mean_and_deviation_are_those_of_single_operations(
    shape: tuple[int, ...], kind: torch.dtype, layout: torch.memory_format
) -> None:
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(shape, generator=generator).to(kind).to(memory_format=layout)
    start[0, 0] = 3.0  # a flat one
    weights = torch.randn((*shape[:2], 2), generator=generator)
    found = []
    for statistics_by in (plain_mean_and_deviation, mean_and_deviation):
        maps = start.clone().requires_grad_()
        both = statistics_by(maps)
        (slopes,) = torch.autograd.grad((both * weights).sum(), maps)
        found.append((both.detach(), slopes.float()))
    (plain, slopes), (ours, our_slopes) = found
    torch.testing.assert_close(ours, plain)
    close = {"rtol": 2e-2, "atol": 2e-3} if kind == torch.bfloat16 else {"rtol": 1e-4, "atol": 1e-6}
    torch.testing.assert_close(our_slopes, slopes, **close)


def test_gram_matrix_is_the_mean_product_of_channels() -> None:
    maps = torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]])
    assert gram_matrix(maps).tolist() == [[[2.5, 0.5], [0.5, 5.0]]]


def test_facet_is_valued_less_by_its_likeness_to_earlier_pictures() -> None:
    natural = table(6, 20, 2)
    stats = stats_of("a", natural)
    maps = torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]])
    same, square = gram_matrix(maps), torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    value = facet_objective("a", [1], stats, [same, square], 20.0)({"a": maps})
    norm = (2.5**2 + 2 * 0.5**2 + 5**2) ** 0.5
    expected = z(np.array([[1.5, 1.0]], np.float32), natural)[0, 1] - 20 * (1 + 2.5 / norm) / 2
    assert float(value) == pytest.approx(expected, rel=1e-4)


def test_a_direction_is_its_product_times_the_fourth_power_of_the_cosine() -> None:
    random = np.random.default_rng(6)
    means, mean = table(7, 3, 5), random.normal(size=5).astype(np.float32)
    spread = random.uniform(0.5, 2, 5).astype(np.float32)
    rows = {
        cell: row / np.linalg.norm(row) for cell, row in zip((4, 9, 2), table(8, 3, 5), strict=True)
    }
    directions = Directions(mean=mean, spread=spread, rows=rows)
    got = direction_objective("own", [4, 9, 2], directions)({"own": torch.tensor(means)})
    for image, cell in enumerate((4, 9, 2)):
        along = (means[image].astype(np.float64) - mean) / spread
        product = along @ rows[cell]
        cosine = max(product / np.linalg.norm(along), 0.1)
        assert float(got[image]) == pytest.approx(product * cosine**4, rel=1e-4)
