"""Whole builds of the tiny atlas, killed and done again. Run under the preloaded library.

`python -m tests.faults.builds WHAT FOLDER [NUMBER]` prints one line of JSON. Every build is a
forked process of one that has torch loaded already; what counts is what it leaves on the disk.
"""

import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch

from atlas import pipeline
from atlas.cache.audit import inspect
from atlas.config import Config
from atlas.errors import AtlasError
from atlas.gallery.write import check_site
from atlas.progress import Progress
from tests.faults.exhaust import Files, read_tree, write_tree
from tests.faults.shim import (
    DONE,
    EVERY,
    KILL,
    NO_ROOM,
    RENAME,
    TEAR,
    UNTOUCHED,
    Fault,
    attempt,
    in_child,
    is_acceptable,
)

Report = dict[str, object]
UNITS = 4
MANY = 5000
"""Calls after which a loop gives up that meets no build without a fault."""


def make_images(folder: Path) -> None:
    """Ten pictures, each of its own hue, and one that is broken."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    for index in range(10):
        picture = np.full((48, 48, 3), rng.integers(0, 256, 3), np.uint8)
        picture[:, 8 + 3 * index : 20 + 3 * index] = rng.integers(0, 256, 3)
        cv2.imwrite(str(folder / f"{index}.png"), picture)
    (folder / "broken.png").write_bytes((folder / "0.png").read_bytes()[:90])


def settings(folder: Path, **changes: object) -> Config:
    """A build of two layers in one folder."""
    plain: dict[str, object] = {
        "model": "tests.helpers:tiny_network",
        "images": str(folder / "images"),
        "input_size": 32,
        "size": 32,
        "units": UNITS,
        "recipe": ("pyramid",),
        "precision": "fp32",
        "classes": 0,
        "lenses": 1,
        "cache": folder / "work" / "cache",
        "site": folder / "work" / "site",
        "quiet": True,
        "live": "off",
    }
    return Config(**{**plain, **changes})  # type: ignore[arg-type]


NOTHING = Fault(name="nothing", action=0)


def build(config: Config) -> None:
    """One build in this process."""
    assert pipeline.build(config, Progress(quiet=True)) == 0


def results(config: Config) -> tuple[Files, list[str]]:
    """The bytes of all blocks, and the names of all files of the site.

    Sidecars and pages hold the seconds that a unit took, which no two runs share.
    """
    blocks = {name: data for name, data in read_tree(config.cache).items() if name.endswith(".h5")}
    return blocks, sorted(read_tree(config.site))


def strays(config: Config) -> list[str]:
    """Temporaries that a finished build should not leave."""
    roots = (config.site, *(path.parent for path in config.cache.glob("*/*/key.json")))
    return [path.name for root in roots for path in root.rglob(".tmp-*")]


def damage(config: Config) -> list[str]:
    """List the faults of the cache beyond leftovers of an interrupted write."""
    found = [one for key in config.cache.glob("*/*/key.json") for one in inspect(key.parent)[1]]
    return [f"{one.path.name}: {one.text}" for one in found if one.kind == "damaged"]


def units_in(config: Config) -> int:
    """Units in committed rendering blocks."""
    blocks = [b for key in config.cache.glob("*/*/key.json") for b in inspect(key.parent)[0]]
    return sum(len(block.channels) for block in blocks if block.kind == "renderings")


def finish(config: Config) -> int:
    """Build to the end in a forked process; its exit code."""
    return in_child(lambda: build(config), 0, NOTHING)


def undisturbed(folder: Path) -> tuple[Config, tuple[Files, list[str]], float]:
    """Build once without a fault; returns its settings, results and seconds."""
    make_images(folder / "images")
    config = settings(folder)
    began = time.perf_counter()
    assert finish(config) == DONE
    return config, results(config), time.perf_counter() - began


def look(config: Config, kept: Files, end: tuple[Files, list[str]]) -> list[str]:
    """List the faults after a disturbed build, and after it was done again."""
    wrong = damage(config)
    code = finish(config)
    wrong += [] if code == DONE else [f"the rerun ended with {code}"]
    blocks, site = results(config)
    wrong += [f"lost {name}" for name, data in kept.items() if blocks.get(name) != data]
    wrong += [] if blocks == end[0] else ["other blocks than those of an undisturbed build"]
    wrong += [] if site == end[1] else [f"other pages: {set(site) ^ set(end[1])}"]
    return wrong + check_site(config.site) + [f"{name} left over" for name in strays(config)]


def fresh(config: Config) -> None:
    """Forget all results."""
    shutil.rmtree(config.cache.parent, ignore_errors=True)


def committed(config: Config) -> Files:
    """The blocks that are in place now."""
    return results(config)[0]


# --- what is done to the builds ------------------------------------------------------------------


def between_commits(folder: Path, stride: int = 1) -> Report:
    """Kill a build before and after each rename, which is how every single result is committed."""
    config, end, _ = undisturbed(folder)
    tried, units, problems = 0, 0, []
    for at in range(0, MANY, stride):
        fault = (KILL, TEAR)[tried % 2]
        fresh(config)
        code = in_child(lambda: build(config), at, fault, RENAME)
        if code == UNTOUCHED:
            break
        tried += 1
        units += units_in(config)
        wrong = look(config, committed(config), end)
        problems += [f"{fault.name}, rename {at}: {text}" for text in wrong]
        if not is_acceptable(code, fault):
            problems.append(f"{fault.name}, rename {at}: ended with {code}")
            break
    return {"tried": tried, "units": units, "problems": problems}


def at_random(folder: Path, seeds: int) -> Report:
    """Kill builds at random moments, some of them twice, then let them end."""
    config, end, seconds = undisturbed(folder)
    units, problems = 0, []
    for seed in range(seeds):
        fresh(config)
        chance, kept = random.Random(seed), Files()
        for _ in range(1 + seed % 2):
            kill_later(config, chance.uniform(0, seconds))
            problems += [f"seed {seed}: {name} lost" for name in kept.keys() - committed(config)]
            kept = committed(config)
            units += units_in(config)
        problems += [f"seed {seed}: {text}" for text in look(config, kept, end)]
    return {"tried": seeds, "units": units, "problems": problems}


def kill_later(config: Config, seconds: float) -> None:
    """Start a build and kill it after so many seconds."""
    child = os.fork()
    if not child:
        os._exit(attempt(lambda: build(config), 0, NOTHING, EVERY))
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def started_twice(folder: Path, tries: int) -> Report:
    """Start two builds of the same atlas at the same moment."""
    config, end, _ = undisturbed(folder)
    problems, met = [], 0
    for number in range(tries):
        fresh(config)
        said = two_at_once(config, folder)
        met += any(HOLDER in text for text in said)
        if "" not in said:
            problems.append(f"try {number}: neither run was done: {said}")
        problems += [f"try {number}: {text}" for text in said if text and HOLDER not in text]
        problems += [f"try {number}: {text}" for text in look(config, committed(config), end)]
    if met < tries // 2:
        problems.append(f"only {met} of {tries} tries met each other")
    return {"tried": tries, "units": 2 * UNITS * tries, "problems": problems}


HOLDER = "in use by process"


def two_at_once(config: Config, folder: Path) -> list[str]:
    """Run two builds; what each said at its end, "" where it was done."""
    children = []
    for number in range(2):
        said = folder / f"said{number}"
        child = os.fork()
        if not child:
            os._exit(run_and_tell(config, said))
        children.append((child, said))
    for child, _ in children:
        os.waitpid(child, 0)
    return [said.read_text() for _, said in children]


def run_and_tell(config: Config, said: Path) -> int:
    """Build, and write down the error if there is one."""
    said.write_text("did not end")
    try:
        build(config)
    except AtlasError as error:
        said.write_text(str(error))
    except BaseException as error:
        said.write_text(f"{type(error).__name__}: {error}")
    else:
        said.write_text("")
    return 0


def holder_killed(folder: Path, tries: int) -> Report:
    """Kill a run that holds the lock; the next one needs nobody to unlock it."""
    config, end, seconds = undisturbed(folder)
    problems = []
    for number in range(tries):
        kill_later(config, seconds * (number + 1) / (tries + 1))
        code = finish(config)
        problems += [] if code == DONE else [f"try {number}: the next run ended with {code}"]
    problems += look(config, end[0], end)
    return {"tried": tries, "units": UNITS * tries, "problems": problems}


def site_crashes(folder: Path, stride: int) -> Report:
    """Kill the writing of a site that has grown at every so many calls, or fill the disk."""
    make_images(folder / "images")
    old, new = settings(folder, units=2), settings(folder)
    assert finish(old) == DONE
    before = read_tree(old.site)
    assert finish(new) == DONE
    assert in_child(lambda: write_site(new), 0, NOTHING) == DONE
    end = read_tree(new.site)
    tried, problems = 0, []
    for fault in (KILL, NO_ROOM):
        for at in range(0, MANY, stride):
            write_tree(new.site, before)
            code = in_child(lambda: write_site(new), at, fault)
            if code == UNTOUCHED:
                break
            tried += 1
            wrong = [] if is_acceptable(code, fault) else [f"ended with {code}"]
            wrong += check_site(new.site)
            wrong += [] if in_child(lambda: write_site(new), 0, NOTHING) == DONE else ["no rerun"]
            wrong += [] if read_tree(new.site) == end else ["the rerun ends in another site"]
            problems += [f"{fault.name}, call {at}: {text}" for text in wrong]
    return {"tried": tried, "units": 0, "problems": problems}


def write_site(config: Config) -> None:
    """The pages alone, from the cache."""
    assert pipeline.site(config, Progress(quiet=True)) == 0


WAYS: dict[str, Callable[[Path, int], Report]] = {
    "between_commits": between_commits,
    "at_random": at_random,
    "started_twice": started_twice,
    "holder_killed": holder_killed,
    "site_crashes": site_crashes,
}


def warm_up() -> None:
    """Have torch import and set up what a build needs, once for all forked processes."""
    torch.set_num_threads(1)
    torch.optim.Adam([torch.zeros(1)])  # imports torch._dynamo: two seconds
    torch.conv2d(torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 3, 3))


if __name__ == "__main__":
    warm_up()
    _, way, path, number = sys.argv
    print(json.dumps(WAYS[way](Path(path), int(number))))
