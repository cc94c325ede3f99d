"""Tensors of a file into a network: all of them or none. Start at `load_weights`."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..config import EMBEDDED_MODEL
from ..errors import InputError, one_line
from ..files.names import shown
from .checkpoints import (
    COUNTER,
    Copy,
    Held,
    State,
    choice,
    find_part,
    left_over,
    same_shape,
    same_type,
)
from .formats import listed


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
    """A state_dict of a copy, by the network's names, with unwanted keys beside it."""
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
    """Return the numbers of a state_dict whose type is not the network's."""
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
    """Return bytes that identify a state_dict's value; quantised modules keep more than tensors."""
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
