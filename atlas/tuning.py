"""Device, precision and batch: chosen by looking at the machine and timing a few steps.

The choice is kept in the cache beside the results and used again on resume, so that an interrupted
run ends in the same bytes.
"""

import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch

from .errors import UsageError
from .network import Network, spatial_mean

TIMED_STEPS = 2
LEAST_GAIN = 0.9
"""A lower precision has to take less than this share of the time of fp32."""


def choose_device(name: str) -> torch.device:
    """The device that --device means.

    Raises:
        UsageError: no such device here.
    """
    backend = torch.backends.mps
    found = ["cpu"]
    if torch.cuda.is_available():
        found += ["cuda", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if backend.is_available():
        found.append("mps")
    if name == "auto":
        return torch.device("cuda" if "cuda" in found else found[-1])
    if name not in found:
        raise UsageError(f"--device {name!r} is not here; torch finds: {', '.join(found)}")
    return torch.device(name)


def check_precision(precision: str, device: torch.device) -> None:
    """Raise a UsageError if the device cannot compute in this precision."""
    if precision == "fp16" and device.type == "cpu":
        raise UsageError("--precision fp16 is not supported on cpu; allowed: auto, fp32, bf16")
    if precision == "bf16" and device.type == "mps":
        raise UsageError("--precision bf16 is not supported on mps; allowed: auto, fp32, fp16")


CPU_BATCH = 8
"""Measured on 2 cores: 8 to 32 units a batch run equally fast, larger ones only cost memory."""

LARGEST_BATCH = 64
MEMORY_SHARE = 0.8


def choose_batch(batch: int | Literal["auto"], network: Network, layer: str, size: int) -> int:
    """Units optimised together: as given; else `CPU_BATCH`, or what fits in the GPU's free memory.

    On a GPU the peak memory of one step with one and with two images gives the cost of an image.
    """
    if batch != "auto":
        return batch
    if network.device.type != "cuda":
        return CPU_BATCH
    peaks = []
    for images in (1, 2):
        torch.cuda.reset_peak_memory_stats(network.device)
        time_step(network, layer, size, "fp32", images)
        peaks.append(torch.cuda.max_memory_allocated(network.device))
    each = max(peaks[1] - peaks[0], 1)
    free = torch.cuda.mem_get_info(network.device)[0]
    return batch_that_fits(free, each)


def batch_that_fits(free: int, each: int) -> int:
    """The largest power of two of images of `each` bytes in a share of the `free` ones."""
    fits = int(MEMORY_SHARE * free) // each
    return min(LARGEST_BATCH, 1 << max(fits.bit_length() - 1, 0))


def describe_device(device: torch.device) -> str:
    """The device in words, e.g. `cpu (AMD EPYC, 2 threads)`."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    if device.type == "cpu":
        return f"cpu ({processor_name()}, {torch.get_num_threads()} threads)"
    return device.type


def processor_name() -> str:
    """The processor's name as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def has_fast_lower_precision(device: torch.device) -> str:
    """The lower precision that this device computes in hardware, or ""."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    if device.type == "cpu" and torch.cpu._is_avx512_bf16_supported():
        return "bf16"
    return ""


def choose_precisions(
    network: Network, layer: str, sides: Sequence[int], precision: str, batch: int
) -> Mapping[int, str]:
    """The precision of the network for each side of the image.

    Args:
        network: ready to run.
        layer: where the timed steps stop; the deepest of the run.
        sides: sides of the octaves.
        precision: as given to --precision; "auto" times fp32 against what the hardware has.
        batch: images a step.
    """
    if precision != "auto":
        return dict.fromkeys(sides, precision)
    lower = has_fast_lower_precision(network.device)
    if not lower:
        return dict.fromkeys(sides, "fp32")
    chosen = {}
    for side in sides:
        if not network.accepts(side, layer):
            chosen[side] = "fp32"
            continue
        full = time_step(network, layer, side, "fp32", batch)
        half = time_step(network, layer, side, lower, batch)
        chosen[side] = lower if half < LEAST_GAIN * full else "fp32"
    return chosen


def time_step(network: Network, layer: str, side: int, precision: str, batch: int) -> float:
    """Seconds of one forward and backward pass, the best of a few after a first one."""
    images = torch.full((batch, 3, side, side), 0.5, device=network.device, requires_grad=True)
    seconds = []
    with network.tap({layer: spatial_mean}, {side: precision}) as run:
        for _ in range(TIMED_STEPS + 1):
            began = time.perf_counter()
            torch.autograd.grad(run(images)[layer].sum(), images)
            if network.device.type == "cuda":
                torch.cuda.synchronize(network.device)
            seconds.append(time.perf_counter() - began)
    return min(seconds[1:])
