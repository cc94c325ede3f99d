"""What people copy from the page of a unit: BibTeX, Markdown, and the frame for another site."""

import re
from dataclasses import dataclass
from html import escape

from ..records.atlas import ModelAtlas
from .addresses import embed_page
from .text import shown
from .views import LayerView, UnitView

SOMEWHERE = "https://…/"
"""Stands for the address of the site where that is not known; the script puts it in."""

FRAME = (260, 440)
"""Width and height of the frame that shows a unit on another site."""

TEX = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """A unit as others cite and show it.

    Attributes:
        name: of the unit and its model, in words.
        folder: of its page in the site, with `/` at the end.
        channel: of the unit.
        image: of its lead picture, seen from that folder; "" without one.
        key: of the entry in BibTeX.
        version, year: of the atlas.
        note: what the picture depends on.
    """

    name: str
    folder: str
    channel: int
    image: str
    key: str
    version: str
    year: str
    note: str

    def bibtex(self, site_url: str) -> str:
        """The entry for a bibliography; with an address where there is a public one."""
        rows = {
            "author": "{The CNN atlas maintainers}",
            "title": f"{{Unit {tex(self.name)}}}",
            "howpublished": f"CNN atlas {tex(self.version)}",
            "year": self.year,
            "note": tex(self.note),
        }
        if site_url:
            rows["url"] = f"{site_url}/{self.folder}{self.channel}.html"
        lines = [f"  {name} = {{{value}}}" for name, value in rows.items()]
        return "@misc{" + ",\n".join([self.key, *lines]) + "\n}"

    def markdown(self, site_url: str) -> str:
        """Its picture, or its name, as a link."""
        home = self.home(site_url)
        name = re.sub(r"([\\\[\]*_`<>])", r"\\\1", self.name)
        said = f"![{name}]({home}{self.image})" if self.image else name
        return f"[{said}]({home}{self.channel}.html)"

    def frame(self, site_url: str) -> str:
        """The element that shows its small page on another site."""
        width, height = FRAME
        return (
            f'<iframe src="{escape(self.home(site_url))}{embed_page(self.channel)}" '
            f'title="{escape(self.name)}" width="{width}" height="{height}" loading="lazy" '
            'style="border:0"></iframe>'
        )

    def home(self, site_url: str) -> str:
        """Address of the folder of its page."""
        return f"{site_url}/{self.folder}" if site_url else SOMEWHERE + self.folder


def tex(text: str) -> str:
    """Text as TeX prints it."""
    return "".join(TEX.get(sign, sign) for sign in text)


def cite(atlas: ModelAtlas, folder: str, layer: LayerView, unit: UnitView) -> Citation:
    """What people copy from the page of a unit; `folder` is that of its model in the site."""
    lead, digests = unit.lead, atlas.digests
    made = lead.rendering if lead else None
    recipe = f"; recipe {made.recipe} {digests[made.recipe][:12]}" if made else ""
    return Citation(
        name=shown(f"{unit.title} of {atlas.model.title}"),
        folder=f"{folder}/{layer.folder}/",
        channel=unit.channel,
        image=lead.image.file if lead and lead.image else "",
        key=re.sub(r"[^A-Za-z0-9.-]+", "-", f"atlas-{folder}-{layer.folder}-{unit.channel}"),
        version=dict(atlas.run.versions).get("cnn-atlas", ""),
        year=atlas.run.created[:4],
        note=f"weights SHA-256 {atlas.model.weights_sha256}{recipe}; seed {atlas.seed}",
    )
