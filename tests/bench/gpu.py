"""Speed on a GPU, by batch size: `make bench-gpu`.

    python -m tests.bench.gpu [--layer NAME] [--model NAME] [--weights FILE] [--batches N,N]
                              [--precisions NAME,NAME] [--compile auto|on|off]

Prints for one layer and each batch size: milliseconds of a gradient step per image, the share of
the device's own matrix-product rate in the same precision, units a minute by `octaves` (one attempt
each, scores included) with and without recorded steps, and peak memory; in every precision that the
device computes in hardware. Ends at the first batch that does not fit. Without a GPU it says so and
ends with an error, so that nobody takes its silence for a result.
"""

import argparse
import sys
import time
from collections.abc import Callable

import torch

from atlas.config import Config
from atlas.models.load import load_model
from atlas.network.network import Network
from atlas.network.recording import Recorder
from atlas.network.tuning import choose_device, choose_precision, describe_device
from atlas.records.network import LayerInfo
from atlas.rendering.attempts import attempt_units
from atlas.stages.stopwatch import made_up, time_step
from tests.bench.speed import octaves_job

BATCHES = "1,8,16,32,64,128,256"
SIDE = 224


def main() -> None:
    """Measure one layer on the GPU."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="efficientnet_lite0")
    parser.add_argument("--weights", default="")
    parser.add_argument("--layer", default="blocks.4.2")
    parser.add_argument("--batches", default=BATCHES)
    parser.add_argument("--precisions", default="fp32,auto")
    parser.add_argument("--compile", default="auto")
    args = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("bench-gpu needs a CUDA device, and torch finds none here")
    device = choose_device("cuda")
    model = load_model(Config(model=args.model, weights=args.weights))
    (row,) = (layer for layer in model.layers if layer.name == args.layer)
    network = Network(model, [row.name], device, args.compile)
    print(
        f"{describe_device(device)}, torch {torch.__version__}: {args.model} {row.name}, {SIDE} px"
    )
    asked = (choose_precision(one, device) for one in args.precisions.split(","))
    for precision in dict.fromkeys(asked):
        peak = matrix_rate(precision, device)
        print(f"{precision}: a matrix product reaches {peak:.0f} TFLOP/s")
        print("  batch   ms a step and image   share   units a minute   not recorded   peak GB")
        for batch in map(int, args.batches.split(",")):
            print(line(network, row, precision, peak, batch), flush=True)
    print("\n".join(network.notes))


def line(network: Network, row: LayerInfo, precision: str, peak: float, batch: int) -> str:
    """What a batch gives."""
    torch.cuda.reset_peak_memory_stats(network.device)
    try:
        step = min(time_step(network, row.name, SIDE, precision, batch) for _ in range(3))
        recorded, plain = (minute(network, row, precision, batch, one) for one in (True, False))
    except torch.OutOfMemoryError:
        return f"  {batch:5}   does not fit"
    rate = 4 * row.multiply_adds * batch / step / 1e12  # forward and back, 2 a multiply-add
    memory = torch.cuda.max_memory_allocated(network.device) / 2**30
    return (
        f"  {batch:5}   {1e3 * step / batch:19.3f}   {rate / peak:5.0%}   {recorded:14.0f}   "
        f"{plain:12.0f}   {memory:7.1f}"
    )


def minute(network: Network, row: LayerInfo, precision: str, batch: int, recorded: bool) -> float:
    """Units a minute by one attempt at each."""
    recorder = network.recorder
    network.recorder = recorder if recorded else Recorder(network.device, "off")
    units = tuple(at % row.channels for at in range(batch))
    job = octaves_job(network, made_up(row), 1.0, units, batch, precision)
    spent = seconds(lambda: list(attempt_units(network, job)))
    network.recorder = recorder
    return 60 * batch / spent


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
