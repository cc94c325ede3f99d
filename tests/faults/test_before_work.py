"""Nothing is computed for a cache that cannot take it, and no old result is taken for a new one."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from atlas import pipeline
from atlas.cache.store import Store
from atlas.config import Config
from atlas.errors import CacheError
from atlas.files.digests import canonical_json, sha256_bytes
from atlas.progress import Progress
from tests.faults.exhaust import read_tree
from tests.faults.shim import CREATE, OTHER, READ_ONLY, RENAME, SYNC, run
from tests.store_records import KEY, MODEL

ROW = "storage: before work"
BUILD = ("build_atlas.py", "build", "--model", "tests.helpers:tiny_network", "--quiet")


def options(config: Config) -> list[object]:
    """The command line of the tiny atlas."""
    return [
        *BUILD,
        *("--images", config.images, "--input-size", 32, "--size", 32, "--units", 2),
        *("--recipe", "pyramid", "--cache", config.cache, "--site", config.site),
    ]


@pytest.mark.parametrize(
    ("environment", "text"),
    [
        ({"FAULT": f"0 4 {READ_ONLY.error} {CREATE | SYNC | RENAME | OTHER}"}, "read-only"),
        ({"FAULT": f"0 4 28 {CREATE | SYNC | RENAME | OTHER}"}, "the disk is full"),
        ({"FAULT_ROOM": "100000"}, "MB free and this run needs about"),
    ],
    ids=["read-only", "full", "too full"],
)
def test_a_disk_that_cannot_take_the_work_is_refused_before_it(
    shim: Path,
    tiny: Callable[..., Config],
    environment: dict[str, str],
    text: str,
    score: Callable[..., None],
) -> None:
    config = tiny()
    config.cache.mkdir()
    config.site.mkdir()
    under = {"FAULT_UNDER": str(config.cache.parent)}
    done = run(shim, options(config), {**environment, **under})
    assert done.returncode == 3, done.stderr
    assert done.stderr.startswith("error: ")
    assert text in done.stderr
    assert done.stderr.count("\n") == 1
    assert not [*config.cache.rglob("*.h5")]
    assert not (config.site / "index.html").exists()
    score(row=ROW, tried=1, survived=1)


def newer_block(folder: Path) -> Path:
    """A layer table of the next schema."""
    data = canonical_json({"schema": 2, "kind": "network", "text": "who knows"}).encode()
    path = folder / f"network.{sha256_bytes(data)[:12]}.json"
    path.write_bytes(data)
    return path


def newer_key(folder: Path) -> Path:
    """A key of the next schema."""
    path = folder / "key.json"
    path.write_text(json.dumps({"schema": 2, "key": KEY}))
    return path


@pytest.mark.parametrize("make", [newer_block, newer_key])
def test_what_a_newer_version_wrote_is_refused_and_left_alone(
    filled: Path, make: Callable[[Path], Path], score: Callable[..., None]
) -> None:
    make(filled)
    before = read_tree(filled)
    for way in (lambda: Store.open(filled.parents[1], "tiny", KEY), lambda: Store.read(filled)):
        with pytest.raises(CacheError, match="reads schema 1; update"):
            way()
    assert read_tree(filled) == before
    score(row=ROW, tried=2, survived=2)


def other_weights(config: Config, folder: Path) -> Config:
    """A file of weights with one number changed."""
    from tests.helpers import tiny_network

    network = tiny_network()
    network.state_dict()["conv2.bias"][0] += 0.25
    torch.save(network.state_dict(), folder / "other.pth")
    return replace(config, weights=str(folder / "other.pth"))


def other_images(config: Config, folder: Path) -> Config:
    """A folder with one pixel changed."""
    import shutil

    shutil.copytree(config.images, folder / "other")
    picture = cv2.imread(str(folder / "other" / "0.png"))
    assert picture is not None
    cv2.imwrite(str(folder / "other" / "0.png"), np.asarray(picture) ^ 1)
    return replace(config, images=str(folder / "other"))


KEYED: dict[str, Callable[[Config, Path], Config]] = {
    "weights": other_weights,
    "images": other_images,
    "mean": lambda config, folder: replace(config, mean=(0.5,)),
    "std": lambda config, folder: replace(config, std=(0.5,)),
    "input size": lambda config, folder: replace(config, input_size=24),
    "crop": lambda config, folder: replace(config, crop=0.5),
    "limit of pixels": lambda config, folder: replace(config, max_pixels=5000),
}

RENDERED: dict[str, Callable[[Config, Path], Config]] = {
    "recipe": lambda config, folder: replace(config, recipe=("octaves",)),
    "size": lambda config, folder: replace(config, size=40),
    "seed": lambda config, folder: replace(config, seed=1),
}


def test_each_setting_that_changes_results_changes_where_they_lie(
    tiny: Callable[..., Config], tmp_path: Path, score: Callable[..., None]
) -> None:
    config = tiny(layers=("relu1",), units=1, recipe=("pyramid",), precision="fp32")
    progress = Progress(quiet=True)
    pipeline.build(config, progress)
    keys, kept = set(config.cache.glob("*/*/key.json")), read_tree(config.cache)
    for change in KEYED.values():
        pipeline.rank(change(config, tmp_path), progress)
        now = set(config.cache.glob("*/*/key.json"))
        assert len(now) == len(keys) + 1
        keys = now
    for change in RENDERED.values():
        count = len([*config.cache.rglob("renderings/*/*.h5")])
        pipeline.build(change(config, tmp_path), progress)
        assert len([*config.cache.rglob("renderings/*/*.h5")]) == count + 1
        assert set(config.cache.glob("*/*/key.json")) == keys
    after = read_tree(config.cache)
    results = {name: data for name, data in kept.items() if name.endswith(".h5")}
    assert results.items() <= after.items()
    score(row=ROW, tried=len(KEYED) + len(RENDERED), survived=len(KEYED) + len(RENDERED))


def test_a_key_folder_of_another_key_is_refused(filled: Path, score: Callable[..., None]) -> None:
    (filled / "key.json").write_text(json.dumps({"schema": 1, "key": {**KEY, "seed": 9}}))
    with pytest.raises(CacheError, match="is not the key of its folder"):
        Store.open(filled.parents[1], MODEL.name, KEY)
    score(row=ROW, tried=1, survived=1)
