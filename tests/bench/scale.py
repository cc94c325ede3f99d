"""Scaling, measured within one run: `make bench-scale`.

    python -m tests.bench.scale [--parts ray,memory] [--units 100,500,2000] [--blocks 12]
        [--rounds 3]

Prints, on this machine:
- ray: units a minute of two Ray processes on two cores against one on one core, the driver and
  Ray's own processes on the same cores (EfficientNet-Lite0, blocks of equal work, fp32, fixed
  batch, one thread a process), and that both rendered the same bytes; the clock runs from the first
  committed block of each process to its last, so that starting does not count;
- memory: seconds and peak memory of a build with 100, 500 and 2,000 units over all building blocks
  at 48 px and a network input of 96 px, few steps and one attempt, each in a process of its own.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from atlas import pipeline
from atlas.cache.store import Store
from atlas.config import Config
from atlas.models.load import load_model
from atlas.models.selection import select_layers
from atlas.network.tuning import describe_device
from atlas.progress import Progress
from atlas.rendering.kinds import FourierRecipe, Octave
from atlas.rendering.recipes import RECIPES
from atlas.workers import ray as cluster
from atlas.workers import schedule

ROOT = Path(__file__).parents[2]
LAYER = "blocks.5.1"
BLOCK = 8
"""Units of a block of the Ray part: small, so that a few of them show the rate."""


def main() -> None:
    """Run the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", default="ray,memory")
    parser.add_argument("--units", default="100,500,2000", help="of the memory part")
    parser.add_argument("--blocks", type=int, default=12, help="of the Ray part")
    parser.add_argument("--rounds", type=int, default=3, help="of the Ray part")
    parser.add_argument("--build", default="", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.build:
        print(json.dumps(one_build(Path(args.build), int(args.units))))
        return
    parts: dict[str, Callable[[], None]] = {
        "ray": lambda: ray_part(args.blocks, args.rounds),
        "memory": lambda: memory_part([int(count) for count in args.units.split(",")]),
    }
    print(f"{describe_device(torch.device('cpu'))}, torch {torch.__version__}", flush=True)
    for name in args.parts.split(","):
        parts[name]()


def shorten(share: float, steps: int, seeds: int) -> None:
    """Make `octaves` cheap: one octave after a small one, a few steps each."""
    base = RECIPES["octaves"]
    assert isinstance(base, FourierRecipe)
    octaves = (Octave(share=share, steps=steps), Octave(share=1.0, steps=steps))
    RECIPES["octaves"] = replace(base, octaves=octaves, seeds=seeds)


def settings(folder: Path, name: str, **changes: object) -> Config:
    """Settings that fix all arithmetic."""
    fields: dict[str, object] = {
        "cache": folder / name,
        "site": folder / f"{name}-site",
        "recipe": ("octaves",),
        "precision": "fp32",
        "batch": 8,
        "classes": 0,
        "lenses": 0,
        "reference": "none",
        "quiet": True,
    }
    return Config(**{**fields, **changes})  # type: ignore[arg-type]


# --- Ray -----------------------------------------------------------------------------------------


def ray_part(blocks: int, rounds: int) -> None:
    """One process on one core against two on two, in turns, since machines are noisy."""
    torch.set_num_threads(1)
    shorten(share=0.5, steps=16, seeds=1)
    schedule.BLOCK_UNITS = BLOCK
    rates: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(rounds):
        made = []
        for processes in rates:
            with tempfile.TemporaryDirectory() as name:
                config = settings(
                    *(Path(name), f"{processes}"),
                    layers=(LAYER,),
                    units=BLOCK * blocks,
                    size=112,
                    engine="ray",
                )
                rates[processes].append(timed_build(config, processes))
                made.append(rendered(config))
            print(
                f"ray: {processes} process(es): {rates[processes][-1]:7.1f} units/min", flush=True
            )
        assert len(made[0]) == blocks
        assert made[0] == made[1], "the bytes differ"
    one, two = (statistics.median(rates[processes]) for processes in rates)
    print(f"ray: 2 against 1: {two / one:.2f} x (medians of {rounds}); equal bytes", flush=True)


def timed_build(config: Config, processes: int) -> float:
    """Units a minute on a cluster of one node with so many CPUs, once all processes are at work."""
    cluster.import_ray()
    from ray.cluster_utils import Cluster

    moments: list[float] = []
    write = Store.write_renderings

    def noted(store: Store, *args: object) -> None:
        write(store, *args)  # type: ignore[arg-type]
        moments.append(time.perf_counter())

    head = {"num_cpus": processes, "object_store_memory": 200_000_000, "include_dashboard": False}
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(cores)[:processes])  # Ray's processes and ours inherit it
    started = Cluster(initialize_head=True, head_node_args=head)
    os.environ["RAY_ADDRESS"] = started.address
    Store.write_renderings = noted  # type: ignore[method-assign]
    try:
        assert pipeline.build(config, Progress(quiet=True)) == 0
    finally:
        Store.write_renderings = write  # type: ignore[method-assign]
        del os.environ["RAY_ADDRESS"]
        started.shutdown()
        os.sched_setaffinity(0, cores)
    # From the first block of each process to its last, the mean over the processes.
    first, last = (statistics.mean(some) for some in (moments[:processes], moments[-processes:]))
    return 60 * BLOCK * (len(moments) - processes) / (last - first)


def rendered(config: Config) -> dict[str, bytes]:
    """Name → bytes of every block of renderings."""
    return {path.name: path.read_bytes() for path in config.cache.glob("*/*/renderings/*/*.h5")}


# --- memory --------------------------------------------------------------------------------------


def memory_part(counts: Sequence[int]) -> None:
    """Seconds and peak memory of builds of more and more units."""
    for count in counts:
        with tempfile.TemporaryDirectory() as name:
            command = [sys.executable, "-m", "tests.bench.scale", "--build", name]
            done = subprocess.run(
                [*command, "--units", str(count)],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                check=True,
            )
            found = json.loads(done.stdout)
        print(
            f"memory: {found['units']:5} units: {found['seconds']:6.0f} s, "
            f"{found['peak_mb']:6.0f} MB at the peak",
            flush=True,
        )


def one_build(folder: Path, units: int) -> dict[str, float]:
    """A build of about `units` units over all building blocks, in this process."""
    shorten(share=0.67, steps=2, seeds=1)
    FourierRecipe.takes_example = property(lambda recipe: False)  # type: ignore[assignment]
    config = settings(folder, "atlas", units=1, size=48, input_size=96)
    table = select_layers(load_model(config).layers, config.layers)
    config = replace(config, units=for_each_layer(units, [layer.channels for layer in table]))
    began = time.perf_counter()
    pipeline.build(config, Progress(quiet=True))
    seconds = time.perf_counter() - began
    plan = json.loads(next(config.cache.glob("*/atlas.json")).read_text())
    return {
        "units": sum(map(len, plan["layers"].values())),
        "seconds": seconds,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def for_each_layer(units: int, channels: Sequence[int]) -> int:
    """The least --units that gives so many units over layers of so many channels."""
    counts = range(1, max(channels) + 1)
    return next(n for n in counts if sum(min(n, c) for c in channels) >= min(units, sum(channels)))


if __name__ == "__main__":
    main()
