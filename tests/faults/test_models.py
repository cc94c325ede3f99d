"""However a network is built, its units have the right values, or a message names the layer."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from atlas import pipeline
from atlas.cache.store import Store
from atlas.config import Config
from atlas.errors import AtlasError
from atlas.progress import Progress
from atlas.records.statistics import LayerStats
from tests.faults.exhaust import read_tree

HERE = "tests.faults.networks"
Tiny = Callable[..., Config]


def rank(config: Config) -> dict[str, LayerStats]:
    """Statistics of all layers of --layers."""
    assert pipeline.rank(config, Progress(quiet=True)) == 0
    (key,) = config.cache.glob("*/*/key.json")
    with Store.read(key.parent) as store:
        names = [layer.name for layer in store.read_network()[1]]
        return {name: store.read_stats(name) for name in names if store.has_stats(name)}


def same(one: LayerStats, two: LayerStats) -> bool:
    """Return whether two layers are equally active on every image."""
    return np.allclose(one.mean, two.mean, rtol=1e-3, atol=1e-5) and np.allclose(
        one.max, two.max, rtol=1e-3, atol=1e-5
    )


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("in_place", "relu1", "relu2"),
        ("in_train_mode", "relu1", "relu2"),
        ("as_dict", "body.relu1", "body.relu2"),
        ("as_tuple", "body.relu1", "body.relu2"),
        ("Functional", "relu1", "relu2"),
        ("Reused", "pool", ""),
    ],
)
def test_a_network_built_otherwise_has_the_same_values(
    tiny: Tiny, tmp_path: Path, name: str, first: str, second: str, score: Callable[..., None]
) -> None:
    layers = ("relu1", "pool", "relu2")
    want = rank(tiny(model=f"{HERE}:plain", layers=layers))
    wanted = tuple(filter(None, (first, second)))
    got = rank(tiny(model=f"{HERE}:{name}", layers=wanted, cache=tmp_path / "other"))
    assert same(got[first], want["pool" if first == "pool" else "relu1"])
    if second:
        assert same(got[second], want["relu2"])
    score(row="models", tried=1, survived=1)


def test_convolutions_before_an_in_place_relu_keep_their_negative_values(
    tiny: Tiny, tmp_path: Path, score: Callable[..., None]
) -> None:
    want = rank(tiny(model=f"{HERE}:plain", layers=("conv1", "conv2")))
    for number, name in enumerate(("in_place", "Functional")):
        config = tiny(
            model=f"{HERE}:{name}", layers=("conv1", "conv2"), cache=tmp_path / str(number)
        )
        got = rank(config)
        assert same(got["conv1"], want["conv1"])
        assert same(got["conv2"], want["conv2"])
    assert float(want["conv1"].mean.min()) < 0
    score(row="models", tried=2, survived=2)


@pytest.mark.parametrize(
    ("name", "layer", "says"),
    [("Functional", "unused", "unused"), ("Reused", "relu", "relu")],
)
def test_a_layer_without_an_image_of_its_own_is_named(
    tiny: Tiny, name: str, layer: str, says: str, score: Callable[..., None]
) -> None:
    """A reused module has no single output: it may be refused, or be taken at its last use."""
    config = tiny(model=f"{HERE}:{name}", layers=(layer,))
    if name == "Reused":
        assert list(rank(config)) == [layer]
    else:
        with pytest.raises(AtlasError, match=says) as caught:
            rank(config)
        assert "\n" not in str(caught.value)
    score(row="models", tried=1, survived=1)


@pytest.mark.parametrize("name", ["Grey", "Tokens"])
def test_grey_input_and_transformers_are_built(
    tiny: Tiny, name: str, score: Callable[..., None]
) -> None:
    layers = ("relu1",) if name == "Grey" else ("patches", "block")
    config = tiny(model=f"{HERE}:{name}", layers=layers, recipe=("pyramid",))
    assert pipeline.build(config, Progress(quiet=True)) == 0
    score(row="models", tried=1, survived=1)


# --- numerics ------------------------------------------------------------------------------------


def built(config: Config) -> tuple[int, dict[int, dict[str, Any]]]:
    """Exit code, and channel → unit as the page's data hold it."""
    code = pipeline.build(config, Progress(quiet=True))
    (path,) = config.site.glob("*/*/layer.json")
    units = json.loads(path.read_text())["units"]
    return code, {unit["channel"]: unit for unit in units}


