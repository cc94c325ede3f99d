"""Speed, as ratios within one run: `make bench`.

    python -m tests.bench.speed [--parts engine,article,layers,plan,atlas,linear] [--googlenet-weights FILE]

Prints, on this machine:
- engine: one gradient step of our engine against a whole-network, batch-1, fp32 step of plain
  PyTorch at the same size (GoogLeNet inception4a, 128 px), and the share of the machine's own
  matrix-product rate that the engine reaches;
- article: seconds per unit of `octaves` against the deep-dream article's loop run as the article
  does (one unit at a time, whole network; EfficientNet-Lite0 blocks.4.2, 224 px);
- atlas: `build_atlas.py build` with defaults from nothing, then a second time: seconds, peak
  memory, units per minute, REACH, share ok;
- layers: units a minute and peak memory for each building block, and how long all units of the
  model would take;
- plan: what `build_atlas.py plan` says of the default atlas, beside the time of the part `atlas`;
- linear: seconds per unit for 10, 100 and 1,000 units at a small size, and with all of it cached.
"""

import argparse
import copy
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
import torchvision
from torch import Tensor, nn

from atlas.cache.reference import Reference, packaged_reference, read_reference
from atlas.config import Config
from atlas.images.pixels import to_pixels
from atlas.images.tensors import fit
from atlas.models.load import Model, load_model
from atlas.models.probes import probe_images
from atlas.models.selection import select_layers
from atlas.models.table import layer_table
from atlas.network.network import Network
from atlas.network.tuning import CPU_BATCH, describe_device
from atlas.ranking.ranking import rank_channels
from atlas.records.network import ModelInfo
from atlas.records.statistics import LayerStats
from atlas.records.units import Rendering
from atlas.rendering.attempts import render_best
from atlas.rendering.job import Job
from atlas.rendering.kinds import Recipe
from atlas.rendering.recipes import RECIPES
from atlas.rendering.scoring import score_images
from atlas.rendering.sources import PixelRecipe
from atlas.stages.stopwatch import time_step
from tests.helpers import nature_of

ROOT = Path(__file__).parents[2]


