"""Weights files: fetch, check, read, load into a network, digest. Start at `read_weights`.

Nothing in a file is run. What a file is, `formats` tells; which part of a checkpoint is meant,
`checkpoints`.
"""

import hashlib
import re
import socket
import stat
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn

from ..config import EMBEDDED_MODEL
from ..errors import INSTALL, InputError, one_line
from ..files.files import sha256_file, shown
from .checkpoints import (
    COUNTER,
    Copy,
    DictStandIn,
    Held,
    StandIn,
    State,
    choice,
    find_part,
    left_over,
    open_wrappers,
    same_shape,
    same_type,
)
from .formats import TORCH, damaged, listed, recognise

DOWNLOAD_TIMEOUT = 30
"""Seconds without an answer after which a download has failed; torch.hub itself waits for ever."""


def download_weights(model: str, url: str, path: Path, *, progress: bool) -> None:
    """Fetch the published weights of a model to where its library looks for them.

    torch.hub writes a temporary file beside `path`, compares the digest in the name and renames.

    Args:
        model: its name, for the message.
        url: of the file.
        path: where to.
        progress: whether torch.hub may draw its bar.

    Raises:
        InputError: it cannot be done.
    """
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), digest_in_name(path.name), progress)
    except (OSError, RuntimeError, ValueError) as error:
        raise no_download(model, path.name, str(path.parent), error) from error
    finally:
        socket.setdefaulttimeout(before)


def no_download(model: str, wanted: str, looked: str, error: Exception) -> InputError:
    """The error of weights that are neither here nor to be had."""
    return InputError(
        f"{model}: its weights {wanted} are not in {looked} and fetching them failed "
        f"({one_line(error)}); give the file with WEIGHTS=/path/to/file, or take "
        f"MODEL={EMBEDDED_MODEL}, which needs no network"
    )


def digest_in_name(name: str) -> str:
    """The first digits of the SHA-256 in names like `googlenet-1378be20.pth`, or "".

    Source: naming convention of torch.hub (`check_hash`).
    """
    found = re.search(r"-([a-f0-9]{8,})\.", name)
    return found.group(1) if found else ""


# --- reading -------------------------------------------------------------------------------------


def checked_file(path: Path) -> Path:
    """The path itself, if it is a readable regular file with something in it.

    Raises:
        InputError: it is not.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(
            f"weights {path} cannot be read: {error.strerror}; check --weights (WEIGHTS=)"
        ) from error
    if not stat.S_ISREG(status.st_mode):  # a pipe would wait for ever
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise InputError(f"weights {path} are {kind}; give the .pth or .safetensors file")
    if not status.st_size:
        raise InputError(f"weights {path} are empty (0 bytes); download the file again")
    return path


def read_weights(path: Path, published: str = "") -> Held:
    """Read what a file holds, running no code that it may carry.

    Args:
        path: a safetensors file, or whatever torch.save wrote.
        published: a file of this name must have the digest that its name holds.

    Raises:
        InputError: the file is not there, damaged, or without tensors.
    """
    form = recognise(checked_file(path))
    if path.name == published:
        check_published(path)
    read = read_torch(path) if form == TORCH else read_safetensors(path)
    if isinstance(read, list) and read and all(isinstance(part, Tensor) for part in read):
        raise InputError(
            f"weights {path} hold a list of {len(read)} tensors without names; "
            f"a state_dict is wanted (name → tensor): torch.save(network.state_dict(), file)"
        )
    held = open_wrappers(read, path)
    if not held.tensors and held.objects:
        raise python_object(path, held.objects[0])
    if not held.tensors or "" in held.values:
        found = f"({listed(list(held.values))})" if any(held.values) else ""
        raise InputError(
            f"weights {path} hold no tensors with names {found or 'and nothing else'}; "
            f"a state_dict is wanted (name → tensor), alone or in a checkpoint"
        )
    return held


def check_published(path: Path) -> None:
    """Compare a published file with the digest in its name: torch.load misses flipped bits."""
    expected = digest_in_name(path.name)
    got = sha256_file(path)
    if not got.startswith(expected):
        raise InputError(
            f"weights {path} are damaged: SHA-256 starts with {expected} by name, got "
            f"{got[:8]}; delete the file and fetch it again"
        )


def read_safetensors(path: Path) -> object:
    """The tensors of a safetensors file, whatever its suffix."""
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise InputError(f"reading {path} needs the package safetensors: {INSTALL}") from error
    try:
        return load_file(path)
    except Exception as error:  # SafetensorError derives from Exception only
        raise damaged(path, "a safetensors file", error) from error


def read_torch(path: Path) -> object:
    """What torch.save wrote, by torch's restricted unpickler; of Python objects, stand-ins."""
    names = unknown_names(path)
    while True:
        try:
            return load_plain(path, stand_ins(names))
        except Exception as error:  # damaged bytes raise anything from KeyError to struct.error
            name = refused_name(error)
            if not name and not (names and isinstance(error, UnpicklingError)):
                raise damaged(path, "a file of torch.save", error) from error
            if not name or name in names:  # what there is no stand-in for
                raise python_object(path, name or names[0]) from error
            names.append(name)


