"""The matrices of a pass: others can work with them alone, and old caches get theirs."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from atlas import pipeline
from atlas.cache import codec
from atlas.cache.store import Store
from atlas.config import Config
from atlas.progress import Progress
from atlas.ranking import sampling
from tests.stages.conftest import Judged


def by_hand(file: h5py.File, layer: str) -> list[int]:
    """IDENT of the units of a layer by their first recipe, from an export and nothing else."""

    def standard(matrix: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        spread = matrix.std(axis, keepdims=True)
        return (matrix - matrix.mean(axis, keepdims=True)) / np.where(spread > 0, spread, 1)

    def phi(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        natural = file["natural/features"][...].astype(np.float64)
        spread = natural.std(0)
        z = (rows - natural.mean(0)) / np.where(spread > 0, spread, 1)
        parts = np.split(z, np.cumsum(file["natural/widths"])[:-1], axis=1)
        lengths = [np.linalg.norm(part, axis=1, keepdims=True) for part in parts]
        joined = [
            part / np.where(one > 0, one, 1) for part, one in zip(parts, lengths, strict=True)
        ]
        return np.concatenate(joined, 1) / np.sqrt(len(parts))

    judging, units = file["natural/judging"][...], file[f"layers/{layer}/units"]
    photographs = phi(file["natural/features"][...].astype(np.float64))[judging]
    guesses = phi(units["features"][...].astype(np.float64)) @ photographs.T
    answers = file[f"natural/layers/{layer}/activations"][...].astype(np.float64)[judging]
    live = answers.std(0) > 0
    fits = standard(guesses, 1) @ standard(answers, 0) / judging.sum()  # (U, C)
    places = []
    for row, channel in enumerate(units["channel"][...]):
        better = (fits[row] > fits[row, channel]) & live
        places.append(1 + int(better.sum()) if live[channel] else 0)
    return places


@pytest.mark.parametrize("measured", [False, True], ids=["alone", "with a reference"])
def test_ident_can_be_worked_out_from_the_export_alone(
    judged: Judged, tmp_path: Path, measured: bool
) -> None:
    path, out = tmp_path / "reference.h5", tmp_path / "atlas.h5"
    if measured:
        assert pipeline.rank(judged(save_reference=str(path)), Progress(True)) == 0
    config = judged(reference=str(path) if measured else "none", out=str(out))
    assert pipeline.build(config, Progress(True)) == 0
    assert pipeline.export(config, Progress(True)) == 0
    with h5py.File(out) as file:
        layers = list(file["layers"])
        assert len(layers) == 2
        for layer in layers:
            assert by_hand(file, layer) == file[f"layers/{layer}/units/ident"][...].tolist()


def key_folder(config: Config) -> Path:
    (path,) = config.cache.glob("*/*/key.json")
    return path.parent


def age(config: Config) -> dict[str, NDArray[np.float32]]:
    """Make statistics as the version before wrote them, on a machine that rounds otherwise."""
    folder, means = key_folder(config), {}
    with Store.read(folder) as read:
        key = read.key
        old = {block.layer: read.read_stats(block.layer) for block in read.index.select("ranking")}
    for path in (folder / "ranking").iterdir():
        path.unlink()
    with Store.open(config.cache, config.atlas_name, key) as store:
        for layer, stats in old.items():
            datasets = codec.stats_to_datasets(stats)
            del datasets["places"], datasets["rows"]
            datasets["mean"] = means[layer] = stats.mean * np.float32(1.0001)
            store.write(f"ranking/{layer}", datasets, kind="ranking", layer=layer)
    return means


def test_an_old_cache_is_completed_by_one_pass_and_its_pictures_stay(
    tiny: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pipeline.build(tiny(), Progress(True)) == 0
    folder = key_folder(tiny())
    pictures = {path: path.stat().st_mtime_ns for path in folder.glob("renderings/*/*.h5")}
    means = age(tiny())
    assert pipeline.site(tiny(), Progress(True)) == 0, "pages do without places"
    assert pipeline.build(tiny(), Progress(True)) == 0
    assert {path: path.stat().st_mtime_ns for path in folder.glob("renderings/*/*.h5")} == pictures
    with Store.read(folder) as store:
        for layer, mean in means.items():
            stats = store.read_stats(layer)
            assert np.array_equal(stats.mean, mean)
            assert stats.places.shape == stats.peaks.shape == stats.activations.shape
        assert len(store.index.select("ranking")) == len(means)

    def no_pass(*_given: object) -> None:
        raise AssertionError("everything is there")

    monkeypatch.setattr("atlas.stages.rank.measure", no_pass)
    assert pipeline.build(tiny(), Progress(True)) == 0


def test_peaks_of_very_many_images_are_kept_of_a_fixed_sample_and_that_is_said(
    tiny: Callable[..., Config], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "atlas.h5"
    whole = tiny(cache=tmp_path / "whole", out=str(tmp_path / "whole.h5"))
    few = tiny(out=str(out), quiet=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling.sampling_of, "__defaults__", (4,))
        assert pipeline.build(few, Progress(False)) == 0
    assert "peaks and their places are kept of 4 images" in capsys.readouterr().err
    assert pipeline.build(whole, Progress(True)) == 0
    assert pipeline.export(few, Progress(True)) == pipeline.export(whole, Progress(True)) == 0
    with h5py.File(out) as file, h5py.File(tmp_path / "whole.h5") as all_of_it:
        rows = file["images/rows"][...]
        assert len(rows) == 4
        assert all_of_it["images/rows"][...].tolist() == list(range(10))
        for name, layer in file["layers"].items():
            other = all_of_it[f"layers/{name}"]
            for matrix in ("activations", "peaks", "places"):
                assert np.array_equal(layer[matrix][...], other[matrix][...][rows])
            assert np.array_equal(layer["mean"][...], other["mean"][...]), "over all images"
