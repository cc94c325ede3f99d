"""Models of torchvision: its classifiers, its segmentation networks, its detectors' backbones.

Start at `torchvision_network`. Names are torchvision's own; those of its other networks are refused
with the reason.
"""

import functools
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from torch import nn

from ..config import EMBEDDED_MODEL
from ..errors import InputError, closest
from ..records.samples import CentralCrop
from .blueprint import DEFAULT_INPUT_SIZE, Blueprint

ZERO_EPS = (
    *("fasterrcnn_resnet50_fpn", "keypointrcnn_resnet50_fpn"),
    *("maskrcnn_resnet50_fpn", "retinanet_resnet50_fpn"),
)
"""Detectors whose published weights are meant for normalisation without ε.

Source: torchvision.models.detection, `overwrite_eps` behind the weights COCO_V1 of these four.
"""


@functools.cache
def names_of(kind: str) -> tuple[str, ...]:
    """torchvision's names of one kind: "classification", "segmentation", "detection", …"""
    from torchvision import models

    module = models if kind == "classification" else getattr(models, kind)
    return tuple(models.list_models(module=module))


def torchvision_names() -> list[str]:
    """Names of torchvision's networks that an atlas can be made of."""
    kinds = ("classification", "segmentation", "detection")
    return [name for kind in kinds for name in names_of(kind)]


REFUSED = {
    "quantization": "computes in 8-bit integers, through which there are no gradients",
    "video": "takes clips of video, not images",
    "optical_flow": "takes two images at a time",
}
"""torchvision's other networks, and why there is no atlas of them."""


def check_torchvision_name(name: str) -> None:
    """Raise an InputError with the closest names unless torchvision has this network for us."""
    names = torchvision_names()
    if name in names:
        return
    for kind, reason in REFUSED.items():
        if name in names_of(kind):
            plain = closest(name.removeprefix("quantized_"), names)
            raise InputError(f"model {name!r} of torchvision {reason}{plain}")
    if Path(f"{name}.py").is_file():
        raise InputError(
            f"model {name!r} is the name of a module; write which function of it returns the "
            f"network, --model {name}:callable"
        )
    if Path(name).exists():
        raise InputError(
            f"model {name!r} is the name of a file or folder; --model takes a model's name, "
            f"--weights FILE its weights, and your own network is package.module:callable"
        )
    raise InputError(
        f"model {name!r} is not known{closest(name, [EMBEDDED_MODEL, *names])}; allowed: "
        f"{EMBEDDED_MODEL}, a torchvision classification, segmentation or detection model, "
        f"timm/NAME, package.module:callable"
    )


def torchvision_weights(name: str) -> Any:
    """torchvision's entry for the weights it recommends for a model."""
    from torchvision import models

    return models.get_model_weights(name).DEFAULT


def hub_path(name: str) -> Path:
    """Return the path at which torch.hub keeps the published weights of a torchvision model."""
    file = Path(urlparse(torchvision_weights(name).url).path).name
    return Path(torch.hub.get_dir()) / "checkpoints" / file


def torchvision_crop(name: str) -> CentralCrop:
    """Return the crop of torchvision's own transforms for a model; all where they crop nothing."""
    transforms = torchvision_weights(name).transforms()
    if not hasattr(transforms, "crop_size"):
        return CentralCrop(share=1.0)
    return CentralCrop(share=min(1.0, transforms.crop_size[0] / transforms.resize_size[0]))


def torchvision_network(name: str) -> Blueprint:
    """A torchvision network with random weights, and what torchvision says of its own."""
    if name in names_of("segmentation"):
        return segmenter(name)
    return detector(name) if name in names_of("detection") else classifier(name)


def classifier(name: str, **options: Any) -> Blueprint:
    """A classifier of the input size that its published weights are for.

    Args:
        name: torchvision's.
        options: of its builder, instead of those of the weights.
    """
    from torchvision import models

    weights = torchvision_weights(name)
    transforms = weights.transforms()
    return Blueprint(
        network=models.get_model(name, weights=None, **{**builder_options(name), **options}),
        input_size=int(transforms.crop_size[0]),
        mean=tuple(transforms.mean),
        std=tuple(transforms.std),
        class_names=tuple(weights.meta.get("categories", ())),
        **published(name),
    )


def builder_options(name: str) -> dict[str, Any]:
    """Return the options with which a classifier is built so that its published weights fit.

    The auxiliary classifiers of GoogLeNet and Inception only serve training and are left out. Their
    published weights expect the input re-normalised inside the network (`transform_input`), which
    torchvision switches on with the download; it is on here too, so that a file gives the same.
    Vision transformers have a position embedding for each patch of one size of the input.
    """
    if name in ("googlenet", "inception_v3"):
        return {"aux_logits": False, "transform_input": True, "init_weights": False}
    if name.startswith("vit_"):
        return {"image_size": torchvision_weights(name).meta["min_size"][0]}
    return {}


def segmenter(name: str) -> Blueprint:
    """A segmentation network; it puts out a dict of maps, and no class scores."""
    from torchvision import models

    transforms = torchvision_weights(name).transforms()
    return Blueprint(
        network=models.get_model(name, weights=None, weights_backbone=None),
        mean=tuple(transforms.mean),
        std=tuple(transforms.std),
        **published(name),
    )


def detector(name: str) -> Blueprint:
    """The backbone of a detector, which is what sees the image; the rest proposes boxes from it."""
    from torchvision import models

    whole = models.get_model(name, weights=None, weights_backbone=None)
    if name in ZERO_EPS:
        for module in whole.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = 0.0
    fixed = whole.transform.fixed_size  # SSD's; the others take any size
    return Blueprint(
        network=whole.backbone,
        input_size=fixed[0] if fixed else DEFAULT_INPUT_SIZE,
        mean=tuple(whole.transform.image_mean),
        std=tuple(whole.transform.image_std),
        **published(name),
    )


def published(name: str) -> dict[str, Any]:
    """Title, source and licence of the weights that torchvision publishes."""
    weights = torchvision_weights(name)
    return {
        "title": torchvision_title(type(weights).__name__),
        "source": f"torchvision, {hub_path(name).name}",
        "licence": str(weights.meta.get("license", "")),
    }


def torchvision_title(enum: str) -> str:
    """`SqueezeNet1_1_Weights` → `SqueezeNet1.1`, `VGG16_BN_Weights` → `VGG16 BN`."""
    version_dots = re.sub(r"(?<!\d)(\d)_(\d)", r"\1.\2", enum.removesuffix("_Weights"))
    return version_dots.replace("_", " ")
