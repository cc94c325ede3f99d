"""Device, precision and batch: functions of the kind of hardware, the layer and the side.

No clock and no free memory is asked, so that the same command chooses the same again. What the
rules rest on was measured: docs/rendering.md, «Precision and batch».
"""

import functools
import platform
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from ..errors import UsageError
from .network import Network, spatial_mean
from .tapping import filled, tapped


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


def choose_precision(precision: str, device: torch.device) -> str:
    """As given; "auto" is bf16 on GPUs that compute it in hardware, and fp32 everywhere else.

    On a processor with bf16, dense convolutions gain and depthwise ones and attention lose
    (measured); and shards of one atlas are to agree, whatever processor each of them meets. Never
    fp16, whose largest number is 65504.
    """
    if precision != "auto":
        return precision
    ampere = (8, 0)  # the first with bf16
    fast = device.type == "cuda" and torch.cuda.get_device_capability(device) >= ampere
    return "bf16" if fast else "fp32"


CPU_BATCH = 12
"""Measured on 2 cores: 8 to 32 units a batch run equally fast at 112 and 224 px, and larger ones
only cost memory; at 56 px ten units take .7 of the time of two batches of five."""

FEW = 16
"""Units a batch in layers of up to twice as many, on a GPU. Another number would gain little there,
and cuDNN would prepare every convolution for it (`tapping.filled`)."""

LARGEST_BATCH = 256
"""Measured on an H100: twice as many as 128 save a tenth of a unit's time, more save nothing."""

MEMORY_SHARE = 0.25
"""Of a GPU's memory, for what a step keeps for its backward pass. Gradients on their way back and
workspaces take up to as much again; half is left to weights, spectra and other programs."""


def choose_batch(batch: int | Literal["auto"], network: Network, layer: str, size: int) -> int:
    """Units optimised together: as given; else `CPU_BATCH`, or by the memory that the GPU has."""
    if batch != "auto":
        return batch
    if network.device.type != "cuda":
        return CPU_BATCH
    total = torch.cuda.get_device_properties(network.device).total_memory
    images = filled((1, 1, *network.seen_shape(size, layer)))
    return batch_that_fits(total, max(kept_bytes(network, layer, size, images) // images, 1))


def suited_batch(batch: int, units: int, device: torch.device) -> int:
    """An automatic batch for so many units."""
    return min(batch, FEW) if device.type == "cuda" and units <= 2 * FEW else batch


def kept_bytes(network: Network, layer: str, size: int, images: int) -> int:
    """Bytes that a step in fp32 keeps from its forward to its backward pass, but for weights."""
    weights = {one.untyped_storage().data_ptr() for one in network.network.parameters()}
    kept = {}  # holds the storages, so that no address is used twice

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage
        return tensor

    shape = (images, network.info.planes, *network.seen_shape(size, layer))
    pixels = torch.zeros(shape, device=network.device, requires_grad=True)
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        tapped(replace(network.way, fills=False), {layer: spatial_mean}, network.maps) as run,
    ):
        run(network.normalise(pixels))
    return sum(storage.nbytes() for storage in kept.values())


def most_together(batch: int | Literal["auto"], device: torch.device) -> int:
    """Most units that may be optimised together, however much memory there is."""
    if batch != "auto":
        return batch
    return LARGEST_BATCH if device.type == "cuda" else CPU_BATCH


def batch_that_fits(total: int, each: int) -> int:
    """The largest power of two of images that keep `each` bytes in a share of the `total` ones."""
    fits = int(MEMORY_SHARE * total) // each
    return min(LARGEST_BATCH, 1 << max(fits.bit_length() - 1, 0))


def describe_device(device: torch.device) -> str:
    """The device in words, e.g. `cpu (AMD EPYC, 2 threads)`."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    if device.type == "cpu":
        return f"cpu ({processor_name()}, {torch.get_num_threads()} threads)"
    return device.type


@functools.cache
def processor_name() -> str:
    """The processor's name as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
