"""Measure bf16 on this machine: its speed and its effect on the pictures: `make bench-precision`.

    python -m tests.bench.precision [--parts steps,pictures] [--threads 1,2] [--rounds 9]

The rule of `--precision auto` rests on it (docs/rendering.md, «Precision»). fp32 and bf16 alternate
step by step in one process, so that whatever else runs on the machine slows both alike:
- steps: seconds of one gradient step of 8 images at the sides of `octaves`, medians; the gain is
  the median of fp32 over bf16 with its quartiles;
- pictures: up to 8 units of three layers of EfficientNet-Lite0 by `octaves` in both: units ok, median
  REACH, attempts, seconds a unit.
"""

import argparse
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
import torchvision
from torch import nn

from atlas.config import Config
from atlas.models.load import Model, load_model
from atlas.network.network import Network, spatial_mean
from atlas.network.tuning import CPU_BATCH, describe_device
from atlas.ranking.ranking import rank_channels
from tests.bench.speed import as_model, octaves_of, packaged

BOTH = ("fp32", "bf16")
SIDES = (56, 112, 224)
PICTURED = ("blocks.1.1", "blocks.3.1", "blocks.5.2")


def main() -> None:
    """Run the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", default="steps,pictures")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    for threads in map(int, args.threads.split(",")):
        torch.set_num_threads(threads)
        print(f"{describe_device(torch.device('cpu'))}, torch {torch.__version__}", flush=True)
        if "steps" in args.parts:
            for line in steps(args.rounds):
                print(line, flush=True)
        if "pictures" in args.parts:
            for line in pictures():
                print(line, flush=True)


# --- steps ----------------------------------------------------------------------------------------


def models() -> dict[str, tuple[Callable[[], Model], tuple[str, ...], tuple[int, ...]]]:
    """Name → how it is made, layers, sides; random weights where only the time counts."""
    found = torchvision.models

    def random(build: Callable[..., nn.Module], **settings: bool) -> Callable[[], Model]:
        return lambda: as_model(build(weights=None, **settings).eval().requires_grad_(False))

    return {
        "efficientnet_lite0": (
            lambda: load_model(Config()),
            ("blocks.0.0", "blocks.2.1", "blocks.4.2", "blocks.6.0"),
            SIDES,
        ),
        "googlenet": (
            random(found.googlenet, init_weights=False, aux_logits=False),
            ("conv2", "inception4a", "inception5b"),
            SIDES,
        ),
        "resnet50": (random(found.resnet50), ("layer1", "layer2", "layer4"), SIDES),
        "mobilenet_v3_large": (
            random(found.mobilenet_v3_large),
            ("features.6", "features.15"),
            SIDES,
        ),
        "vit_b_16": (random(found.vit_b_16), ("encoder.layers.encoder_layer_2",), (224,)),
    }


def steps(rounds: int) -> Iterator[str]:
    """A line for each network, layer and side."""
    yield f"steps: {CPU_BATCH} images, ms an image; gain of bf16 with quartiles, {rounds} rounds"
    for name, (build, layers, sides) in models().items():
        network = Network(build(), layers, torch.device("cpu"))
        for layer in layers:
            work = network.rows[layer].multiply_adds
            for side in sides:
                if network.accepts(side, layer):
                    yield f"  {name:20} {layer:32} {work / 1e6:6.0f} M {compared(network, layer, side, rounds)}"


def compared(network: Network, layer: str, side: int, rounds: int) -> str:
    """The times of one layer at one side, and their ratio."""
    seconds = np.array(
        [[step(network, layer, side, one) for one in BOTH] for _ in range(rounds + 2)]
    )[2:]
    fp32, bf16 = 1e3 * np.median(seconds, axis=0) / CPU_BATCH
    low, gain, high = np.quantile(seconds[:, 0] / seconds[:, 1], (0.25, 0.5, 0.75))
    return f"{side:4} px {fp32:7.2f} {bf16:7.2f}   {gain:.2f} ({low:.2f} to {high:.2f})"


def step(network: Network, layer: str, side: int, precision: str) -> float:
    """Seconds of one forward and backward pass."""
    images = torch.full((CPU_BATCH, 3, side, side), 0.5, requires_grad=True)
    with network.tap({layer: spatial_mean}, precision) as run:
        began = time.perf_counter()
        torch.autograd.grad(run(images)[layer].sum(), images)
        return time.perf_counter() - began


# --- pictures -------------------------------------------------------------------------------------


def pictures() -> Iterator[str]:
    """A line for each layer and precision."""
    yield "pictures: EfficientNet-Lite0, octaves, up to 8 units a layer, the top four and others"
    reference = packaged()
    network = Network(load_model(Config()), PICTURED, torch.device("cpu"))
    for layer in PICTURED:
        stats = reference.stats[layer]
        order = rank_channels(stats, "mean")
        units = tuple(int(order[at]) for at in (0, 1, 2, 3, *range(8, 40, 8)) if at < len(order))
        for precision in BOTH:
            began = time.perf_counter()
            done = octaves_of(
                network, stats, reference.samples.hf_median, units, precision=precision
            )
            each = (time.perf_counter() - began) / len(units)
            reach = float(np.median([one.scores.reach for one in done]))
            robust = float(np.median([one.scores.robust for one in done]))
            ok = sum(one.status == "ok" for one in done)
            tries = sum(one.attempts for one in done)
            yield (
                f"  {layer:12} {precision}  ok {ok}/{len(done)}  REACH {reach:.3f}  "
                f"ROBUST {robust:.3f}  attempts {tries}  {each:.2f} s a unit"
            )


if __name__ == "__main__":
    main()
