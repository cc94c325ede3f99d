"""Restore the parts of the program that somebody else's code may change around it.

Modules of users change the working folder, torch's default type or the handling of signals for
their own purposes, some of them only by being imported. Start at `kept`; `usual` is the other way
round, for a run of ours inside somebody's program.
"""

import contextlib
import os
import random
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

SETTINGS: tuple[tuple[Callable[[], Any], Callable[[Any], Any]], ...] = (
    (os.getcwd, os.chdir),
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_default_device, lambda _: torch.set_default_device(None)),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.get_num_threads, torch.set_num_threads),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    (torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
    (
        lambda: torch.backends.cudnn.benchmark,
        lambda on: setattr(torch.backends.cudnn, "benchmark", on),
    ),
    (np.geterr, lambda kinds: np.seterr(**kinds)),
    (lambda: sys.argv, lambda words: setattr(sys, "argv", words)),
    (lambda: sys.stdout, lambda stream: setattr(sys, "stdout", stream)),
    (lambda: sys.stderr, lambda stream: setattr(sys, "stderr", stream)),
)
"""Pairs that read a setting and set it again."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)


@contextmanager
def kept() -> Iterator[None]:
    """Whatever code does inside the block, the settings are afterwards as before.

    What it prints goes to the messages: the output of a command is data. The words of our command
    line are not its own.
    """
    before = [read() for read, _ in SETTINGS]
    handlers = [signal.getsignal(number) for number in SIGNALS]
    try:
        sys.argv = sys.argv[:1]
        with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        for (read, write), value in zip(SETTINGS, before, strict=True):
            if read() != value:
                write(value)
        for number, handler in zip(SIGNALS, handlers, strict=True):
            if signal.getsignal(number) != handler:
                signal.signal(number, handler)


@contextmanager
def kept_chance() -> Iterator[None]:
    """Random numbers go on afterwards where they stood, those of GPUs that are in use too."""
    numbers, state = random.getstate(), np.random.get_state()
    in_use = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    with torch.random.fork_rng(range(torch.cuda.device_count()) if in_use else []):
        try:
            yield
        finally:
            random.setstate(numbers)
            np.random.set_state(state)


@contextmanager
def usual() -> Iterator[None]:
    """Torch and numpy as a fresh program has them, whatever the caller's has set; then as before.

    Chance goes on afterwards where it stood, so that a training run is the same with and without.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(kept())
        stack.enter_context(kept_chance())
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        if torch.get_default_device().type != "cpu":  # such a context slows every call down
            stack.enter_context(torch.device("cpu"))
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        torch.set_default_dtype(torch.float32)
        torch.set_float32_matmul_precision("highest")
        torch.autograd.set_detect_anomaly(False)
        torch.set_deterministic_debug_mode(0)
        np.seterr(divide="warn", over="warn", under="ignore", invalid="warn")
        torch.default_generator.manual_seed(0)  # torch's own would also seed GPUs not yet in use
        yield
