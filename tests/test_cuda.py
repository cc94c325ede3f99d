"""Tests that need a GPU; everything else about devices is tested on the CPU."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from atlas import pipeline
from atlas.cache.selection import SELECTION, read_selection
from atlas.cache.store import Store
from atlas.config import Config
from atlas.models.load import Model
from atlas.network import tuning
from atlas.network.network import Network
from atlas.progress import Progress
from tests.helpers import network_of, tiny_network

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")


def pictures(config: Config) -> dict[tuple[str, int], np.ndarray]:
    """Every picture of the one atlas in a cache."""
    (key,) = config.cache.glob("*/*/key.json")
    with Store.read(key.parent) as store:
        mark = read_selection(key.parents[1] / SELECTION).fingerprints["octaves"]
        finished = store.finished(mark)
        return {
            (layer, channel): store.rendering(one.unit, mark).image.astype(np.float32)
            for layer, units in finished.items()
            for channel, one in units.items()
        }


def test_an_atlas_is_built_on_the_gpu_and_resembles_the_cpus(
    tiny: Callable[..., Config], tmp_path: Path
) -> None:
    on_gpu = tiny(device="cuda", layers=("relu1",), units=4)
    on_cpu = tiny(
        device="cpu", layers=("relu1",), units=4, cache=tmp_path / "c", site=tmp_path / "s"
    )
    for config in (on_gpu, on_cpu):
        assert pipeline.build(config, Progress(quiet=True)) == 0
    ours, theirs = pictures(on_gpu), pictures(on_cpu)
    assert ours.keys() == theirs.keys()
    assert np.median([np.abs(ours[unit] - theirs[unit]).mean() for unit in ours]) < 0.05


def test_the_batch_follows_the_memory_of_the_card() -> None:
    plain = tiny_network()
    model = Model(info=network_of(plain, ["relu2"], 64).info, network=plain, layers=())
    network = Network(model, ["relu2"], torch.device("cuda"))
    batch = tuning.choose_batch("auto", network, "relu2", 64)
    assert 1 <= batch <= tuning.LARGEST_BATCH


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precisions_run(tiny: Callable[..., Config], precision: str) -> None:
    config = tiny(device="cuda", layers=("relu1",), units=2, precision=precision)
    assert pipeline.build(config, Progress(quiet=True)) == 0
