"""Speed on a GPU, by batch size: `make bench-gpu`.

    python -m tests.bench.gpu [--layer NAME] [--model NAME] [--weights FILE]

Prints for one layer and each batch size: milliseconds of a gradient step per image, the share of
the device's own matrix-product rate in the same precision, units a minute by `octaves`, and peak
memory; in every precision that the device computes in hardware. Ends at the first batch that does
not fit. Without a GPU it says so and ends with an error, so that nobody takes its silence for a
result.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch

from atlas.config import Config
from atlas.models import load_model
from atlas.network import Network
from atlas.ranking import channel_statistics
from atlas.recipes import RECIPES
from atlas.records import LayerInfo, LayerStats
from atlas.tuning import choose_device, describe_device, has_fast_lower_precision, time_step
from atlas.workers import Block, Material, Settings, render_block

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SIDE = 224


def main() -> None:
    """Measure one layer on the GPU."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="efficientnet_lite0")
    parser.add_argument("--weights", default="")
    parser.add_argument("--layer", default="blocks.4.2")
    args = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("bench-gpu needs a CUDA device, and torch finds none here")
    device = choose_device("cuda")
    model = load_model(Config(model=args.model, weights=args.weights))
    (row,) = (layer for layer in model.layers if layer.name == args.layer)
    network = Network(model, [row.name], device)
    print(
        f"{describe_device(device)}, torch {torch.__version__}: {args.model} {row.name}, {SIDE} px"
    )
    for precision in dict.fromkeys(["fp32", has_fast_lower_precision(device)]):
        peak = matrix_rate(precision, device)
        print(f"{precision}: a matrix product reaches {peak:.0f} TFLOP/s")
        print("  batch   ms a step and image   share   units a minute   peak GB")
        for line in rows(network, row, precision, peak):
            print(line, flush=True)


def rows(network: Network, row: LayerInfo, precision: str, peak: float) -> Iterator[str]:
    """A line for each batch that fits."""
    for batch in BATCHES:
        torch.cuda.reset_peak_memory_stats(network.device)
        try:
            step = min(time_step(network, row.name, SIDE, precision, batch) for _ in range(3))
            minute = 60 * batch / seconds(lambda b=batch: octaves(network, row, precision, b))
        except torch.OutOfMemoryError:
            yield f"  {batch:5}   does not fit"
            return
        rate = 4 * row.multiply_adds * batch / step / 1e12  # forward and back, 2 a multiply-add
        memory = torch.cuda.max_memory_allocated(network.device) / 2**30
        yield (
            f"  {batch:5}   {1e3 * step / batch:19.3f}   {rate / peak:5.0%}   {minute:14.0f}   "
            f"{memory:7.1f}"
        )


def octaves(network: Network, row: LayerInfo, precision: str, batch: int) -> None:
    """One batch of units by `octaves`, scored."""
    stats = made_up(row)
    settings = Settings(
        recipe=RECIPES["octaves"],
        size=SIDE,
        seed=0,
        batch=batch,
        precisions=dict.fromkeys((56, 112, 224), precision),
        natural_hf=1.0,
    )
    channels = tuple(channel % row.channels for channel in range(batch))
    block = Block(layer=row.name, first=0, last=batch - 1, channels=channels)
    material = Material(
        natural={row.name: stats},
        best_image=lambda _: np.full((SIDE, SIDE, 3), 128, np.uint8),
        earlier=lambda _: [],
        magnitude=np.zeros((3, 0, 0), np.float32),
    )
    render_block(network, block, settings, material)


def made_up(row: LayerInfo) -> LayerStats:
    """Statistics that let every picture pass: only time counts here."""
    means = np.random.default_rng(0).normal(size=(10, row.channels)).astype(np.float32)
    return channel_statistics(row, SIDE, means, means, np.zeros(means.shape, np.int32))


def seconds(action: Callable[[], object]) -> float:
    """Of the second of two runs."""
    for _ in range(2):
        torch.cuda.synchronize()
        began = time.perf_counter()
        action()
        torch.cuda.synchronize()
        spent = time.perf_counter() - began
    return spent


def matrix_rate(precision: str, device: torch.device) -> float:
    """TFLOP/s of an 8192³ product in this precision."""
    kind = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    a, b = (torch.randn(8192, 8192, device=device, dtype=kind) for _ in range(2))
    return 2 * 8192**3 / seconds(lambda: a @ b) / 1e12


if __name__ == "__main__":
    main()
