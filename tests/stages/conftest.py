"""Atlases of the tiny network that a tiny observer judges."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from atlas.config import Config
from atlas.models.load import load_model
from atlas.models.observers import ChosenObserver, five_depths
from atlas.network.observer import Observer
from atlas.records.evidence import Observation
from atlas.rendering.recipes import RECIPES
from atlas.stages import observe
from tests.helpers import hasty_recipe

IMAGES = 60
"""About twenty of them judge."""

SEER, OTHER = "tests.stages.conftest:seer", "tests.stages.conftest:other_seer"


def seer(seed: int = 0) -> nn.Module:
    """Two stages of random convolutions."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        stages = [(nn.Conv2d(3, 6, 3), nn.ReLU()), (nn.Conv2d(6, 8, 3, stride=2), nn.ReLU())]
        return nn.Sequential(*(layer for stage in stages for layer in stage))


def other_seer() -> nn.Module:
    return seer(1)


def observer_of(name: str) -> ChosenObserver:
    """A network of the tests as an observer."""
    found = five_depths(load_model(Config(model=name, input_size=24)))
    info = found.model.info
    return ChosenObserver(title=info.title, weights_sha256=info.weights_sha256, load=lambda: found)


@pytest.fixture(scope="package")
def observers() -> dict[str, ChosenObserver]:
    """--observer → who judges."""
    first = observer_of(SEER)
    return {"auto": first, "seer": first, "other": observer_of(OTHER)}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of `IMAGES` small pictures of smooth colours."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(11)
    for index in range(IMAGES):
        coarse = rng.integers(0, 256, (3, 3, 3)).astype(np.uint8)
        picture = cv2.resize(coarse, (32, 32), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{index:02}.png"), picture)
    return folder


Judged = Callable[..., Config]


@pytest.fixture
def judged(
    tiny: Callable[..., Config],
    pictures: Path,
    observers: dict[str, ChosenObserver],
    monkeypatch: pytest.MonkeyPatch,
) -> Judged:
    """Settings for an atlas of hasty pictures that Seer judges: ten judging images are enough."""
    for name in ("octaves", "company"):
        monkeypatch.setitem(RECIPES, name, hasty_recipe(name))
    monkeypatch.setattr(observe, "LEAST_JUDGES", 10)
    monkeypatch.setattr(
        observe, "choose_observer", lambda config, _: observers.get(config.observer)
    )
    return lambda **changes: tiny(**{"images": str(pictures), "units": 4, **changes})


@pytest.fixture
def company(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty images are company."""
    for module in ("choose", "recipes"):
        monkeypatch.setattr(f"atlas.stages.{module}.COMPANY_MINIMUM", 30)


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures each observer that looked has seen."""
    seen: list[int] = []
    look = Observer.look

    def count(self: Observer, shown: object) -> Observation:
        found = look(self, shown)  # type: ignore[arg-type]
        seen.append(len(found.features))
        return found

    monkeypatch.setattr(Observer, "look", count)
    return seen
