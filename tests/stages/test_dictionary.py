"""A dictionary is a layer: found, read from a file, ranked, rendered, shared and merged as one."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from atlas import pipeline
from atlas.cache.selection import selection_path
from atlas.cache.store import Store
from atlas.config import Config
from atlas.errors import InputError, UsageError
from atlas.progress import Progress
from atlas.records.statistics import LayerStats
from atlas.records.units import Rendering, Unit
from atlas.rendering.recipes import RECIPES
from atlas.stages import choose, recipes
from atlas.stages import dictionary as stage
from atlas.stages.site import open_atlas
from tests.helpers import hasty_recipe
from tests.store_records import merge_one

Tiny = Callable[..., Config]
NAME = "relu1@same"


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten photographs are enough for company, and pictures of six steps for these tests."""
    monkeypatch.setattr(choose, "COMPANY_MINIMUM", 10)
    monkeypatch.setattr(recipes, "COMPANY_MINIMUM", 10)
    for name in ("octaves", "company"):
        monkeypatch.setitem(RECIPES, name, hasty_recipe(name))


def build(config: Config) -> int:
    return pipeline.build(config, Progress(config.quiet))


def save(path: Path, **changes: NDArray[np.float32]) -> Path:
    """A file of the dictionary whose directions are the four channels of relu1, by default."""
    same = np.eye(4, dtype=np.float32)
    np.savez(path, **{"encoder": same, "decoder": same, "bias": same[0] * 0, **changes})
    return path


@pytest.fixture
def same(tmp_path: Path) -> Path:
    return save(tmp_path / "same.npz")


def opened(config: Config) -> Store:
    with open_atlas(selection_path(config.cache, config.atlas_name)) as (store, _):
        return store


def numbers(stats: LayerStats) -> dict[str, bytes]:
    """Everything that statistics hold but the name of their layer."""
    names = [name for name in stats.__slots__ if name != "layer"]
    return {name: getattr(stats, name).tobytes() for name in names}


def of_layer(config: Config, layer: str) -> Mapping[tuple[str, int], Rendering]:
    """(Recipe, channel) → rendering with pixels, of all that pages show of a layer."""
    path = selection_path(config.cache, config.atlas_name)
    with open_atlas(path) as (store, selection):
        return {
            (recipe, channel): store.rendering(Unit(layer=layer, channel=channel), mark)
            for recipe, mark in selection.fingerprints.items()
            for channel in selection.layers[layer]
        }


def files(config: Config, but: str) -> dict[str, bytes]:
    """Files of results in the cache, but for those of a layer."""
    return {
        path.relative_to(config.cache).as_posix(): path.read_bytes()
        for path in sorted(config.cache.glob("*/*/*/**/*.h5"))
        if but not in path.as_posix()
    }


def test_identity_dictionary_has_the_statistics_and_pictures_of_its_layer(
    tiny: Tiny, same: Path
) -> None:
    config = tiny(units="all", dictionary=(f"relu1={same}",))
    assert build(config) == 0
    store = opened(config)
    assert numbers(store.read_stats(NAME)) == numbers(store.read_stats("relu1"))
    directions, channels = of_layer(config, NAME), of_layer(config, "relu1")
    assert directions.keys() == channels.keys()
    assert {recipe for recipe, _ in directions} == {"octaves", "company"}
    for (recipe, channel), one in directions.items():
        other = channels[recipe, channel]
        assert (one.seed, one.status) == (other.seed, other.status)
        if recipe == "octaves":
            assert one.image.tobytes() == other.image.tobytes()
        else:  # the unit and its company come back to the layer by two ways, each rounded
            np.testing.assert_allclose(one.image, other.image, atol=2**-9)


def test_identity_dictionary_leaves_nothing_out(tiny: Tiny, same: Path) -> None:
    config = tiny(dictionary=(f"relu1={same}",))
    build(config)
    found = opened(config).dictionary(NAME)
    assert found is not None
    assert found.explained == 1
    assert found.errors.tolist() == [0]
    assert found.fitted == 0
    assert found.judged > 0


