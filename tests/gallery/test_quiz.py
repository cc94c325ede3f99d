"""The quiz: its key is the matrix, its machine is the observer."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atlas.gallery.quiz import ask
from atlas.gallery.views import LayerView
from atlas.ranking.evidence import looks
from atlas.records.atlas import ModelAtlas
from atlas.records.evidence import Observation
from tests.gallery.test_write import Parsed, build
from tests.synthetic import judged, make_atlas


def small(**given: Any) -> ModelAtlas:
    settings = {"layers": 3, "units": 5, "images": 24, "size": 32, "plain": True}
    return make_atlas(**{**settings, **given})


def quiz_of(folder: Path, atlas: ModelAtlas) -> Any:
    build(folder, atlas)
    return json.loads((folder / "synthetic/quiz.json").read_bytes())


def seen(atlas: ModelAtlas) -> ModelAtlas:
    """The atlas with an observer of two depths that has seen everything."""
    random = np.random.default_rng(5)

    def features(count: int) -> NDArray[np.float32]:
        return random.normal(size=(count, 7)).astype(np.float32)

    looked = Observation(
        observer="Onlooker", weights_sha256="0" * 64, widths=(3, 4), features=features(24)
    )
    layers = []
    for layer in judged(atlas).layers:
        assert layer.evidence
        pictures = {one: features(1)[0] for one in layer.chosen}
        known = replace(layer.evidence, features={"octaves": pictures})
        layers.append(replace(layer, evidence=known))
    return replace(atlas, layers=tuple(layers), observed=looked, seen=looked)


def test_the_key_equals_the_matrix(tmp_path: Path) -> None:
    atlas = small()
    quiz = quiz_of(tmp_path, atlas)
    layers = {layer.info.name: layer.stats for layer in atlas.layers}
    assert len(quiz["units"]) == 15
    for unit in quiz["units"]:
        stats = layers[quiz["layers"][unit["layer"]]]
        answers = stats.activations[:, unit["channel"]].astype(np.float32)
        for one in (*unit["high"], *unit["low"]):
            assert one["activation"] == float(str(answers[one["image"]]))
        least = min(one["activation"] for one in unit["high"])
        most = max(one["activation"] for one in unit["low"])
        assert answers[unit["strong"]].min() >= np.float32(least) > np.float32(most)
        assert answers[unit["weak"]].max() <= min(one["activation"] for one in unit["low"])


def test_the_machine_says_what_the_observer_sees(tmp_path: Path) -> None:
    atlas = seen(small())
    quiz = quiz_of(tmp_path, atlas)
    assert quiz["observer"] == "Onlooker"
    assert atlas.seen
    assert atlas.observed
    images = looks(atlas.seen.features, atlas.observed)
    for unit in quiz["units"]:
        (layer,) = (one for one in atlas.layers if one.info.name == quiz["layers"][unit["layer"]])
        assert layer.evidence
        own = looks(layer.evidence.features["octaves"][unit["channel"]][None], atlas.observed)[0]
        strong = images[unit["strong"]].mean(0)
        for one in (*unit["high"], *unit["low"]):
            assert np.isclose(one["by_picture"], own @ images[one["image"]])
            assert np.isclose(one["by_photographs"], strong @ images[one["image"]])
        mates = [one for one in quiz["units"] if one["layer"] == unit["layer"]]
        assert len(unit["fits"]) == len(mates)
        assert np.isclose(unit["fits"][mates.index(unit)], own @ strong)


def test_without_an_observer_there_is_no_machine(tmp_path: Path) -> None:
    quiz = quiz_of(tmp_path, small())
    assert quiz["observer"] is None
    assert quiz["units"][0]["fits"] == []
    assert quiz["units"][0]["high"][0]["by_picture"] is None


def test_weak_and_unidentified_units_are_marked(tmp_path: Path) -> None:
    atlas = judged(small(plain=False, units=12, recipes=("octaves",)))
    quiz = quiz_of(tmp_path, atlas)
    layers = {layer.info.name: layer for layer in atlas.layers}
    marks = {True: 0, False: 0}
    for unit in quiz["units"]:
        layer = layers[quiz["layers"][unit["layer"]]]
        assert layer.evidence
        place = layer.evidence.pictures["octaves"][unit["channel"]]
        usual = unit["status"] == "ok" and not layer.evidence.unidentified(place)
        assert unit["plain"] is usual
        marks[usual] += 1
    assert marks[True]
    assert marks[False]


def test_every_photograph_of_the_quiz_is_in_the_site(tmp_path: Path) -> None:
    quiz = quiz_of(tmp_path, small())
    shown = {one for unit in quiz["units"] for one in (*unit["strong"], *unit["weak"])}
    shown |= {one["image"] for unit in quiz["units"] for one in (*unit["high"], *unit["low"])}
    assert all((tmp_path / f"synthetic/images/{image}.jpg").is_file() for image in shown)


def test_an_atlas_of_three_photographs_has_no_quiz(tmp_path: Path) -> None:
    build(tmp_path, small(images=3))
    assert not (tmp_path / "synthetic/quiz.html").exists()
    assert "Guess the unit" not in (tmp_path / "synthetic/index.html").read_text()


def test_without_a_script_ten_examples_are_worked_out(tmp_path: Path) -> None:
    build(tmp_path, seen(small()))
    text = Parsed((tmp_path / "synthetic/quiz.html").read_text()).text
    assert text.count("(mean activation of the unit)") == 10
    assert text.count("sees the unit’s picture only") == 10


def test_very_many_units_ask_about_a_fixed_number_of_each_layer(tmp_path: Path) -> None:
    atlas = small(layers=2, units=60)
    layers = [LayerView(atlas=one, folder="x", units=()) for one in atlas.layers]
    assert ask(atlas, layers).units == ()
    assert len(quiz_of(tmp_path, atlas)["units"]) == 2 * 24
