"""Calling a network of somebody else, so that it answers as it would at its author's.

Gradients that its code switches off are switched on again where they are wanted, checkpointing is
off (what is recomputed in the backward pass would not be what was seen), and chance is the same
each time. Start at `call`.
"""

import contextlib
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch.utils.checkpoint as checkpointing
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .surroundings import kept_chance


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """Conditions under which a network's answer is that of an image, and the same each time.

    Attributes:
        alone: images are run one at a time, because the answer depends on the others of a batch.
        seeded: chance gets the same seed before every call.
        forced: gradients stay on where the network's code switches them off.
    """

    alone: bool = False
    seeded: bool = False
    forced: bool = False


@contextmanager
def called(habits: Habits) -> Iterator[None]:
    """The surroundings in which a network is called.

    Raises:
        RuntimeError: the network ended the program.
    """
    with ExitStack() as stack:
        stack.enter_context(without_checkpoints())
        if habits.seeded:
            stack.enter_context(fixed_seeds())
        if habits.forced and torch.is_grad_enabled():
            stack.enter_context(gradients_on())
        try:
            yield
        except SystemExit as error:
            raise RuntimeError(f"the network ended the program (exit code {error.code})") from error


def call(
    network: nn.Module,
    images: Tensor,
    habits: Habits,
    layout: torch.memory_format = torch.preserve_format,
) -> Any:
    """Return a network's output for a copy of images: some networks change their input in place.

    Args:
        network: of whoever.
        images: (N, C, H, W), normalised.
        habits: what it needs.
        layout: of the copy in memory.

    Raises:
        Exception: whatever the network raises; RuntimeError if it ended the program.
    """
    with called(habits):
        return network(images.clone(memory_format=layout))


@contextmanager
def fixed_seeds() -> Iterator[None]:
    """The same chance inside every such block, and nothing moved outside it."""
    with kept_chance():
        torch.manual_seed(0)
        random.seed(0)
        np.random.seed(0)
        yield


# --- gradients ------------------------------------------------------------------------------------


class _GradientsOn(TorchFunctionMode):
    """Lets nobody switch gradients off."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is torch._C._set_grad_enabled:
            return None
        return func(*args, **(kwargs or {}))


@contextmanager
def gradients_on() -> Iterator[None]:
    """Gradients stay on inside the block, also under `no_grad` and `inference_mode`."""

    def nothing(_mode: bool) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    with mock.patch.object(torch._C, "_InferenceMode", nothing), _GradientsOn():
        yield


# --- checkpoints ----------------------------------------------------------------------------------

GENERATORS = (
    "_checkpoint_without_reentrant_generator",
    "_checkpoint_without_reentrant_generator_impl",
)
"""Names that torch uses around a checkpointed function, by version (read in 2.11 and 2.14)."""


@contextmanager
def without_checkpoints() -> Iterator[None]:
    """`torch.utils.checkpoint` calls its function and does nothing else inside the block."""
    with ExitStack() as stack:
        stack.enter_context(
            mock.patch.object(checkpointing.CheckpointFunction, "apply", staticmethod(call_plainly))
        )
        for name in GENERATORS:
            if hasattr(checkpointing, name):
                stack.enter_context(mock.patch.object(checkpointing, name, do_nothing_around))
        yield


def call_plainly(function: Callable[..., Any], _preserve: bool, *inputs: Any) -> Any:
    """In the place of a checkpoint that is reentrant."""
    return function(*inputs)


def do_nothing_around(*_: Any, **__: Any) -> Iterator[None]:
    """Stand in for the code before and after a checkpoint that is left out."""
    yield
