"""Tests that need a GPU; everything else about devices is tested on the CPU."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from atlas import pipeline
from atlas.cache.selection import SELECTION, read_selection
from atlas.cache.store import Store
from atlas.config import Config
from atlas.models.load import Model
from atlas.network import tuning
from atlas.network.network import Network
from atlas.network.recording import Mode
from atlas.progress import Progress
from atlas.rendering import climb as climbing
from atlas.rendering import octaves as engine
from atlas.rendering.climb import Climb
from atlas.rendering.engine import render
from atlas.rendering.job import Draft
from atlas.rendering.recipes import RECIPES
from atlas.stages import render as stage
from atlas.workers import schedule
from tests.helpers import (
    job_of,
    layer_info,
    natural_stats,
    nature_of,
    network_of,
    smooth_images,
    tiny_network,
)

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")

GPU = torch.device("cuda")


def on_gpu(plain: nn.Module, layers: list[str], side: int, compile: Mode = "auto") -> Network:
    """A network as the engine sees it on the GPU."""
    info = network_of(plain, layers, side).info
    return Network(Model(info=info, network=plain, layers=()), layers, GPU, compile)


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


def likeness(ours: dict[Any, np.ndarray], theirs: dict[Any, np.ndarray]) -> float:
    """Median over the pictures of the mean absolute difference."""
    assert ours.keys() == theirs.keys()
    return float(np.median([np.abs(ours[unit] - theirs[unit]).mean() for unit in ours]))


def test_an_atlas_is_built_on_the_gpu_and_resembles_the_cpus(
    tiny: Callable[..., Config], tmp_path: Path
) -> None:
    on_device = tiny(device="cuda", layers=("relu1",), units=4)
    on_cpu = tiny(
        device="cpu", layers=("relu1",), units=4, cache=tmp_path / "c", site=tmp_path / "s"
    )
    for config in (on_device, on_cpu):
        assert pipeline.build(config, Progress(quiet=True)) == 0
    assert likeness(pictures(on_device), pictures(on_cpu)) < 0.05


def test_the_batch_follows_the_memory_of_the_card() -> None:
    network = on_gpu(tiny_network(), ["relu2"], 64)
    batch = tuning.choose_batch("auto", network, "relu2", 64)
    assert 1 <= batch <= tuning.LARGEST_BATCH


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precisions_run(tiny: Callable[..., Config], precision: str) -> None:
    config = tiny(device="cuda", layers=("relu1",), units=2, precision=precision)
    assert pipeline.build(config, Progress(quiet=True)) == 0


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("googlenet", ["conv2", "inception4c"]),
        ("resnet18", ["layer1.0", "layer3.1"]),
        ("mobilenet_v2", ["features.3", "features.17"]),
    ],
)
def test_networks_take_every_shortcut_and_run_in_batches(name: str, layers: list[str]) -> None:
    from torchvision import models

    torch.manual_seed(0)
    settings = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    plain = getattr(models, name)(weights=None, **settings).eval()
    network = on_gpu(plain, layers, 96)
    assert not network.needs, "images are not run one at a time"
    assert not network.fallback


# --- steps ---------------------------------------------------------------------------------------


def deep() -> nn.Module:
    """A seeded network of four convolutions, some of whose units start silent."""
    torch.manual_seed(1)
    sides = (3, 16, 16, 32, 8)
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(sides):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU6()]
    return nn.Sequential(*layers).eval().requires_grad_(False)


def drafts(compile: Mode, recipe: str = "octaves", plain: nn.Module | None = None) -> list[Draft]:
    """Eight units of the last layer at 64 px in fp32."""
    network = on_gpu(plain or deep(), ["7"], 64, compile)
    stats = natural_stats(network, layer_info("7", 8, 64), smooth_images(12, 64))
    nature = nature_of({"7": stats}, hf=0.05, magnitude=np.ones((3, 64, 33), np.float32))
    made = render(network, job_of(RECIPES[recipe], "7", range(8), stats, 64, nature=nature))
    assert not network.notes
    return made


def apart(ones: list[Draft], others: list[Draft]) -> float:
    """Median over the units of the mean absolute difference."""
    pairs = zip(ones, others, strict=True)
    return float(np.median([np.abs(one.image - other.image).mean() for one, other in pairs]))


@pytest.mark.parametrize("recipe", ["octaves", "company", "phase"])
def test_recorded_steps_equal_the_steps_themselves(recipe: str) -> None:
    assert apart(drafts("on", recipe), drafts("off", recipe)) < 0.01


def test_steps_are_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    look = Climb.take_look
    monkeypatch.setattr(Climb, "take_look", lambda climb: (looks.append(1), look(climb))[1])
    drafts("auto")
    assert len(looks) <= 3 * 4, "of 128 steps the first, and those that are recorded"


def test_pictures_are_alike_however_often_silence_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = []
    for every in (1, 8):
        monkeypatch.setattr(engine, "ask_every", lambda _device, every=every: every)
        made.append(drafts("auto"))
    assert apart(*made) < 0.01


@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
def test_no_part_of_a_step_waits_for_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def guarded(part: Callable[[Climb], None]) -> Callable[[Climb], None]:
        def strict(climb: Climb) -> None:
            torch.cuda.set_sync_debug_mode("error")
            try:
                part(climb)
            finally:
                torch.cuda.set_sync_debug_mode("default")

        return strict

    drafts("off")  # constants of all climbs come with the first step
    for name in ("take_look", "take_wake", "take_move"):
        monkeypatch.setattr(Climb, name, guarded(getattr(climbing.Climb, name)))
    drafts("off")
    drafts("off", "company")


class Asking(nn.Module):
    """Asks the device about its input, as no recorded code can."""

    def forward(self, x: Tensor) -> Tensor:
        return x if float(x.mean()) < 1e9 else -x


def test_a_network_that_cannot_be_recorded_runs_as_it_is() -> None:
    plain = nn.Sequential(*deep(), Asking()).eval()
    network = on_gpu(plain, ["8"], 64)
    stats = natural_stats(network, layer_info("8", 8, 64), smooth_images(12, 64))
    job = job_of(RECIPES["octaves"], "8", range(8), stats, 64)
    made = render(network, job)
    (note,) = network.notes
    assert note.startswith("steps are not recorded as CUDA graphs: ")
    assert apart(made, drafts("off", plain=deep())) < 0.01
    assert apart(render(network, replace(job, attempt=0)), made) < 0.01


def test_blocks_that_are_optimised_together_are_committed_one_by_one(
    tiny: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "BLOCK_UNITS", 1)
    commits: list[tuple[int, int]] = []
    commit = stage.commit

    def counted(work: Any, block: Any, rendered: Any, mark: str) -> Any:
        commits.append((block.first, len(rendered.renderings)))
        return commit(work, block, rendered, mark)

    monkeypatch.setattr(stage, "commit", counted)
    together = tiny(device="cuda", layers=("relu1",), units=4)
    alone = replace(together, batch=1, cache=tmp_path / "c", site=tmp_path / "s")
    for config in (together, alone):
        assert pipeline.build(config, Progress(quiet=True)) == 0
    assert commits == [(0, 1), (1, 1), (2, 1), (3, 1)] * 2
    assert likeness(pictures(together), pictures(alone)) < 0.05
