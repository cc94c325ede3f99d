"""A network that lives in somebody's program, for the time of a run. Start at `lent`."""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.jit import ScriptModule
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.nn.parameter import is_lazy

from ..errors import InputError

Container = Any
"""A dict, list, set or deque; or what a ScriptModule has in the place of its dicts of tensors."""

Noted = list[tuple[Container, Container]]
"""Containers, and what each held."""


@contextmanager
def lent(network: nn.Module) -> Iterator[nn.Module]:
    """The network with copies of all its tensors, on the CPU; afterwards it is as it was before.

    The network itself runs, not a copy of it: hooks and closures of a copy lead back to the
    original, and locks and tensors with a history have no copies. Its own tensors are not touched
    at all, so that optimisers, gradients and the hooks of distributed training stay theirs.

    Raises:
        InputError: its weights have no numbers yet.
    """
    check_numbers(network)
    noted: Noted = []
    seen: set[int] = set()
    for module in network.modules():
        note(vars(module), noted, seen)
    scripts = [module for module in network.modules() if isinstance(module, ScriptModule)]
    for script in scripts:
        noted += [(one, dict(one.items())) for one in (script._parameters, script._buffers)]
    modes = [script.training for script in scripts]
    try:
        put_copies([container for container, _ in noted])
        yield network
    finally:
        try:
            give_back(noted)
        except KeyboardInterrupt:  # it falls into these few milliseconds
            give_back(noted)
            raise
        for script, mode in zip(scripts, modes, strict=True):
            script.training = mode


def bare(network: nn.Module) -> nn.Module:
    """The network inside what parallel training and torch.compile wrap around it."""
    while True:
        if isinstance(network, DataParallel | DistributedDataParallel):
            network = network.module
        elif isinstance(inside := getattr(network, "_orig_mod", None), nn.Module):
            network = inside
        else:
            return network


def check_numbers(network: nn.Module) -> None:
    """Refuse weights without numbers.

    Raises:
        InputError: there are such.
    """
    for name, weight in (*network.named_parameters(), *network.named_buffers()):
        if is_lazy(weight) or weight.is_meta:
            why = "no shape yet" if is_lazy(weight) else "no numbers (device meta)"
            raise InputError(
                f"{type(network).__name__}: {name} has {why}; run a batch through the network, or "
                "load its weights, first"
            )


def note(value: object, noted: Noted, seen: set[int]) -> None:
    """Note what a container holds, and the containers in it."""
    if not isinstance(value, dict | list | set | deque) or id(value) in seen:
        return
    seen.add(id(value))
    kind = next(kind for kind in (dict, list, set, deque) if isinstance(value, kind))
    noted.append((value, kind(value)))
    for part in value.values() if isinstance(value, dict) else value:
        note(part, noted, seen)


def put_copies(containers: Sequence[Container]) -> None:
    """Replace every tensor in containers by a copy, the same one everywhere."""
    copies: dict[int, Tensor] = {}
    for container in containers:
        if isinstance(container, set):
            continue
        pairs = enumerate(container) if isinstance(container, list | deque) else container.items()
        for key, value in list(pairs):
            if isinstance(value, Tensor):
                if id(value) not in copies:
                    copies[id(value)] = copy_of(value)
                container[key] = copies[id(value)]


def copy_of(value: Tensor) -> Tensor:
    """A copy on the CPU, with the same strides and without a history."""
    data = value.detach().to("cpu", copy=True)
    return nn.Parameter(data, value.requires_grad) if isinstance(value, nn.Parameter) else data


def give_back(noted: Noted) -> None:
    """Let containers hold what they held; a dict lacks nothing at any moment of it."""
    for container, before in noted:
        if isinstance(container, list):
            container[:] = before
        elif isinstance(container, deque):
            container.clear()
            container.extend(before)
        elif isinstance(container, set):
            container.update(before - container)
            container.difference_update(container - before)  # one that is as it was keeps its order
        else:
            for key, value in before.items():
                container[key] = value
            for key in container.keys() - before.keys():
                del container[key]