def main() -> None:
    """Run the parts asked for."""
    parts: dict[str, Callable[[], None]] = {
        "engine": engine,
        "article": article,
        "layers": each_layer,
        "plan": plan,
        "atlas": whole_atlas,
        "linear": linear,
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", default=",".join(parts))
    args = parser.parse_args()
    print(f"{describe_device(torch.device('cpu'))}, torch {torch.__version__}", flush=True)
    for name in args.parts.split(","):
        parts[name]()


def best_of(action: Callable[[], object], times: int = 5) -> float:
    """The least seconds of a few runs, after one that does not count."""
    action()
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


# --- engine --------------------------------------------------------------------------------------


def engine() -> None:
    """Our gradient step against plain PyTorch's, GoogLeNet inception4a at 128 px."""
    layer, side = "inception4a", 128
    plain = torchvision.models.googlenet(weights=None, init_weights=False, aux_logits=False).eval()
    plain.requires_grad_(False)
    model = as_model(plain)
    rows = {row.name: row for row in layer_table(plain, probe_images(side, side))}
    work = 2 * 2 * rows[layer].multiply_adds  # forward and backward to the image
    whole = best_of(lambda: whole_step(plain, layer, side))  # before ours keeps freed memory
    network = Network(model, [layer], torch.device("cpu"))
    print(f"engine: GoogLeNet {layer}, {side} px, ms per image and step")
    print(f"  whole network, batch 1, fp32, NCHW     {1e3 * whole:7.1f}   1.0 x")
    for precision in ("fp32", "bf16"):
        step = min(time_step(network, layer, side, precision, 32) for _ in range(4)) / 32
        rate, peak = work / step / 1e9, matrix_rate(precision)
        print(
            f"  this engine, batch 32, {precision}            {1e3 * step:7.1f} {whole / step:5.1f} x"
            f"   {rate:.0f} of {peak:.0f} GFLOP/s = {rate / peak:.0%} of a matrix product's"
        )


def as_model(network: nn.Module) -> Model:
    """A torchvision network with random weights as the engine takes it."""
    info = ModelInfo(
        name="bench",
        title="bench",
        source="",
        weights_sha256="0" * 64,
        licence="",
        parameters=0,
        input_size=224,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        class_names=(),
    )
    return Model(info=info, network=network, layers=layer_table(network, probe_images(224, 224)))


def whole_step(network: nn.Module, layer: str, side: int) -> None:
    """Run one step as a hook-based loop does: the whole network, one image."""
    kept: list[Tensor] = []
    handle = network.get_submodule(layer).register_forward_hook(lambda *a: kept.append(a[2]))
    image = torch.rand(1, 3, side, side, requires_grad=True)
    network(image)
    kept[0].mean().backward()  # type: ignore[no-untyped-call]
    handle.remove()


def matrix_rate(precision: str) -> float:
    """GFLOP/s of a 2048³ product in this precision."""
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = (torch.randn(2048, 2048).to(kind) for _ in range(2))
    return 2 * 2048**3 / best_of(lambda: a @ b) / 1e9


# --- article -------------------------------------------------------------------------------------


def article() -> None:
    """`octaves` against the article's loop, EfficientNet-Lite0 blocks.4.2."""
    layer = "blocks.4.2"
    model = load_model(Config())
    reference = packaged()
    stats, hf = reference.stats[layer], reference.samples.hf_median
    units = tuple(int(channel) for channel in rank_channels(stats, "mean")[:10])
    pyramid = RECIPES["pyramid"]
    assert isinstance(pyramid, PixelRecipe)
    began = time.perf_counter()
    picture = article_loop(copy.deepcopy(model.network), model.info, layer, units[0], pyramid)
    theirs = time.perf_counter() - began
    network = Network(model, [layer], torch.device("cpu"))  # ours keeps freed memory from now on
    began = time.perf_counter()
    renderings = octaves_of(network, stats, hf, units)
    ours = (time.perf_counter() - began) / len(units)
    side = network.info.input_size
    (score,) = score_images(network, layer, units[:1], [fit(picture, side)], stats, hf)
    reach = float(np.median([one.scores.reach for one in renderings]))
    print(f"article: EfficientNet-Lite0 {layer}, seconds per unit, scores included")
    print(
        f"  the article's loop, one unit, whole network {theirs:6.1f}   1.0 x   REACH {score.reach:.2f}"
    )
    print(
        f"  octaves, {len(units)} units                        {ours:6.2f} {theirs / ours:5.1f} x   REACH {reach:.2f} (median)"
    )


def octaves_of(
    network: Network,
    stats: LayerStats,
    hf: float,
    units: tuple[int, ...],
    batch: int = CPU_BATCH,
    precision: str = "fp32",
) -> tuple[Rendering, ...]:
    """The units of one layer by `octaves`, scored and judged."""
    return render_best(network, octaves_job(network, stats, hf, units, batch, precision))


def octaves_job(
    network: Network,
    stats: LayerStats,
    hf: float,
    units: tuple[int, ...],
    batch: int,
    precision: str,
) -> Job[Recipe]:
    """The request for them."""
    magnitude = np.zeros((3, 0, 0), np.float32)
    return Job(
        recipe=RECIPES["octaves"],
        layer=stats.layer,
        channels=units,
        size=224,
        seed=0,
        weights=network.weights_sha256,
        batch=batch,
        precision=precision,
        nature=nature_of({stats.layer: stats}, hf=hf, magnitude=magnitude),
        examples=dict.fromkeys(units, np.full((224, 224, 3), 128, np.uint8)),
        earlier={},
    )


def packaged() -> Reference:
    """The statistics of 250 photographs that come with the package."""
    return read_reference(packaged_reference("efficientnet_lite0") or Path())


# --- every layer ---------------------------------------------------------------------------------


def each_layer() -> None:
    """Units a minute and peak memory of each building block, and of all units of the model."""
    model = load_model(Config())
    layers = select_layers(model.layers, ("blocks",))
    network = Network(model, [layer.name for layer in layers], torch.device("cpu"))
    reference = packaged()
    print("layers: EfficientNet-Lite0, octaves, 8 units of each at 224 px", flush=True)
    total = 0.0
    for layer in layers:
        forget_peak()
        stats = reference.stats[layer.name]
        units = tuple(rank_channels(stats, "mean")[:8].tolist())
        began = time.perf_counter()
        done = octaves_of(network, stats, reference.samples.hf_median, units)
        each = (time.perf_counter() - began) / len(units)
        total += each * layer.channels
        good = sum(one.status == "ok" for one in done)
        print(
            f"  {layer.name:12} {60 / each:6.0f} units a minute, {good}/8 ok, peak {peak():.2f} GB",
            flush=True,
        )
    count = sum(layer.channels for layer in layers)
    print(f"  all {count} units of these layers would take {total / 60:.0f} minutes")


def forget_peak() -> None:
    """Start measuring the peak memory of this process anew (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def peak() -> float:
    """GB of this process's memory at its peak since `forget_peak`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmHWM"))
    return int(line.split()[1]) / 2**20


def article_loop(
    network: nn.Module, info: ModelInfo, layer: str, channel: int, recipe: PixelRecipe
) -> np.ndarray:
    """The deep-dream article's loop as a person would write it: one unit, the whole network."""
    kept: list[Tensor] = []
    network.get_submodule(layer).register_forward_hook(lambda *a: kept.append(a[2]))
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (info.mean, info.std))
    scharr = torch.tensor([[-3.0, 0, 3], [-10, 0, 10], [-3, 0, 3]])
    kernels = torch.stack([scharr, scharr.T]).unsqueeze(1).repeat(3, 1, 1, 1)
    image = np.random.default_rng(0).random((recipe.first_size, recipe.first_size, 3), np.float32)
    for side in recipe.sides(224):
        image = cv2.resize(image, (side, side))
        start = torch.from_numpy(image).permute(2, 0, 1)[None]
        pixels = ((start - mean) / std).requires_grad_()
        adam = torch.optim.Adam([pixels], lr=recipe.learning_rate)
        for _ in range(recipe.steps):
            kept.clear()
            adam.zero_grad()
            network(pixels)
            edges = nn.functional.conv2d(pixels, kernels, padding=1, groups=3)
            loss = (
                -recipe.unit_weight * kept[0][0, channel].square().mean().sqrt()
                + pixels.square().mean().sqrt()
                + edges.square().mean().sqrt()
            )
            loss.backward()
            adam.step()
        final = (pixels.detach() * std + mean).clamp(0, 1)
        image = np.ascontiguousarray(final[0].permute(1, 2, 0).numpy())
    return to_pixels(image.transpose(2, 0, 1).astype(np.float16))