def load_plain(path: Path, allowed: list[Any]) -> object:
    """What torch.load gives; a foreign pickle warns before it fails, and we say why it does."""
    with warnings.catch_warnings(), torch.serialization.safe_globals(allowed):
        warnings.simplefilter("ignore")
        return torch.load(path, map_location="cpu", weights_only=True)


def refused_name(error: Exception) -> str:
    """The class or function that torch.load does not take, "" where it failed otherwise."""
    found = re.search(r"(?:GLOBAL |Can only .* got <class ')([\w.]+)", str(error))
    name = found[1] if found else ""
    return name if not name or "." in name else f"builtins.{name}"


def unknown_names(path: Path) -> list[str]:
    """Names of the classes and functions in a file that torch does not know.

    In the form of before 1.6 they show one by one, as reading meets them.
    """
    try:
        return torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # the file is of the form of before 1.6, or damaged: reading it will tell
        return []


def stand_ins(names: list[str]) -> list[Any]:
    """A harmless class for each name, as torch takes them.

    Checkpoints hold the settings of their training beside the weights (argparse, numpy, omegaconf).
    """
    kinds = {name: DictStandIn if "dict" in name.lower() else StandIn for name in names}
    return [(type(name, (kind,), {"__module__": "builtins"}), name) for name, kind in kinds.items()]


def python_object(path: Path, name: str) -> InputError:
    """The error of a file that holds an object, such as a whole network, in place of tensors."""
    return InputError(
        f"weights {path} hold a Python object ({shown(name)}), which could run code; "
        f"save the state_dict alone: torch.save(network.state_dict(), file)"
    )


# --- fitting a network ---------------------------------------------------------------------------


def load_weights(network: nn.Module, held: Held, path: Path, model: str) -> str:
    """Load all weights or none: names and shapes must be exactly those of the network.

    Args:
        network: changed.
        held: what the file holds; names may stand behind any words, see `checkpoints`.
        path: of the file, for messages.
        model: the model's name. The embedded file has timm's tensors in timm's order and shapes,
            but not under timm's names.

    Returns:
        What was chosen of a file that holds more than the network, in words, else "".

    Raises:
        InputError: they do not fit, with counts and the first few names, or several would.
    """
    own = network.state_dict()
    copy, others = find_part(own, held, path)
    if model == EMBEDDED_MODEL and shapes(own) == shapes(held.tensors):
        copy = Copy(names=dict(zip(own, held.tensors, strict=True)))
    weights = collected(copy, left_over(copy, others, own, held), own, held, path)
    try:
        if reason := other_types(own, weights):
            raise ValueError(reason)
        network.load_state_dict(weights, strict=True)
    except (RuntimeError, ValueError) as error:
        reason = mismatch(own, weights) or one_line(error)
        objects = f"; its Python objects ({listed(held.objects)}) are not read"
        raise InputError(
            f"weights {path} do not fit {type(network).__name__}: "
            f"{reason}{objects if held.objects else ''}"
        ) from error
    return choice(copy, others, held)


