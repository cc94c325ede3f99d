"""One's own network: `package.module:callable` → what the callable returns; or one in memory."""

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from ..errors import InputError, closest, one_line
from ..options import MOST_CHANNELS
from ..shapes import Size, pair
from .blueprint import NORMALISATION, Blueprint, set_evaluating
from .calling import Habits, call
from .hooks import hooked
from .probes import probe_images
from .surroundings import kept


def is_own(name: str) -> bool:
    """Return whether a model name means one's own code, `package.module:callable`."""
    return ":" in name and not name.startswith("timm/")


def own_network(name: str, channels: int, input_size: Size) -> Blueprint:
    """The user's own network: import the module, call the callable without arguments.

    torch is seeded for the call, so that an untrained network is the same one in every run. What
    the code changes around it is changed back; its folder stays importable, for what it imports
    later.

    Args:
        name: as given to --model.
        channels: of its input; 0: the network itself shows it.
        input_size: of the input.

    Raises:
        InputError: it cannot be imported, fails, or does not return an `nn.Module`.
    """
    module_name, _, attribute = name.partition(":")
    with kept(), folder_on_path(os.getcwd()), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = import_own(name, module_name)
        network = call_own(name, find_own(name, module, attribute))
        return own_blueprint(name, network, channels, input_size)


def own_blueprint(name: str, network: nn.Module, channels: int, input_size: Size) -> Blueprint:
    """Return the description of a network of one's own.

    Args:
        name: `where it is from:what it is called`.
        network: as its author made it.
        channels, input_size: as of `own_network`.

    Raises:
        InputError: it fails.
    """
    network = uncompiled(network)
    set_evaluating(network)
    channels = channels or input_channels(name, network, input_size)
    if any(is_lazy(weight) for weight in (*network.parameters(), *network.buffers())):
        first_pass(network, channels, input_size)
    mean, std = NORMALISATION.get(channels, ((0.0,) * channels, (1.0,) * channels))
    return Blueprint(
        network=network,
        title=name.partition(":")[2],
        source=f"the network of {name}",
        mean=mean,
        std=std,
    )


@contextmanager
def folder_on_path(folder: str) -> Iterator[None]:
    """Let modules of `folder` be imported, inside the block before all others."""
    sys.path.insert(0, folder)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(folder)
        if folder not in sys.path:
            sys.path.append(folder)


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


def uncompiled(network: nn.Module) -> nn.Module:
    """The network without torch.compile, inside whose code no hook is called."""
    for module in network.modules():
        module._compiled_call_impl = None
        for name, child in module.named_children():
            if name != COMPILED and COMPILED in child._modules:
                setattr(module, name, child._modules[COMPILED])
    return network._modules.get(COMPILED) or network


COMPILED = "_orig_mod"
"""Attribute in which torch.compile keeps the module that it wraps."""


# --- what its input is ---------------------------------------------------------------------------


def input_channels(name: str, network: nn.Module, input_size: Size) -> int:
    """Channels of the input: 3 where colour images pass, else what the first convolution takes.

    The first is the one that is called first, whatever the order of registration.

    Raises:
        InputError: more than can be shown.
    """
    called_first: list[int] = []

    def note(_name: str, module: nn.Module, _inputs: object) -> None:
        called_first.append(cast(nn.Conv2d, module).in_channels)

    convolutions = [("", one) for one in network.modules() if isinstance(one, nn.Conv2d)]
    try:
        with hooked(convolutions, before=note):
            first_pass(network, 3, input_size)
        return 3
    except Exception:  # on purpose any: then its convolutions tell
        registered = (one.in_channels for _, one in convolutions)
        channels = next(iter([*called_first, *registered]), 3) or 3
    if channels > MOST_CHANNELS:
        raise InputError(
            f"model {name}: its first convolution takes {channels} channels; allowed: 1 to "
            f"{MOST_CHANNELS}, and --channels where the network makes its {channels} of them itself"
        )
    return channels


@torch.no_grad()
def first_pass(network: nn.Module, channels: int, input_size: Size) -> None:
    """Run two photographs, in the course of which lazy modules get their shapes."""
    zeros, ones = (0.0,) * channels, (1.0,) * channels
    call(network, probe_images(*pair(input_size), zeros, ones)[:2], Habits())