# --- the whole program ---------------------------------------------------------------------------


def build(folder: Path, *options: str) -> tuple[float, float, str]:
    """Run `build_atlas.py build` in `folder`: seconds, peak memory in GB, what it said."""
    command = [sys.executable, str(ROOT / "build_atlas.py"), "build", *options]
    began = time.perf_counter()
    with (folder / "said").open("w+") as said:
        process = subprocess.Popen(command, cwd=folder, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        said.seek(0)
        text = said.read()
    if status:
        raise SystemExit(text)
    return time.perf_counter() - began, usage.ru_maxrss / 2**20, text


def whole_atlas() -> None:
    """The default atlas from nothing, and once more."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first, memory, text = build(folder)
        second, _, _ = build(folder)
        rows = json.loads((folder / "site" / "efficientnet_lite0" / "model.json").read_text())
        pages = [json.loads(path.read_text()) for path in folder.glob("site/*/*/layer.json")]
    units = [unit for page in pages for unit in page["units"]]
    alive = [unit for unit in units if unit["status"] != "dead"]
    ok = [unit for unit in alive if unit["status"] == "ok"]
    reach = float(np.median([unit["reach"] for unit in ok]))
    print(f"atlas: {rows['model']}, {len(pages)} layers, {len(units)} units")
    print(
        f"  from nothing {first:.0f} s ({60 * len(units) / first:.0f} units a minute), peak {memory:.1f} GB"
    )
    print(f"  second time  {second:.1f} s")
    print(
        f"  ok {len(ok)}/{len(alive)} = {len(ok) / len(alive):.1%}, median REACH of ok {reach:.2f}"
    )
    for line in re.findall(r"^.*units \(.*$", text, re.MULTILINE):
        print(f"    {line}")


def plan() -> None:
    """Time the plan of the default atlas."""
    command = [sys.executable, str(ROOT / "build_atlas.py"), "plan"]
    with tempfile.TemporaryDirectory() as name:
        began = time.perf_counter()
        done = subprocess.run(command, cwd=name, capture_output=True, text=True, check=True)
        print(f"plan: took {time.perf_counter() - began:.0f} s, changed {os.listdir(name)}")
    for line in done.stdout.splitlines()[-7:]:
        print(f"  {line}")


def linear() -> None:
    """Cost in units at 64 px: linear, and flat in what is cached.

    By the recipe `class`, which tries each unit once: so small, pictures of `octaves` often fail a
    gate and are tried four times, some units and not others.
    """
    print("linear: EfficientNet-Lite0 blocks.4.* and 5.* at 64 px (input 96 px), class", flush=True)
    options = ("--size", "64", "--layers", "blocks.[45].?", "--recipe", "class")
    options = (*options, "--input-size", "96", "--classes", "0", "--lenses", "0", "--units")
    with tempfile.TemporaryDirectory() as name:
        build(Path(name), *options, "1")
        done = len(units_of(Path(name)))
        for per_layer in (2, 15, 60, 143):
            seconds, memory, _ = build(Path(name), *options, str(per_layer))
            total = len(units_of(Path(name)))
            new, done = total - done, total
            print(
                f"  {total:5} units, {new:4} new: {seconds:6.1f} s, "
                f"{seconds / new:.2f} s a new unit, peak {memory:.1f} GB",
                flush=True,
            )
        again, _, _ = build(Path(name), *options, "143")
        print(f"  {done:5} units, none new: {again:.1f} s")


def units_of(folder: Path) -> list[object]:
    """The units of all pages."""
    pages = [json.loads(path.read_text()) for path in folder.glob("site/*/*/layer.json")]
    return [unit for page in pages for unit in page["units"]]


if __name__ == "__main__":
    main()
