"""A million units: what the one process that writes can do, `make bench-million`.

    python -m tests.bench.million [--parts blocks,ray,run,open,merge] [--units 1000000] [--side 16]
        [--workers 200] [--processes 4] [--sample 6400] [--folder DIR]

The real driver (`render_units`, the pool, the cache, `merge`) is given a made-up network of layers
of 2,000 channels and workers whose rendering is a wait; each part in a process of its own. Prints:
- blocks: milliseconds of the driver for a block of 32 pictures of 224 px, where they go, and how
  many workers it can serve;
- ray: the same through so many of Ray's own processes, and the memory of each;
- run: all units over so many workers by a clock that jumps: the workers' seconds are counted and
  not waited for, the driver's are real. Pictures have `--side` px, so that a disk holds them;
- open: starting again on what that run left: verifying it, finding what is missing, `check`;
- merge: the blocks of that run, dealt out to eight caches, into a new one.
"""

import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from atlas.cache import blocks
from atlas.cache.audit import check
from atlas.cache.folder import key_folders
from atlas.cache.store import Store
from atlas.network.tuning import describe_device
from atlas.rendering.recipes import find_recipes
from atlas.stages import render
from atlas.stages.merge import merge_caches
from atlas.workers import ray as cluster
from atlas.workers.schedule import BLOCK_UNITS
from tests.bench.made_up import (
    SECONDS,
    Clock,
    Waiting,
    by_clock,
    lay,
    layer_rows,
    open_run,
    pictures,
    render_all,
)

ROOT = Path(__file__).parents[2]
SIDE = 224
SHARDS = 8
PACES = (SECONDS, 0.05, 0.015)
"""Seconds a unit of a CPU core, and of an H100 at its slowest and fastest layers (README)."""

Found = dict[str, float]


def main() -> None:
    """Run the parts asked for, each in a process of its own, or one of them in this."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", default="blocks,ray,run,open,merge")
    parser.add_argument("--units", type=int, default=1_000_000, help="of run, open and merge")
    parser.add_argument("--sample", type=int, default=6_400, help="units of blocks and ray")
    parser.add_argument("--side", type=int, default=16, help="pixels of the pictures of run")
    parser.add_argument("--workers", type=int, default=200, help="of run")
    parser.add_argument("--processes", type=int, default=4, help="of ray")
    parser.add_argument(
        "--folder", default="", help="where run leaves its cache for open and merge"
    )
    parser.add_argument("--one", default="", help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.one:
        print(json.dumps(PARTS[args.one](args)))
        return
    print(f"{describe_device(torch.device('cpu'))}, torch {torch.__version__}", flush=True)
    with contextlib.ExitStack() as stack:
        folder = args.folder or stack.enter_context(tempfile.TemporaryDirectory())
        Path(folder).mkdir(parents=True, exist_ok=True)
        for name in args.parts.split(","):
            command = [sys.executable, "-m", "tests.bench.million", *sys.argv[1:]]
            command += ["--one", name, "--folder", folder]
            done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
            for what, figure in json.loads(done.stdout).items():
                print(f"{name}: {what}: {figure:,.2f}", flush=True)


# --- what is measured -----------------------------------------------------------------------------


def peak_mb() -> float:
    """Most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@contextlib.contextmanager
def timed(found: Found, name: str) -> Iterator[None]:
    """Note the seconds that a `with` block takes and computes, and the peak memory after it."""
    began, computed = time.perf_counter(), time.process_time()
    yield
    found[f"{name}, s"] = time.perf_counter() - began
    found[f"{name}, computing, s"] = time.process_time() - computed
    found[f"{name}, peak MB"] = peak_mb()


@contextlib.contextmanager
def parted(spent: Found) -> Iterator[None]:
    """Note the seconds that the steps of a commit compute."""
    steps = [
        *((blocks, name) for name in ("build_block", "sha256_bytes", "atomic_write")),
        (render, "with_pictures"),
    ]
    real = [getattr(module, name) for module, name in steps]

    def noted(name: str, step: Callable[..., object]) -> Callable[..., object]:
        def take(*arguments: object) -> object:
            began = time.process_time()
            try:
                return step(*arguments)
            finally:
                spent[name] = spent.get(name, 0.0) + time.process_time() - began

        return take

    for (module, name), step in zip(steps, real, strict=True):
        setattr(module, name, noted(name, step))
    try:
        yield
    finally:
        for (module, name), step in zip(steps, real, strict=True):
            setattr(module, name, step)


# --- the parts ------------------------------------------------------------------------------------


def blocks_part(args: argparse.Namespace) -> Found:
    """Milliseconds of the driver for a block of pictures of the usual size."""
    clock, steps, found = Clock(SIDE, args.workers), Found(), Found()
    pictures(SIDE)
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        lay(Path(name), args.sample)
        with open_run(Path(name), SIDE) as work, by_clock(clock), parted(steps):
            render_all(work, args.sample)
        with timed(found, "verify all"), open_run(Path(name), SIDE):
            pass
    count = len(clock.marks)
    each, computed = clock.wall / count, clock.computed / count
    return {
        "ms a block": 1000 * each,
        "computing, ms a block": 1000 * computed,
        **{f"{step}, computing, ms": 1000 * spent / count for step, spent in steps.items()},
        "verify, ms a block": 1000 * found["verify all, s"] / count,
        "verify, computing, ms a block": 1000 * found["verify all, computing, s"] / count,
        "units a second": BLOCK_UNITS / each,
        "units a second if nothing else had to be waited for": BLOCK_UNITS / computed,
        **{f"workers of {pace} s a unit": pace * BLOCK_UNITS / each for pace in PACES},
    }


