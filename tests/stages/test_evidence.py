"""Judging images make no picture; the picture that identifies best leads."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from atlas import pipeline
from atlas.cache.store import Store
from atlas.config import Config
from atlas.progress import Progress
from atlas.records.evidence import LayerEvidence, Place
from atlas.records.samples import judging_images
from atlas.records.statistics import LayerStats
from atlas.stages import rank as measuring
from atlas.stages.evidence import order_recipes
from atlas.stages.render import best_images, usable_images
from atlas.stages.run import choose_layers, open_work
from tests.stages.conftest import Judged

# --- judging images make no picture --------------------------------------------------------------


def pictures(config: Config) -> dict[str, bytes]:
    """Unit → its picture."""
    assert pipeline.build(config, Progress(True)) == 0
    (folder,) = (path.parent for path in config.cache.glob("*/*/key.json"))
    with Store.read(folder) as store:
        return {
            str(unit): store.rendering(unit, mark).image.tobytes()
            for mark, unit in store.index.units
        }


def judges_of(config: Config) -> NDArray[np.bool_]:
    """(N,) which sample images of an atlas judge."""
    (folder,) = (path.parent for path in config.cache.glob("*/*/key.json"))
    with Store.read(folder) as store:
        return judging_images(store.read_samples())


@pytest.mark.usefixtures("company")
def test_company_does_not_know_what_its_unit_answers_to_judging_images(
    judged: Judged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their answers are turned upside down, and then those to the other images."""

    def config(name: str) -> Config:
        folders = {"cache": tmp_path / name / "cache", "site": tmp_path / name / "site"}
        return judged(recipe=("company",), **folders)

    plain, measured = pictures(config("plain")), measuring.statistics
    judges = judges_of(config("plain"))
    found = {}
    for name, rows in (("judges", judges), ("others", ~judges)):

        def turned(
            *given: object, rows: NDArray[np.bool_] = rows, **more: object
        ) -> Iterator[LayerStats]:
            for one in measured(*given, **more):  # type: ignore[arg-type]
                matrices = {
                    name: np.where(rows[:, None], 1 - getattr(one, name), getattr(one, name))
                    for name in ("activations", "deviations")
                }
                yield replace(one, **matrices)

        monkeypatch.setattr(measuring, "statistics", turned)
        found[name] = pictures(config(name))
    assert len(plain) == 7
    assert found["judges"] == plain
    dead = "relu2:2"
    assert all(found["others"][unit] != plain[unit] for unit in plain if unit != dead)


@pytest.mark.parametrize("measured", [False, True], ids=["alone", "with its own as reference"])
def test_the_image_to_start_from_is_the_best_that_does_not_judge(
    judged: Judged, tmp_path: Path, measured: bool
) -> None:
    path = tmp_path / "reference.h5"
    assert pipeline.rank(judged(save_reference=str(path)), Progress(True)) == 0
    config = judged(reference=str(path) if measured else "none")
    judges = judges_of(config)
    with open_work(config, Progress(True)) as work:
        (stats,) = (work.store.read_stats(one.name) for one in choose_layers(work)[:1])
        found = best_images(work, stats, range(4), usable_images(work))
        views = [work.store.sample(index) for index in range(len(judges))]
    others = np.flatnonzero(~judges)
    best = [int(others[np.argmax(stats.activations[others, channel])]) for channel in range(4)]
    assert [views.index(found[channel]) for channel in range(4)] == best
    assert any(judges[np.argmax(stats.activations, 0)]), "the best of all would judge"


# --- which picture leads -------------------------------------------------------------------------


def evidence(places: Mapping[str, tuple[int, ...]]) -> LayerEvidence:
    """What an observer recognises of a layer of 20 channels, by recipe."""
    return LayerEvidence(
        observer="someone",
        judges=60,
        live=20,
        pictures={
            recipe: {
                channel: Place(ident=ident, predict=0.1) for channel, ident in enumerate(idents)
            }
            for recipe, idents in places.items()
        },
        photographs={},
        swapped={},
    )


def test_recipes_come_as_asked_for_where_nobody_judges() -> None:
    asked = ("phase", "octaves", "company")
    assert order_recipes(asked, None) == asked
    assert order_recipes(asked, evidence({})) == ("company", "phase", "octaves")


@pytest.mark.parametrize(
    ("places", "order"),
    [
        ({"octaves": (9, 9), "company": (3, 5), "phase": (1, 8)}, "company phase octaves"),
        ({"octaves": (1, 1), "company": (2, 2), "phase": (3, 3)}, "octaves company phase"),
        ({"octaves": (2, 4), "company": (3, 3), "phase": (3, 3)}, "company octaves phase"),
        ({"octaves": (2, 2), "company": (0, 0), "phase": (9, 9)}, "octaves phase company"),
        ({"phase": (19, 19), "octaves": (20, 20)}, "phase octaves company"),
    ],
    ids=["by median", "octaves may win", "company wins ties", "dead ones last", "not rendered"],
)
def test_the_recipe_of_the_least_median_place_leads(
    places: dict[str, tuple[int, ...]], order: str
) -> None:
    asked = ("octaves", "company", "phase")
    assert " ".join(order_recipes(asked, evidence(places))) == order


def test_what_a_unit_dislikes_and_further_pictures_never_lead() -> None:
    asked = ("octaves", "octaves-negative", "octaves-facet-1", "company")
    places = dict.fromkeys(("octaves", "company"), (9,))
    places |= {"octaves-negative": (1,), "octaves-facet-1": (1,)}
    expected = ("company", "octaves", "octaves-negative", "octaves-facet-1")
    assert order_recipes(asked, evidence(places)) == expected


@pytest.mark.usefixtures("company")
def test_data_made_again_from_the_cache_are_those_of_the_build(
    judged: Judged, tmp_path: Path
) -> None:
    config = judged(recipe=("octaves", "company"))
    assert pipeline.build(config, Progress(True)) == 0
    again = replace(config, site=tmp_path / "again")
    assert pipeline.site(again, Progress(True)) == 0
    made = {path.relative_to(config.site): path for path in config.site.rglob("*.json")}
    assert any(path.name == "layer.json" for path in made)
    for name, path in made.items():
        assert (again.site / name).read_bytes() == path.read_bytes(), name
