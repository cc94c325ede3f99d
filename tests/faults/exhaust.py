"""Every fault at every system call of one commit, with a number of units already there.

Run under the preloaded library: `python -m tests.faults.exhaust SCENARIO FOLDER UNITS [few]`
prints one line of JSON. Each fault meets a forked process; afterwards everything that was committed
must be there byte for byte, and the same work done again must end in the bytes of an undisturbed
run.
"""

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from atlas.cache.audit import inspect
from atlas.cache.store import Store
from atlas.gallery.links import broken_links
from atlas.gallery.tree import Tree, remove_temporaries
from tests.faults.shim import FAULTS, KILL, NO_ROOM, UNTOUCHED, Fault, in_child, is_acceptable
from tests.store_records import FINGERPRINT, KEY, MODEL, RUN, fill, rendering, stats

Files = dict[str, bytes]
BLOCK = 32
"""Units a block, as `schedule.BLOCK_UNITS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A commit to be disturbed.

    Attributes:
        prepare: puts so many units where the work will be done.
        work: the commit; may be done again.
        is_sound: what must hold of the files after a fault, given those before and at the end.
    """

    prepare: Callable[[Path, int], None]
    work: Callable[[Path], None]
    is_sound: Callable[[Files, Files, Files], bool]


def read_tree(folder: Path) -> Files:
    """Relative path → bytes of every file below a folder but locks."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def write_tree(folder: Path, files: Files) -> None:
    """Make a folder hold exactly these files."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def keeps_everything(before: Files, after: Files, end: Files) -> bool:
    """Return whether all that was committed is still there."""
    return all(after.get(name) == data for name, data in before.items())


def is_old_or_new(before: Files, after: Files, end: Files) -> bool:
    """Return whether the site is the whole old one or the whole new one."""
    manifest = "tiny/manifest.json"
    shown = {name: data for name, data in after.items() if ".tmp-" not in name}

    def holds(tree: Files) -> bool:
        return all(shown.get(name) == tree[name] for name in tree if name != manifest)

    return holds(before) or holds(end)


def keeps_results(before: Files, after: Files, end: Files) -> bool:
    """As `keeps_everything`, but for the network that is replaced: the old or the new is there."""
    rest = {name: data for name, data in before.items() if "/network." not in name}
    networks = [name for name in after if "/network." in name and ".tmp-" not in name]
    known = {**before, **end}
    return keeps_everything(rest, after, end) and any(after[n] == known.get(n) for n in networks)


# --- the commits ----------------------------------------------------------------------------------


def put_units(folder: Path, units: int, key: dict[str, object] = KEY) -> None:
    """Commit so many renderings of a layer in blocks, and one of everything else."""
    with Store.open(folder, "tiny", key) as store:
        fill(store)
        for first in range(0, units, BLOCK):
            last = min(first + BLOCK, units) - 1
            some = [rendering(channel, layer="units") for channel in range(first, last + 1)]
            store.write_renderings(first, last, FINGERPRINT, some, RUN)


def add_ranking(folder: Path) -> None:
    with Store.open(folder, "tiny", KEY) as store:
        store.write_stats(stats("late"))


def add_renderings(folder: Path) -> None:
    with Store.open(folder, "tiny", KEY) as store:
        some = [rendering(channel, layer="late") for channel in range(4)]
        store.write_renderings(0, 3, FINGERPRINT, some, RUN)


def add_key(folder: Path) -> None:
    with Store.open(folder, "tiny", {**KEY, "seed": 1}):
        pass


def replace_network(folder: Path) -> None:
    with Store.open(folder, "tiny", KEY) as store:
        store.write_network(MODEL, [])


def page(number: int, build: int) -> str:
    return f'<a href="{(number + build) % 4}.html">unit {number} of build {build}</a>'


def put_site(folder: Path, pages: int) -> None:
    write_site(folder, {f"units/{n}.html": page(n, 0) for n in range(max(pages, 4))})


def change_site(folder: Path) -> None:
    """A build that changes some of the first pages, drops two, adds one and keeps the rest."""
    there = sorted(int(path.stem) for path in folder.glob("tiny/units/*.html"))
    kept = {f"units/{n}.html": page(n, n // 2 if n < 4 else 0) for n in there if n not in (4, 5)}
    write_site(folder, {**kept, "more/new.html": "new"})


def write_site(folder: Path, pages: dict[str, str]) -> None:
    remove_temporaries(folder)
    with ThreadPoolExecutor(1) as pool:
        tree = Tree(folder, "tiny", pool)
        for name, html in pages.items():
            tree.put_page(name, html)
        tree.settle()
        tree.check_links(frozenset())
        if not tree.is_unchanged:
            tree.swap()
            tree.sweep()


SCENARIOS = {
    "ranking": Scenario(prepare=put_units, work=add_ranking, is_sound=keeps_everything),
    "rendering": Scenario(prepare=put_units, work=add_renderings, is_sound=keeps_everything),
    "key": Scenario(prepare=put_units, work=add_key, is_sound=keeps_everything),
    "network": Scenario(prepare=put_units, work=replace_network, is_sound=keeps_results),
    "site": Scenario(prepare=put_site, work=change_site, is_sound=is_old_or_new),
}


# --- the loop -------------------------------------------------------------------------------------


def exhaust(
    scenario: Scenario, units: int, folder: Path, faults: Sequence[Fault] = FAULTS
) -> dict[str, object]:
    """Try every fault at every call; returns counts and what went wrong."""
    scenario.prepare(folder, units)
    before = read_tree(folder)
    scenario.work(folder)
    end = read_tree(folder)
    tried, problems = 0, []
    for fault in faults:
        for at in range(5000):
            write_tree(folder, before)
            code = in_child(lambda: scenario.work(folder), at, fault)
            if code == UNTOUCHED:
                break
            tried += 1
            wrong = ([] if is_acceptable(code, fault) else [f"ended with {code}"]) + look(
                scenario, folder, before, end
            )
            problems += [f"{fault.name}, call {at}: {text}" for text in wrong]
    return {"tried": tried, "units": tried * units, "problems": problems}


def look(scenario: Scenario, folder: Path, before: Files, end: Files) -> list[str]:
    """List the faults after an injected one, and after the same work was done again."""
    after = read_tree(folder)
    wrong = [] if scenario.is_sound(before, after, end) else ["something committed is lost"]
    for key_folder in folder.glob("*/*/key.json"):
        _, found = inspect(key_folder.parent)
        wrong += [f"{one.path.name} {one.text}" for one in found if one.kind != "stray"]
    scenario.work(folder)
    if read_tree(folder) != end:
        wrong.append("the rerun ends in other bytes")
    if scenario.prepare is put_site:
        wrong += broken_links(folder)
    return wrong


if __name__ == "__main__":
    _, name, path, number, *few = sys.argv
    chosen = (KILL, NO_ROOM) if few else FAULTS
    print(json.dumps(exhaust(SCENARIOS[name], int(number), Path(path), chosen)))
