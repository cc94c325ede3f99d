"""Units of two atlases matched by their activations over the same images."""

from dataclasses import replace

import numpy as np
import pytest

from atlas.errors import InputError
from atlas.ranking.matching import match_units
from atlas.ranking.ranking import channel_statistics
from atlas.records.atlas import LayerAtlas, ModelAtlas
from atlas.records.units import Unit
from tests.helpers import layer_info
from tests.synthetic import make_atlas

RANDOM = np.random.default_rng(5)
IMAGES = 40
BASE = RANDOM.normal(size=(IMAGES, 4))


def layer(name: str, columns: np.ndarray, chosen: tuple[int, ...]) -> LayerAtlas:
    """A layer whose activations (N, C) are given."""
    means = columns.astype(np.float32)
    info = layer_info(name, means.shape[1], 4)
    stats = channel_statistics(info, 16, means, means, np.zeros(means.shape, np.int32), means)
    return LayerAtlas(
        info=info,
        stats=stats,
        natural=stats,
        ranking=np.arange(means.shape[1], dtype=np.int32),
        chosen=chosen,
        renderings=(),
    )


def atlas_of(*layers: LayerAtlas) -> ModelAtlas:
    return replace(make_atlas(), layers=layers)


def test_a_unit_finds_itself_in_another_place_with_another_scale() -> None:
    ours = atlas_of(layer("a", BASE[:, :2], (0, 1)))
    theirs = atlas_of(
        layer("x", RANDOM.normal(size=(IMAGES, 3)), (0,)),
        layer("y", 1 + 0.5 * BASE[:, [3, 1, 0]], (2,)),
    )
    found = {match.unit.channel: match for match in match_units(ours, theirs)}
    assert found[0].counterpart is not None
    assert found[0].counterpart.unit == Unit(layer="y", channel=2)
    assert found[0].counterpart.correlation == pytest.approx(1, abs=1e-3)
    assert found[1].counterpart is not None
    assert found[1].counterpart.unit == Unit(layer="y", channel=1)


def test_shown_is_the_best_of_the_units_that_have_a_page() -> None:
    ours = atlas_of(layer("a", BASE[:, :1], (0,)))
    noisy = BASE[:, 0] + RANDOM.normal(size=IMAGES)
    theirs = atlas_of(layer("y", np.stack([BASE[:, 0], noisy, BASE[:, 3]], 1), (1, 2)))
    (match,) = match_units(ours, theirs)
    assert match.counterpart is not None
    assert match.counterpart.unit.channel == 0
    assert match.shown is not None
    assert match.shown.unit.channel == 1
    assert match.shown.correlation == pytest.approx(np.corrcoef(BASE[:, 0], noisy)[0, 1], abs=1e-3)


def test_what_changed_most_comes_first() -> None:
    ours = atlas_of(layer("a", BASE, (0, 1, 2)))
    theirs = atlas_of(layer("y", BASE[:, [0, 2]], (0,)))
    found = match_units(ours, theirs)
    assert found[0].unit.channel == 1
    assert [match.correlation for match in found] == sorted(match.correlation for match in found)


def test_units_that_never_vary_have_no_twin_and_are_nobodys() -> None:
    constant = np.concatenate([np.ones((IMAGES, 1)), BASE[:, :1]], 1)
    ours, theirs = atlas_of(layer("a", constant, (0, 1))), atlas_of(layer("y", constant, (0,)))
    first, second = match_units(ours, theirs)
    assert first.unit.channel == 0
    assert first.counterpart is None
    assert first.shown is None
    assert second.counterpart is not None
    assert second.counterpart.unit.channel == 1
    assert second.shown is None  # the only unit with a page is the constant one


def test_other_images_are_refused() -> None:
    ours = atlas_of(layer("a", BASE, (0,)))
    theirs = replace(ours, samples=replace(ours.samples, sha256="f" * 64))
    with pytest.raises(InputError, match="over different images"):
        match_units(ours, theirs)
