"""Measure a site of 7,000 units: time to build, to build again unchanged, size, time to open a page.

`python -m tests.bench.site` prints a table. The bars: 60 s on two quiet cores, a rebuild at least
ten times as fast, 900 MB. With `--parts 2` it measures two sites that share the units instead.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path

from atlas.gallery import tree
from atlas.gallery.again import write_again
from atlas.gallery.finish import SiteReport
from atlas.gallery.memory import recall, remember
from atlas.gallery.parts import WHOLE, Part
from atlas.gallery.write import write_site
from atlas.records.atlas import ModelAtlas
from tests.browser import sites
from tests.synthetic import SyntheticPictures, make_atlas, parted

LAYERS = 28
IMAGES = 250
LIMIT = tree.BUDGET
KEY = "all that the site is made from"
VARIETY = 100
"""Different renderings in all; drawing 7,000 would take longer than the site."""

WIDEST = {"width": 1400, "height": 1000}


class Warm(SyntheticPictures):
    """Pictures drawn before the clock starts, as the cache has them."""

    def draw(self) -> None:
        """Draw every picture once."""
        for unit, recipe in self.records:
            self.rendering(unit, recipe)
        for index in range(len(self.atlas.samples.samples)):
            self.sample(index)


def build(
    site: Path, atlas: ModelAtlas, pictures: Warm, part: Part = WHOLE
) -> tuple[float, float, SiteReport]:
    """Seconds and seconds of computing of a build, and what it did."""
    start, work = time.perf_counter(), time.process_time()
    report = write_site(atlas, pictures, site=site, labels={}, site_url="", templates=(), part=part)
    return time.perf_counter() - start, time.process_time() - work, report


def build_again(site: Path, memory: Path) -> tuple[float, SiteReport]:
    """Seconds of a build whose inputs are as the memory says, and what it did."""
    (folder,) = (path.parent.name for path in site.glob("*/model.json"))
    start = time.perf_counter()
    known = recall(memory, KEY)
    found = known.found_in(site / folder) if known else None
    assert found is not None, "the site is not as it was left"
    report = write_again(found, site=site, folder=folder, site_url="", templates=())
    return time.perf_counter() - start, report


def remembered(site: Path, memory: Path, report: SiteReport) -> float:
    """Seconds that it takes to remember a build."""
    (folder,) = (path.parent for path in site.glob("*/model.json"))
    start = time.perf_counter()
    remember(memory, KEY, folder, report)
    return time.perf_counter() - start


def load_times(site: Path) -> list[tuple[str, float, int]]:
    """Milliseconds until the load event and number of requests of a page of each type."""
    from playwright.sync_api import sync_playwright

    folder = next(path.parent for path in sorted(site.glob("*/model.json")))
    layer = sorted(path.parent for path in folder.glob("*/layer.json"))[-1]
    unit = sorted(layer.glob("[0-9]*.json"))[0].with_suffix(".html")
    pages = {"home": site, "model": folder, "layer": layer, "unit": unit}
    rows = []
    with sites.served(site) as served, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=sites.CHROMIUM, args=sites.ARGUMENTS)
        for name, path in pages.items():
            page = browser.new_context(viewport=WIDEST).new_page()  # type: ignore[arg-type]
            asked: list[str] = []
            page.on("request", lambda request, asked=asked: asked.append(request.url))
            address = path.relative_to(site).as_posix().removeprefix(".")
            target = address if path.is_file() else f"{address}/index.html".removeprefix("/")
            page.goto(served.http + target, wait_until="load")
            took = page.evaluate(
                "() => performance.timing.loadEventStart - performance.timing.navigationStart"
            )
            rows.append((name, took, len(asked)))
        browser.close()
    return rows


def measure_parts(folder: Path, atlas: ModelAtlas, pictures: Warm, count: int) -> None:
    """Build the site in parts and print what each took."""
    for number in range(1, count + 1):
        site = folder / f"atlas-{number}"
        part = parted(atlas, site, number, count)
        seconds, work, report = build(site, atlas, pictures, part)
        units = part.shares[number - 1].n_units
        size = f"{report.bytes / 1e6:.0f} MB, {report.written} files"
        print(f"part {number} of {count}: {units} units, {size}")
        print(f"  {seconds:.1f} s; {work:.0f} s of computing", flush=True)


def main() -> None:
    """Build, build again unchanged, open pages; print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=7000)
    parser.add_argument("--keep", type=Path, help="leave the site in this folder")
    parser.add_argument("--parts", type=int, default=1, help="sites that share the units")
    options = parser.parse_args()
    atlas = make_atlas(
        layers=LAYERS,
        units=options.units // LAYERS,
        channels=options.units // LAYERS,
        images=IMAGES,
    )
    pictures = Warm(atlas, variety=VARIETY, side=384)
    pictures.draw()
    tree.BUDGET = 10 * LIMIT  # what is over it is measured too
    folder = options.keep or Path(tempfile.mkdtemp(prefix="atlas-bench-"))
    memory = Path(tempfile.mkdtemp(prefix="atlas-bench-memory-")) / "site.json"
    try:
        if options.parts > 1:
            measure_parts(folder, atlas, pictures, options.parts)
            return
        seconds, work, report = build(folder, atlas, pictures)
        took = remembered(folder, memory, report)
        again, second = build_again(folder, memory)
        print(f"new build         {seconds:8.1f} s   bar 60; {work:.0f} s of computing")
        print(f"remembering it    {took:8.1f} s   {memory.stat().st_size / 1e6:.0f} MB")
        print(f"unchanged rebuild {again:8.1f} s   {second.written} files written")
        print(f"new / unchanged   {seconds / again:8.0f}     bar 10")
        print(f"size              {report.bytes / 1e6:8.0f} MB  bar {LIMIT / 1e6:.0f}")
        print(f"files             {report.written:8d}")
        for name, took, asked in load_times(folder) if sites.CHROMIUM else []:
            print(f"{name:6} page       {took:8.0f} ms  {asked} requests")
    finally:
        if not options.keep:
            shutil.rmtree(folder)
        shutil.rmtree(memory.parent)


if __name__ == "__main__":
    main()