def collected(
    copy: Copy, beside: list[str], own: State, held: Held, path: Path
) -> OrderedDict[str, Any]:
    """A state_dict of a copy, by the network's names, with what stands beside it and should not."""
    names = {**copy.names, **{copy.in_network(there): there for there in beside}}
    weights: OrderedDict[str, Any] = OrderedDict()
    for name, there in names.items():
        value = held.values[there]
        if isinstance(value, Tensor):
            weights[name] = usable(value, there, path)
        elif not isinstance(own.get(name), Tensor):
            weights[name] = value  # what a module keeps in its state_dict beside tensors
    for name in own.keys() - weights.keys():
        if name.endswith(COUNTER):
            weights[name] = own[name]
    # By the versions of its modules torch knows how to load a file of older naming; a file that
    # has none is taken as current.
    named = [(copy.in_network(f"{module}."), held.versions[module]) for module in held.versions]
    noted = {name.rstrip("."): version for name, version in named if name}
    weights._metadata = noted or own._metadata  # type: ignore[attr-defined]
    return weights


def usable(tensor: Tensor, name: str, path: Path) -> Tensor:
    """A tensor of a file as a plain one, floating-point numbers as float32.

    Raises:
        InputError: it holds no numbers.
    """
    if tensor.is_meta:
        raise InputError(
            f"weights {path} hold no numbers for {shown(name)}, only its shape (a meta tensor); "
            f"save the state_dict after the weights are loaded"
        )
    tensor = tensor.detach()
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    if tensor.layout != torch.strided:
        tensor = tensor.to_dense()
    return tensor.float() if tensor.is_floating_point() else tensor


def shapes(weights: Mapping[str, Tensor]) -> list[torch.Size]:
    """The shapes of tensors in order."""
    return [tensor.shape for tensor in weights.values()]


def mismatch(own: State, weights: State) -> str:
    """In what a state_dict differs from the network's own, "" if in nothing."""
    both = pairs(own, weights)
    wrong = {name: pair for name, pair in both.items() if not same_shape(*pair)}
    parts = [
        some("missing", [name for name in own if name not in weights]),
        some("unexpected", [name for name in weights if name not in own]),
        some(
            "of another shape",
            [f"{name} expected {size(one)} got {size(got)}" for name, (one, got) in wrong.items()],
        ),
        other_types(own, weights),
    ]
    if wrong and not parts[0] and not parts[1] and len(wrong) <= 2:
        last, got = next(iter(wrong.values()))
        if last.shape[1:] == got.shape[1:]:
            parts.append(
                f"its classifier has {got.shape[0]} classes, the model's {last.shape[0]}: give "
                f"the network it was trained with as --model package.module:callable"
            )
    return "; ".join(part for part in parts if part)


def other_types(own: State, weights: State) -> str:
    """Which numbers of a state_dict are of a type that the network's are not."""
    wrong = {name: pair for name, pair in pairs(own, weights).items() if not same_type(*pair)}
    return some(
        "of another type",
        [f"{name} expected {one.dtype} got {got.dtype}" for name, (one, got) in wrong.items()],
    )


def pairs(own: State, weights: State) -> dict[str, tuple[Tensor, Tensor]]:
    """Name → tensors of that name in both."""
    return {
        name: (one, got)
        for name, one in own.items()
        if isinstance(one, Tensor) and isinstance(got := weights.get(name), Tensor)
    }


def some(what: str, names: list[str]) -> str:
    """`2 missing (a, b)`, at most three names, or ""."""
    return f"{len(names)} {what} ({listed(names)})" if names else ""


def size(tensor: Tensor) -> str:
    """The shape of a tensor as `64×3×7×7`, `()` for a single number."""
    return "×".join(map(str, tensor.shape)) or "()"


def digest_tensors(network: nn.Module) -> str:
    """SHA-256 over names, types, shapes and bytes of all weights and buffers, in order."""
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(name.encode() + b"\0")
        for part in bytes_of(value):
            digest.update(part)
    return digest.hexdigest()


def bytes_of(value: object) -> Iterator[bytes]:
    """What tells a value of a state_dict from others; quantised modules keep more than tensors."""
    if isinstance(value, tuple | list):
        for part in value:
            yield from bytes_of(part)
    elif isinstance(value, Tensor):
        yield f"{value.dtype}\0{tuple(value.shape)}\0".encode()
        if value.layout != torch.strided:
            value = value.to_dense()
        if value.is_quantized:
            yield repr(value.qscheme()).encode()
            value = value.dequantize()
        yield value.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes()
    else:
        yield repr(value).encode()
