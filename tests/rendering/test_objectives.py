"""Objectives: one value per image, each for its own unit, worked out in numpy."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from atlas.ranking.ranking import channel_statistics
from atlas.records.statistics import LayerStats
from atlas.rendering.objectives import (
    COMPANIONS,
    company_objective,
    facet_objective,
    gram_matrix,
    natural_company,
    standardise,
    unit_objective,
)
from tests.helpers import layer_info


def stats_of(name: str, means: NDArray[np.float32]) -> LayerStats:
    places = np.zeros(means.shape, np.int32)
    return channel_statistics(layer_info(name, means.shape[1], 4), 16, means, means, places)


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


def test_company_is_the_mean_direction_of_the_best_natural_images() -> None:
    own, other = table(2, 40, 3), table(3, 40, 6)
    got = natural_company(stats_of("own", own), [2, 0], stats_of("other", other)).numpy()
    for row, channel in zip(got, (2, 0), strict=True):
        best = sorted(range(40), key=lambda i: -own[i, channel])[:COMPANIONS]
        mean = z(other, other)[best].mean(0)
        np.testing.assert_allclose(row, mean / np.linalg.norm(mean), atol=2e-3)


def test_company_adds_the_weighted_mean_cosine_over_the_layers() -> None:
    own, other = table(2, 40, 3), table(3, 40, 6)
    natural = {"other": stats_of("other", other), "own": stats_of("own", own)}
    seen = {"other": table(4, 2, 6), "own": table(5, 2, 3)}
    value = company_objective("own", [1, 2], natural, 40.0)
    got = value({name: torch.tensor(values) for name, values in seen.items()}).numpy()
    for i, channel in enumerate((1, 2)):
        cosines = []
        for name, means in (("other", other), ("own", own)):
            target = natural_company(natural["own"], [channel], natural[name])[0].numpy()
            direction = z(seen[name], means)[i]
            cosines.append(direction @ target / np.linalg.norm(direction))
        expected = z(seen["own"], own)[i, channel] + 40 * np.mean(cosines)
        assert got[i] == pytest.approx(expected, rel=1e-4)


def test_value_of_an_image_does_not_depend_on_its_neighbours() -> None:
    own, other = table(2, 40, 3), table(3, 40, 6)
    natural = {"other": stats_of("other", other), "own": stats_of("own", own)}
    seen = {"other": torch.tensor(table(4, 3, 6)), "own": torch.tensor(table(5, 3, 3))}
    crowd = company_objective("own", [1, 2, 0], natural, 40.0)(seen)
    alone = company_objective("own", [0], natural, 40.0)({k: v[2:] for k, v in seen.items()})
    torch.testing.assert_close(alone[0], crowd[2])


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