def ray_part(args: argparse.Namespace) -> Found:
    """The same through Ray's own processes; the first quarter, in which they start, is left out."""
    cluster.import_ray()
    from ray.cluster_utils import Cluster

    moments: list[tuple[float, float]] = []
    memory: dict[str, float] = {}
    write = Store.write_renderings

    def noted(store: Store, *given: object) -> None:
        write(store, *given)  # type: ignore[arg-type]
        moments.append((time.perf_counter(), time.process_time()))
        process = given[-1].device  # type: ignore[attr-defined]
        memory[process] = memory.get(process) or held_mb(process)

    head = {"num_cpus": args.processes, "object_store_memory": 10**9, "include_dashboard": False}
    started = Cluster(initialize_head=True, head_node_args=head)
    os.environ["RAY_ADDRESS"] = started.address
    render.load_renderer = lambda *given: Waiting(SIDE)  # type: ignore[assignment, return-value]
    Store.write_renderings = noted  # type: ignore[assignment, method-assign]
    try:
        with tempfile.TemporaryDirectory(dir=args.folder) as name:
            lay(Path(name), args.sample)
            with open_run(Path(name), SIDE) as work:
                render_all(work, args.sample)
    finally:
        started.shutdown()
    moments = moments[len(moments) // 4 :]
    spent, computed = (moments[-1][i] - moments[0][i] for i in (0, 1))
    return {
        "processes": len(memory),
        "ms a block": 1000 * spent / (len(moments) - 1),
        "computing, ms a block": 1000 * computed / (len(moments) - 1),
        "MB a process": sum(memory.values()) / len(memory),
        "peak MB": peak_mb(),
    }


def held_mb(process: str) -> float:
    """Memory of a process that no other one shares."""
    lines = Path("/proc", process, "smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def run_part(args: argparse.Namespace) -> Found:
    """All units over many workers."""
    folder, clock, found = Path(args.folder), Clock(args.side, args.workers), Found()
    lay(folder, args.units)
    pictures(args.side)
    found["before, peak MB"] = peak_mb()
    with timed(found, "all"), open_run(folder, args.side) as work, by_clock(clock):
        render_all(work, args.units)
    tenth = max(len(clock.marks) // 10, 1)
    first = clock.marks[tenth].computed - clock.marks[0].computed
    last = clock.marks[-1].computed - clock.marks[-1 - tenth].computed
    return {
        **found,
        "by the clock, s": clock.now,
        "driver until the first block, s": clock.marks[0].computed,
        "driver, s": clock.wall,
        "driver, computing, s": clock.computed,
        "driver, first tenth, computing, ms a block": 1000 * first / tenth,
        "driver, last tenth, computing, ms a block": 1000 * last / tenth,
        "workers at work, share": args.units * clock.seconds / clock.now / args.workers,
    }


def open_part(args: argparse.Namespace) -> Found:
    """Starting again on a full cache, and `check`."""
    folder, found = Path(args.folder), Found()
    with timed(found, "verify"), open_run(folder, args.side):
        pass
    layers = layer_rows(args.units)
    chosen = {layer.name: range(layer.channels) for layer in layers}
    with open_run(folder, args.side) as work, timed(found, "find what is missing"):
        assert not render.missing_blocks(work, find_recipes(("octaves",)), layers, chosen)
    with timed(found, "check"):
        assert not [line for key in key_folders(folder) for line in check(key)]
    return found


def merge_part(args: argparse.Namespace) -> Found:
    """Eight caches into a new one."""
    seconds, folder = [], Path(args.folder)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        parts = [Path(name, f"part{number}") for number in range(SHARDS)]
        for number, part in enumerate(parts):
            deal(folder, part, number)
        began, computed = time.perf_counter(), time.process_time()
        for _ in merge_caches(parts, Path(name, "all")):
            seconds.append(time.process_time() - computed)
        spent = time.perf_counter() - began
    return {
        "all, s": spent,
        "all, computing, s": seconds[-1],
        "first, computing, s": seconds[0],
        "last, computing, s": seconds[-1] - seconds[-2],
        "peak MB": peak_mb(),
    }


def deal(cache: Path, part: Path, number: int) -> None:
    """Link every eighth block of renderings of a cache, and all else, into the cache of a shard."""
    (key,) = key_folders(cache)
    paths = [path for path in sorted(key.rglob("*")) if path.is_file() and path.name != ".lock"]
    shared = [path for path in paths if path.parents[1].name != "renderings"]
    made = [path for path in paths if path.parents[1].name == "renderings"]
    digests = sorted({path.stem for path in made})[number::SHARDS]
    ours = {*digests}
    for path in [*shared, *(one for one in made if one.stem in ours)]:
        target = part / path.relative_to(cache)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(path, target)


PARTS = {
    "blocks": blocks_part,
    "ray": ray_part,
    "run": run_part,
    "open": open_part,
    "merge": merge_part,
}

if __name__ == "__main__":
    from tests.bench import million  # Ray's processes find what they are sent by this name

    million.main()
