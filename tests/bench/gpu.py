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
from functools import partial

import torch

from atlas.config import Config
from atlas.models.load import load_model
from atlas.network.network import Network
from atlas.network.tuning import choose_device, choose_precision, describe_device
from atlas.records.network import LayerInfo
from atlas.stages.stopwatch import made_up, time_step
from tests.bench.speed import octaves_of

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
    for precision in dict.fromkeys(["fp32", choose_precision("auto", device)]):
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
            stats, units = made_up(row), tuple(at % row.channels for at in range(batch))
            spent = seconds(partial(octaves_of, network, stats, 1.0, units, batch, precision))
            minute = 60 * batch / spent
        except torch.OutOfMemoryError:
            yield f"  {batch:5}   does not fit"
            return
        rate = 4 * row.multiply_adds * batch / step / 1e12  # forward and back, 2 a multiply-add
        memory = torch.cuda.max_memory_allocated(network.device) / 2**30
        yield (
            f"  {batch:5}   {1e3 * step / batch:19.3f}   {rate / peak:5.0%}   {minute:14.0f}   "
            f"{memory:7.1f}"
        )


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
