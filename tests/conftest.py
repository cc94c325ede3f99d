"""Fixtures that several test files share."""

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from atlas.cache.store import Store
from atlas.config import Config
from tests.store_records import KEY, fill
from tests.tools import pytest_terminal_summary  # noqa: F401, a hook of pytest


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """One thread: faster on tiny networks, and tests run side by side."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=["bf16", "no bf16"])
def processor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor that claims to have bf16, and one that does not."""
    claimed = request.param == "bf16"
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: claimed)


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """A folder of ten small colour pictures, each of its own hue, with edges and a smooth part."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    rng = np.random.default_rng(7)
    for index in range(10):
        picture = np.full((48, 48, 3), rng.integers(0, 256, 3), np.float64)
        picture += np.linspace(-60, 60, 48)[:, None, None]
        picture[:, 8 + 3 * index : 20 + 3 * index] = rng.integers(0, 256, 3)
        picture += rng.normal(0, 4, picture.shape)
        cv2.imwrite(str(folder / f"{index}.png"), picture.clip(0, 255).astype(np.uint8))
    return folder


@pytest.fixture
def tiny(tmp_path: Path, photographs: Path) -> Callable[..., Config]:
    """Settings for an atlas of the tiny network in milliseconds; keywords change them."""

    def config(**changes: object) -> Config:
        settings: dict[str, object] = {
            "model": "tests.helpers:tiny_network",
            "images": str(photographs),
            "input_size": 32,
            "size": 32,
            "units": 2,
            "classes": 0,
            "lenses": 0,
            "cache": tmp_path / "cache",
            "site": tmp_path / "site",
            "quiet": True,
            "live": "off",
        }
        return Config(**{**settings, **changes})  # type: ignore[arg-type]

    return config


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A key folder of the cache with one of everything."""
    with Store.open(tmp_path, "tiny", KEY) as opened:
        fill(opened)
    return opened.folder
