"""A model's name → a network with its weights, its preprocessing and its table of layers.

`identify` says what can be known without building the network, so that a finished atlas is found
in the cache without loading it; `load_model` builds it.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ..config import EMBEDDED_MODEL, Config
from ..errors import InputError, UsageError
from ..files.digests import sha256_file
from ..records.dictionary import Code, Dictionary
from ..records.network import LayerInfo, ModelInfo, Outputs
from ..records.samples import USUAL_CROP, CentralCrop
from ..shapes import Size, pair
from .behaviour import describe_behaviour
from .blueprint import DEFAULT_INPUT_SIZE, Blueprint, set_evaluating
from .directions import rows_of
from .outputs import NO_CLASSES, choose_outputs
from .own import first_pass, is_own, own_blueprint, own_network
from .probes import probe_images
from .selection import class_layer
from .state_dict import digest_tensors, load_weights
from .table import layer_table
from .timm import EMBEDDED_FILE, embedded_network, embedded_path, is_timm, timm_crop, timm_network
from .torchvision import (
    check_torchvision_name,
    hub_path,
    torchvision_crop,
    torchvision_network,
    torchvision_weights,
)
from .weights import checked_file, download_weights, read_weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Facts about a model that are known before it is built.

    Attributes:
        name: the model's name; with the four overrides below all that changes the result.
        weights_sha256: of the weights file; "" where the model has to be loaded to know (weights
            not downloaded yet, timm's own, one's own network).
        mean, std, input_size, channels: as given by options; () and 0 where they are the model's
            own.
        outputs: what the network puts out, where that changes what is made of it: "" for scores
            that softmax makes probabilities of.
    """

    name: str
    weights_sha256: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    input_size: Size
    channels: int
    outputs: str = ""

    @property
    def complete(self) -> bool:
        """True if it identifies the model: False means load it, then call `completed`."""
        return bool(self.weights_sha256)

    def completed(self, info: ModelInfo) -> "Identity":
        """The same with what loading the model has shown."""
        plain = info.outputs in ("logits", "none")
        outputs = self.outputs or ("" if plain else info.outputs)
        return replace(self, weights_sha256=info.weights_sha256, outputs=outputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A network ready to be looked at: eval mode, float32, on the CPU, no gradients of weights.

    Attributes:
        info, network, layers: what it is, itself, and its table.
        behaviour: of one's own network, see `describe_behaviour`; () where a library's name says
            what is computed.
        dictionaries: layer of the table that is one → its code.
    """

    info: ModelInfo
    network: nn.Module
    layers: tuple[LayerInfo, ...]
    behaviour: tuple[float, ...] = ()
    dictionaries: Mapping[str, Code] = field(default_factory=dict)


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
        channels=config.channels,
        outputs="" if config.outputs in ("auto", "logits") else config.outputs,
    )


def central_crop(config: Config) -> CentralCrop:
    """Return the part of a picture that the network of `config` sees, without building it.

    Raises:
        InputError: there is no such model.
    """
    if config.crop:
        return CentralCrop(share=config.crop)
    if is_own(config.model):
        return CentralCrop(share=1.0, prepared=True)
    if is_timm(config.model):
        return timm_crop(config.model.removeprefix("timm/"))
    return USUAL_CROP if config.model == EMBEDDED_MODEL else torchvision_crop(config.model)


def load_model(config: Config, network: nn.Module | None = None) -> Model:
    """Build the network of `config`, load its weights and make the table of its layers.

    Args:
        config: the settings.
        network: the one that `config` means, where it is in memory already; it is changed.

    Raises:
        InputError: no such model, weights that cannot be had or do not fit, a network that fails.
        UsageError: --mean, --std or --channels do not fit the network's input, or --outputs what
            it puts out.
    """
    path = weights_path(config)
    digest = fetch_weights(config, path) if path else ""
    held = read_weights(path, published_name(config.model)) if path else None
    blueprint = find_blueprint(config, network)
    part = load_weights(blueprint.network, held, path, config.model) if path and held else ""
    source = [f"file {path.name}", part] if path and config.weights else [blueprint.source]
    network, size = blueprint.network, config.input_size or blueprint.input_size
    channels = len(blueprint.mean)
    prepare(network, channels, size)
    mean = per_channel("--mean", config.mean or blueprint.mean, channels)
    std = per_channel("--std", config.std or blueprint.std, channels)
    images = probe_images(*pair(size), mean, std)
    named = bool(blueprint.class_names or config.class_names)
    layers, outputs = layers_and_outputs(config.outputs, network, images, named)
    own = is_own(config.model)
    info = ModelInfo(
        name=config.atlas_name,
        title=config.name or blueprint.title,
        source=", ".join(filter(None, source)),
        weights_sha256=digest if digest and not own else digest_tensors(network),
        licence="" if config.weights else blueprint.licence,
        parameters=sum(weight.numel() for weight in network.parameters()),
        input_size=max(pair(size)),
        input_shape=() if isinstance(size, int) else size,
        mean=mean,
        std=std,
        class_names=blueprint.class_names,
        outputs=outputs,
    )
    if not path:
        check_digest(config, info.weights_sha256)
    behaviour = describe_behaviour(network, images) if own else ()
    return Model(info=info, network=network, layers=layers, behaviour=behaviour)


def with_dictionaries(model: Model, found: Sequence[Dictionary]) -> Model:
    """The model with dictionaries as further layers."""
    codes = {one.name: one.code for one in found}
    return replace(model, layers=rows_of(model.layers, found), dictionaries=codes)


def fetch_weights(config: Config, path: Path) -> str:
    """Download weights that are not there yet, and check the file.

    Returns:
        Its SHA-256.

    Raises:
        InputError: it cannot be had, or is another one than --weights-sha256 says.
    """
    if not config.weights and not path.exists():
        url = torchvision_weights(config.model).url
        download_weights(config.model, url, path, progress=not config.quiet)
    digest = sha256_file(checked_file(path))
    check_digest(config, digest)
    return digest


def layers_and_outputs(
    wanted: str, network: nn.Module, images: Tensor, named: bool
) -> tuple[tuple[LayerInfo, ...], Outputs]:
    """The table of layers, with class scores only where there are classes, and what comes out.

    Args:
        wanted: as given to --outputs.
        network, images, named: as of `find_outputs`.
    """
    layers = layer_table(network, images)
    if not class_layer(layers) and wanted == "auto":
        return layers, "none"
    outputs = choose_outputs(wanted, network, images, named)
    if outputs in NO_CLASSES:
        layers = tuple(layer for layer in layers if "classes" not in layer.groups)
    return layers, outputs


def prepare(network: nn.Module, channels: int, size: Size) -> None:
    """Bring a network to eval mode and the CPU, without gradients of its weights.

    Its numbers become float32, unless it runs on float32 images as it is: then it changes types
    itself. Every step by itself: networks override these methods and forget to return themselves.
    """
    set_evaluating(network)
    network.cpu()
    for weight in network.parameters():
        weight.requires_grad_(False)
    if all(value.dtype == torch.float32 for value in numbers_of(network)):
        return
    with contextlib.suppress(Exception):
        first_pass(network, channels, size)
        return
    network.float()
    for module in network.modules():
        for name, value in vars(module).items():
            if isinstance(value, Tensor) and value.is_floating_point():  # a constant of forward()
                setattr(module, name, value.detach().cpu().float())


def numbers_of(network: nn.Module) -> Iterator[Tensor]:
    """The floating-point weights, buffers and constants of a network."""
    for module in network.modules():
        own = (*module._parameters.values(), *module._buffers.values(), *vars(module).values())
        yield from (one for one in own if isinstance(one, Tensor) and one.is_floating_point())


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


def weights_path(config: Config) -> Path | None:
    """The file that the weights come from, there or not; None where a library loads its own.

    Raises:
        InputError: no such model, or a file of that name.
    """
    if not (is_own(config.model) or is_timm(config.model) or config.model == EMBEDDED_MODEL):
        check_torchvision_name(config.model)
    if config.weights:
        return Path(config.weights).expanduser()
    check_unambiguous(config.model)
    if is_own(config.model) or is_timm(config.model):
        return None
    return embedded_path() if config.model == EMBEDDED_MODEL else hub_path(config.model)


def check_unambiguous(name: str) -> None:
    """Refuse a model whose name is also that of a file here: either could have been meant.

    A folder of that name cannot; and with --weights it is clear that the model is.

    Raises:
        InputError: there is such a file.
    """
    if Path(name).is_file():
        raise InputError(
            f"model {name!r} is also a file here: to load it, name its model with --model and the "
            f"file with --weights; for the published weights, run where no file has that name"
        )


def published_name(model: str) -> str:
    """Name of the file with a model's published weights, "" where there is no such file."""
    if is_own(model) or is_timm(model):
        return ""
    return EMBEDDED_FILE if model == EMBEDDED_MODEL else hub_path(model).name


def find_blueprint(config: Config, network: nn.Module | None) -> Blueprint:
    """Build the network of `config`, its weights still to be loaded from their file.

    Raises:
        InputError: it cannot be built.
        UsageError: --channels for a network that is not one's own.
    """
    side = config.input_size or DEFAULT_INPUT_SIZE
    if network is not None:
        blueprint = own_blueprint(config.model, network, config.channels, side)
        return replace(blueprint, source=f"a {blueprint.title} in the memory of a program")
    if is_own(config.model):
        return own_network(config.model, config.channels, side)
    if config.channels not in (0, 3):
        raise UsageError(
            f"--channels {config.channels}: {config.model} takes 3; a network of your own that "
            f"takes {config.channels} is --model package.module:callable"
        )
    if is_timm(config.model):
        return timm_network(config.model.removeprefix("timm/"), pretrained=not config.weights)
    if config.model == EMBEDDED_MODEL:
        return embedded_network()
    return torchvision_network(config.model)