@pytest.mark.slow
def test_circuits_of_an_identity_dictionary_are_those_of_its_layer(tiny: Tiny, same: Path) -> None:
    config = tiny(units="all", classes=2, dictionary=(f"relu1={same}",))
    build(config)
    path = selection_path(config.cache, config.atlas_name)
    with open_atlas(path) as (store, selection):
        marks = selection.circuits
        directions = store.circuits(NAME, marks[NAME])
        channels = store.circuits("relu1", marks["relu1"])
    assert len(channels) == 4
    for channel, one in channels.items():
        other = directions[channel]
        assert other.activation == one.activation
        for kind, links in one.links.items():
            names = [(link.layer, link.channel) for link in links]
            assert [(link.layer, link.channel) for link in other.links[kind]] == names
            effects = [link.effect for link in links]
            np.testing.assert_allclose([link.effect for link in other.links[kind]], effects, 1e-5)


@pytest.mark.slow
def test_dictionary_changes_nothing_of_other_layers(tiny: Tiny, same: Path) -> None:
    config = tiny(classes=2)
    build(config)
    before = files(config, NAME.replace("@", "~40"))
    assert build(replace(config, dictionary=(f"relu1={same}",))) == 0
    after = files(config, NAME.replace("@", "~40"))
    assert {name: data for name, data in after.items() if name in before} == before
    assert not after.keys() - before.keys()


@pytest.mark.slow
def test_second_build_writes_nothing(tiny: Tiny, same: Path) -> None:
    config = tiny(dictionary=(f"relu1={same}",))
    build(config)
    before = files(config, "nothing")
    site = {path: path.read_bytes() for path in config.site.rglob("*.html")}
    assert build(config) == 0
    assert files(config, "nothing") == before
    assert {path: path.read_bytes() for path in config.site.rglob("*.html")} == site
    assert pipeline.check(config, Progress(True)) == 0