def settings(tiny: Tiny, tmp_path: Path, name: str, **changes: object) -> Config:
    """An atlas of all units of the layer with the fault."""
    return tiny(
        model=f"{HERE}:{name}",
        **{
            "layers": ("out",),
            "units": "all",
            "recipe": ("pyramid",),
            "precision": "fp32",
            "cache": tmp_path / name,
            "site": tmp_path / f"site-{name}",
            **changes,
        },
    )


def pictures(config: Config) -> dict[int, bytes]:
    """Channel → bytes of its picture in the cache."""
    (plan,) = config.cache.glob("*/atlas.json")
    held = json.loads(plan.read_text())
    with Store.read(plan.parent / held["key"]) as store:
        found = store.finished(held["fingerprints"][held["recipes"][0]])["out"]
        return {
            channel: store.rendering(
                one.unit, held["fingerprints"][held["recipes"][0]]
            ).image.tobytes()
            for channel, one in found.items()
        }


def test_a_channel_of_nan_is_never_ranked_and_all_others_are_right(
    tiny: Tiny, tmp_path: Path, score: Callable[..., None]
) -> None:
    config, sound = (settings(tiny, tmp_path, name) for name in ("with_nan", "sound"))
    code, units = built(config)
    _, wanted = built(sound)
    assert code == 0
    assert [*units] == [channel for channel in wanted if channel != 1]
    assert [u["mean_activation"] for u in units.values()] == [
        unit["mean_activation"] for channel, unit in wanted.items() if channel != 1
    ]
    (key,) = config.cache.glob("*/*/key.json")
    with Store.read(key.parent) as store:
        assert store.read_stats("out").finite.tolist() == [True, False, True, True]
    (page,) = config.site.glob("*/out/index.html")
    assert "NaN or infinite on some sample image" in page.read_text("utf-8")
    score(row="numerics", tried=1, survived=1)


def test_nan_during_optimisation_labels_that_unit_only(
    tiny: Tiny, tmp_path: Path, score: Callable[..., None]
) -> None:
    config, sound = (settings(tiny, tmp_path, name) for name in ("with_nan_when_driven", "sound"))
    _, units = built(config)
    _, wanted = built(sound)
    assert {c: u["status"] for c, u in units.items() if c != 1} == {
        c: u["status"] for c, u in wanted.items() if c != 1
    }
    assert all(np.isfinite(np.frombuffer(d, np.float16)).all() for d in pictures(config).values())
    score(row="numerics", tried=1, survived=1)


def test_a_batch_that_does_not_fit_is_halved_and_all_pictures_are_made(
    tiny: Tiny, tmp_path: Path, score: Callable[..., None]
) -> None:
    config, sound = (
        settings(tiny, tmp_path, name, batch=4) for name in ("with_little_memory", "sound")
    )
    code, units = built(config)
    _, wanted = built(sound)
    assert code == 0
    assert {c: u["status"] for c, u in units.items()} == {c: u["status"] for c, u in wanted.items()}
    assert pictures(config).keys() == pictures(sound).keys() == {0, 1, 2, 3}
    score(row="numerics", tried=1, survived=1)


def test_a_dead_unit_is_labelled_and_takes_nothing_with_it(
    tiny: Tiny, score: Callable[..., None]
) -> None:
    config = tiny(layers=("relu2",), units="all", recipe=("octaves",), precision="fp32")
    _, units = built(config)
    assert units[2]["status"] == "dead"
    assert {units[0]["status"], units[1]["status"]} <= {"ok", "weak"}
    assert [name for name in read_tree(config.cache) if name.endswith(".h5")]
    score(row="numerics", tried=1, survived=1)
