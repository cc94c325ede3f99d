"""Measure the wall of 10,000 units in a browser: the first picture, and frames a second.

`python -m tests.bench.wall` prints a table. The bar: a first picture within a second, 50 frames a
second, thus 20 ms of computing a frame on one core. Every frame is moved by an event of its own; a
frame counts when the browser asks for the next one.
"""

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, CDPSession, sync_playwright

from atlas.gallery.write import write_site
from tests.browser import sites
from tests.synthetic import SyntheticPictures, make_atlas

LAYERS = 28
VARIETY = 100
"""Different renderings in all; drawing 10,000 would take longer than the site."""

FRAMES = 240

WATCH = """() => addEventListener("DOMContentLoaded", () => {
  const wall = document.getElementById("wall");
  new MutationObserver(() => { window.seen ||= performance.now(); window.last = performance.now(); })
    .observe(wall, { attributeFilter: ["data-drawn"] });
})"""
"""Milliseconds from the start of the navigation to the first file on the wall, and to the last."""

MOVE = """async ([gesture, frames]) => {
  const wall = document.getElementById("wall"), box = wall.getBoundingClientRect();
  const x = box.left + box.width / 2, y = box.top + box.height / 2;
  const send = (kind, type, more) => wall.dispatchEvent(new kind(type, { bubbles: true, cancelable: true, ...more }));
  const at = (frame) => ({ clientX: x + 300 * Math.sin(frame / 20), clientY: y + 200 * Math.cos(frame / 17), pointerId: 1 });
  const moves = {
    drag: (frame) => send(PointerEvent, "pointermove", at(frame)),
    zoom: (frame) => send(WheelEvent, "wheel", { clientX: x, clientY: y, deltaY: frame % 120 < 60 ? -60 : 60 }),
  };
  wall.setPointerCapture = () => {};  // there is no such pointer
  if (gesture === "drag") send(PointerEvent, "pointerdown", at(0));
  const times = [];
  await new Promise((done) => {
    const step = (time) => {
      times.push(time);
      if (times.length > frames) { done(); return; }
      moves[gesture](times.length);
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  });
  if (gesture === "drag") send(PointerEvent, "pointerup", at(0));
  const each = times.slice(1).map((time, place) => time - times[place]).sort((a, b) => a - b);
  return [1000 * each.length / (times.at(-1) - times[0]), each[Math.floor(each.length * .95)]];
}"""
"""Frames a second, and the milliseconds that 95 % of the frames stay under."""

MIDDLE = """() => {
  const { layers } = JSON.parse(document.getElementById("units").textContent);
  const layer = layers[layers.length >> 1];
  return `${layer.name}:${layer.cells[layer.cells.length >> 1][0]}`;
}"""
"""Name of a unit in the middle of the wall."""

SCENES = (
    ("drag the whole", "", "drag"),
    ("the same, coloured", "?colour=reach", "drag"),
    ("zoom from the whole to single tiles and back", "", "zoom"),
    ("drag at 24 px a tile", "?at={unit}&size=24", "drag"),
    ("drag at 49 px a tile", "?at={unit}&size=49", "drag"),
    ("the same, coloured", "?at={unit}&size=49&colour=reach", "drag"),
    ("drag at 200 px a tile", "?at={unit}&size=200", "drag"),
)
"""Name, query and gesture."""


def build(site: Path, units: int) -> None:
    """Build a site of so many units."""
    each = -(-units // LAYERS)
    atlas = make_atlas(layers=LAYERS, units=each, channels=each, images=16, size=112)
    pictures = SyntheticPictures(atlas, variety=VARIETY, side=192)
    write_site(atlas, pictures, site=site, labels={}, site_url="", templates=())


def measure(browser: Browser, address: str) -> None:
    """Open the wall in every scene and print what it took."""
    settings: Any = {"viewport": {"width": 1400, "height": 1000}}
    page, session = browser.new_context(**settings).new_page(), browser.new_browser_cdp_session()
    page.add_init_script(f"({WATCH})()")
    page.goto(address)
    unit = page.evaluate(MIDDLE)
    for name, query, gesture in SCENES:
        page.goto(address + query.format(unit=unit))
        page.wait_for_timeout(3000)
        first, last = page.evaluate("() => [window.seen, window.last]")
        before = computing(session)
        rate, slow = page.evaluate(MOVE, [gesture, FRAMES])
        work = 1000 * (computing(session) - before) / FRAMES
        print(
            f"{name:46} {rate:5.1f} frames/s, 95 % under {slow:5.1f} ms, {work:5.1f} ms of computing a frame; first picture {first:5.0f} ms, last {last:5.0f} ms"
        )


def computing(session: CDPSession) -> float:
    """Seconds that all processes of the browser have computed; other load does not count."""
    return sum(one["cpuTime"] for one in session.send("SystemInfo.getProcessInfo")["processInfo"])


def main() -> None:
    """Build, or take what is there; measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=10_000)
    parser.add_argument("--keep", type=Path, help="leave the site in this folder, or take it there")
    options = parser.parse_args()
    folder = options.keep or Path(tempfile.mkdtemp(prefix="atlas-bench-"))
    try:
        if not (folder / "index.html").is_file():
            build(folder, options.units)
        with sites.served(folder) as served, sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=sites.CHROMIUM, args=sites.ARGUMENTS
            )
            measure(browser, f"{served.http}synthetic/wall.html")
            browser.close()
    finally:
        if not options.keep:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