@pytest.mark.slow
def test_another_file_of_the_same_name_is_ranked_and_rendered_anew(
    tiny: Tiny, same: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny(quiet=False, dictionary=(f"relu1={same}",))
    build(config)
    before = numbers(opened(config).read_stats(NAME))
    save(same, encoder=2 * np.eye(4, dtype=np.float32))
    assert build(config) == 0
    assert "relu1@same is another dictionary now" in capsys.readouterr().err
    store = opened(config)
    np.testing.assert_allclose(
        store.read_stats(NAME).mean, 2 * np.frombuffer(before["mean"], np.float32), 1e-6
    )
    assert len(store.index.select("dictionaries")) == 1


@pytest.mark.slow
def test_shards_and_merge_end_in_the_bytes_of_one_run(
    tiny: Tiny, same: Path, tmp_path: Path
) -> None:
    whole = tiny(units="all", dictionary=(f"relu1={same}",), masks="off", circuits="off")
    build(whole)
    parts = [replace(whole, cache=tmp_path / f"part{i}", shard=(i, 2)) for i in (1, 2)]
    for part in parts:
        build(part)
    merged = replace(whole, cache=tmp_path / "merged")
    for part in parts:
        assert not merge_one(part.cache, merged.cache).left_out
    build(merged)
    assert files(merged, "nothing") == files(whole, "nothing")


@pytest.mark.slow
def test_merge_leaves_out_what_belongs_to_another_dictionary(
    tiny: Tiny, same: Path, tmp_path: Path
) -> None:
    config = tiny(dictionary=(f"relu1={same}",))
    build(config)
    other = replace(config, cache=tmp_path / "other")
    save(same, encoder=2 * np.eye(4, dtype=np.float32))
    build(other)
    before = files(config, "nothing")
    (line,) = merge_one(other.cache, config.cache).left_out
    assert "all that is of relu1@same, another dictionary" in line
    assert files(config, "nothing") == before


@pytest.mark.slow
def test_a_lost_dictionary_is_found_again_and_keeps_its_results(tiny: Tiny, same: Path) -> None:
    config = tiny(dictionary=(f"relu1={same}",))
    build(config)
    before = files(config, "nothing")
    (path,) = config.cache.glob("*/*/dictionaries/*.h5")
    path.unlink()
    assert build(config) == 0
    assert files(config, "nothing") == before


@pytest.mark.slow
def test_results_of_a_lost_dictionary_go_where_another_one_is_found(tiny: Tiny, same: Path) -> None:
    config = tiny(dictionary=(f"relu1={same}",))
    build(config)
    (path,) = config.cache.glob("*/*/dictionaries/*.h5")
    path.unlink()
    save(same, encoder=2 * np.eye(4, dtype=np.float32))
    assert build(config) == 0
    store = opened(config)
    assert store.fits_dictionary(NAME)
    assert store.read_stats(NAME).mean.tolist() == (2 * store.read_stats("relu1").mean).tolist()


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("relu3={file}", UsageError, "no layer is called 'relu3'; closest: relu2, relu1"),
        ("relu1=nfm:4", UsageError, "no method is called 'nfm'; did you mean nmf?"),
        ("relu1=nmf", UsageError, "nmf needs a number of directions"),
        ("relu1", UsageError, "LAYER=METHOD:K"),
        ("relu1=nmf:9", UsageError, "nmf finds at most 4 directions in relu1"),
        ("relu1=gone.npz", InputError, "gone.npz is no file"),
        ("relu1=nmf:3", InputError, "in at least 20 distinct images, there are 10"),
    ],
)
def test_what_cannot_be_is_answered_in_one_line(
    tiny: Tiny, same: Path, text: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        build(tiny(dictionary=(text.format(file=same),)))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_of_the_wrong_shape_says_which_is_expected(tiny: Tiny, tmp_path: Path) -> None:
    path = save(tmp_path / "wide.npz", encoder=np.ones((4, 6), np.float32))
    with pytest.raises(InputError, match=r"encoder has shape \(4, 6\), expected \(4, 4\)"):
        build(tiny(dictionary=(f"relu1={path}",)))


def test_missing_scikit_learn_names_the_extra(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(InputError, match=r"pip install \"cnn-atlas\[dictionary\]\""):
        build(tiny(dictionary=("relu1=nmf:3",)))


@pytest.fixture
def enough(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.setattr(stage, "LEAST_IMAGES", 10)


@pytest.mark.usefixtures("enough")
def test_nmf_refuses_a_layer_with_negative_activations(tiny: Tiny) -> None:
    with pytest.raises(InputError, match=r"conv1 has some \(the lowest is -.*use semi-nmf:3"):
        build(tiny(dictionary=("conv1=nmf:3",)))


@pytest.mark.usefixtures("enough")
def test_more_directions_than_positions_allow_are_refused(tiny: Tiny) -> None:
    with pytest.raises(UsageError, match="more than these images allow"):
        build(tiny(dictionary=("relu2=kmeans:5000",)))


@pytest.mark.slow
@pytest.mark.usefixtures("enough")
@pytest.mark.parametrize(
    "what", ["relu1=nmf:3", "conv1=semi-nmf:3", "conv1=kmeans:3", "conv1=pca:3"]
)
def test_every_method_gives_a_layer_and_twice_the_same_bytes(
    tiny: Tiny, tmp_path: Path, what: str
) -> None:
    first = tiny(dictionary=(what,), layers=("relu2",))
    second = replace(first, cache=tmp_path / "again")
    assert build(first) == build(second) == 0
    assert files(first, "nothing") == files(second, "nothing")
    name = what.replace("=", "@").replace(":", "")
    assert opened(first).read_stats(name).channels == 3


def test_plan_counts_directions_before_they_are_found(
    tiny: Tiny, same: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny(layers=("relu2",), dictionary=(f"relu1={same}", "conv1=semi-nmf:3"))
    assert pipeline.plan(config, Progress(True)) == 0
    rows = [line.split()[:3] for line in capsys.readouterr().out.splitlines()]
    assert [NAME, "2", "4"] in rows
    assert ["conv1@semi-nmf3", "2", "4"] in rows
    assert not config.cache.exists()
