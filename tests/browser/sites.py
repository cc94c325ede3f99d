"""The synthetic sites that the browser tests look at, and what they have in common.

`SITE` holds two models, small enough to open every page; `WIDE` one layer of 1,024 units.
"""

import functools
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from atlas.gallery.lists import UnitList
from atlas.gallery.pages.compare import Other
from atlas.gallery.parts import WHOLE, Part
from atlas.gallery.serve import PREFIX, Handler, Server
from atlas.gallery.write import write_site
from atlas.records.atlas import LayerAtlas, ModelAtlas
from atlas.records.samples import SkippedFile
from tests import tools
from tests.synthetic import SyntheticPictures, judged, make_atlas, mapped, masked, tuned, wired

CHROMIUM = tools.find("a browser")
ARGUMENTS = [
    *("--headless", "--no-sandbox", "--disable-gpu"),
    *("--disable-background-networking", "--no-first-run"),
]

marks = [
    pytest.mark.browser,
    pytest.mark.skipif(not (CHROMIUM or tools.CI), reason=tools.reason("a browser")),
]
"""`pytestmark` of every file of this folder."""

LAYERS = (
    ("conv_stem", "Conv2d"),
    ("inception4c", "Inception"),
    ("inception4c.branch2", "Sequential"),
    ("classifier", "Linear"),
)
CHANNELS = 448
FIRST = "synthetic"
LABEL = "spiral eyes"
LABELS = {f"{FIRST}/inception4c:447": LABEL, f"{FIRST}/conv_stem:447": "edges, curls"}
LISTS = (
    UnitList(
        slug="first-tour",
        title="A first tour",
        text="Four units of two models.\n\n<b>Markup</b> is text.",
        units=(
            (f"{FIRST}/inception4c:447", "Spirals & <i>eyes</i>."),
            ("second/conv_stem:0", "missing " * 40),
            ("nowhere/at.all:1", "It is on no page."),
            (f"{FIRST}/conv_stem:447", ""),
        ),
    ),
)
"""A tour through two models; its third unit is missing, and its second one may be."""
LENSES = (0, 2, 5)
"""Sample images of the first model that have pages; 2 and 5 resist the fooling."""
ROWS = 10_000
"""Units that the search has to go through."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """A site on disk and its two addresses.

    Attributes:
        folder: where it lies.
        http, file: address of its folder, with `/` at the end.
    """

    folder: Path
    http: str
    file: str

    def path_of(self, url: str) -> str:
        """The path in the site that an address leads to, without query and fragment."""
        start = self.http if url.startswith("http") else self.file
        assert url.startswith(start), f"{url} leads off the site"
        path = url.removeprefix(start).split("#")[0].split("?")[0]
        return path or "index.html"


def two_models() -> tuple[ModelAtlas, ModelAtlas]:
    """The models of `SITE`: one with everything that a page can show, one plain.

    The second one is compared with the first.
    """
    first = make_atlas(
        name=FIRST,
        names=LAYERS,
        channels=CHANNELS,
        units=CHANNELS,
        images=12,
        recipes=("octaves", "octaves-negative"),
        class_names=tuple(f"class {channel}" for channel in range(CHANNELS)),
        classes=CHANNELS,
        skipped=(SkippedFile(name="notes.jpg", reason="is no picture"),),
        lenses=LENSES,
    )
    second = make_atlas(
        name="second", layers=3, units=3, images=12, size=64, plain=True, lenses=(1,)
    )
    return mapped(wired(tuned(masked(judged(keep_few(first)))))), second


def keep_few(atlas: ModelAtlas) -> ModelAtlas:
    """The first six units of each layer, and channel 447; as many classes."""
    classes = few(atlas.classes) if atlas.classes else None
    return replace(atlas, layers=tuple(few(layer) for layer in atlas.layers), classes=classes)


def few(layer: LayerAtlas) -> LayerAtlas:
    """A layer with its first six units, and channel 447."""
    chosen = tuple(c for at, c in enumerate(layer.chosen) if at < 6 or c == CHANNELS - 1)
    renderings = tuple(one for one in layer.renderings if one.unit.channel in chosen)
    return replace(layer, chosen=chosen, renderings=renderings)


def build(
    site: Path,
    atlas: ModelAtlas,
    *,
    side: int = 224,
    variety: int = 10**9,
    compare: ModelAtlas | None = None,
    lists: bool = False,
    part: Part = WHOLE,
) -> None:
    """Bring a site up to date with a model.

    Args:
        site: its folder.
        atlas: the model.
        side, variety: of its pictures.
        compare: another model to compare it with.
        lists: whether the site has lists.
        part: of the model, where the site shows one.
    """
    octaves = 2 if atlas.model.name == FIRST else 0
    pictures = SyntheticPictures(atlas, octaves=octaves, side=side, variety=variety)
    other = Other(atlas=compare, pictures=SyntheticPictures(compare)) if compare else None
    write_site(
        atlas,
        pictures,
        site=site,
        labels=LABELS,
        site_url="",
        templates=(),
        other=other,
        lists=LISTS if lists else (),
        part=part,
    )


def wide_atlas() -> ModelAtlas:
    """One layer of 1,024 units."""
    return make_atlas(
        name="wide", layers=1, units=1024, channels=1024, images=2, size=64, plain=True
    )


def add_rows(site: Path) -> None:
    """Let the search of a site have 10,000 rows more; the units behind them have no pages."""
    file = site / "assets" / "units.js"
    start = "window.atlasUnits="
    models = json.loads(file.read_text().removeprefix(start).rstrip().rstrip(";"))
    layers = [[f"inception{stage}{block}", "none"] for stage in range(3, 8) for block in "abde"]
    rows = [[at % len(layers), at // len(layers), 1, "ok", "", 0] for at in range(ROWS)]
    bulk = {"title": "Bulk", "name": "bulk", "folder": "bulk", "layers": layers, "rows": rows}
    file.write_text(f"{start}{json.dumps([bulk, *models])};\n")


@contextmanager
def served(folder: Path) -> Iterator[Site]:
    """Serve a folder under a prefix, as GitHub Pages does, from a thread."""
    handler = functools.partial(Handler, directory=os.fspath(folder))
    with Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            address = f"http://127.0.0.1:{server.server_port}{PREFIX}/"
            yield Site(folder=folder, http=address, file=f"{folder.as_uri()}/")
        finally:
            server.shutdown()
            thread.join()
