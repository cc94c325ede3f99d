"""The frame around every page: the templates, and the values that each page of a model needs."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TypeVar

import jinja2
from markupsafe import Markup

from ...errors import UsageError
from ...records.atlas import ModelAtlas
from .. import addresses, sentences
from ..class_views import ClassesView
from ..data.encode import Json
from ..data.parts import PartData
from ..data.units import ProvenanceData, UnitData
from ..page import Page
from ..parts import IMAGES_PART, Part
from ..text import (
    number,
    percent,
    photo,
    plural,
    plural_classes,
    reach,
    shown,
)
from ..tree import Tree
from ..views import LayerView, UnitView

Item = TypeVar("Item")

PACKAGE = Path(__file__).parents[2]
TEMPLATES = (PACKAGE if (PACKAGE / "templates").is_dir() else PACKAGE.parent) / "templates"
"""Our own templates: a wheel has them inside the package, a clone beside it."""

FillTemplate = Callable[[str, Mapping[str, object]], str]
"""Turns the values of a kind of page into markup."""

Trail = tuple[tuple[str, str], ...]
"""Name and link of pages, the link of the page itself "" (`Page.trail`)."""


Known = dict[tuple[str, int], tuple[UnitView, str]]
"""Layer and channel → unit or class with a page, and what its addresses start with."""


def embed_json(text: str) -> Markup:
    """JSON as the content of a script element, where no text can end the element."""
    return Markup(text.replace("<", "\\u003c"))


def load_templates(folders: Sequence[Path], site_url: str) -> FillTemplate:
    """Return the template environment; the user's templates come before our own.

    Raises:
        UsageError: a folder is not there.
    """
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"templates folder {folder} is not there; give an existing folder")
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.FileSystemLoader(folder) for folder in (*folders, TEMPLATES)]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=harmless,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        number=number,
        reach=reach,
        exact=exact,
        plural=plural,
        classes=plural_classes,
        percent=percent,
        groups=groups,
    )
    environment.globals.update(
        site_url=site_url,
        statuses=list(sentences.STATUSES),
        tile=addresses.tile,
        sheet=addresses.sheet,
        patch_sheet=addresses.patch_sheet,
        mosaic_sheet=addresses.mosaic_sheet,
    )
    return partial(fill_template, environment)


def harmless(value: object) -> object:
    """Make text of others showable; our own markup passes."""
    return shown(value) if type(value) is str else value


def exact(value: float) -> str:
    """A number as JSON has it; "" where it is not finite."""
    if isinstance(value, int):
        return str(value)
    return str(value) if math.isfinite(value) else ""


def groups(items: Iterable[Json], key: str) -> list[list[Json]]:
    """Neighbouring items with the same value under a key."""
    return [list(members) for _, members in groupby(items, lambda item: item[key])]


def fill_template(environment: jinja2.Environment, kind: str, values: Mapping[str, object]) -> str:
    """The markup that the template of this kind of page makes of the values.

    Raises:
        UsageError: a template of the user's has a mistake.
    """
    try:
        return environment.get_template(f"{kind}.html").render(values)
    except jinja2.TemplateError as error:
        raise UsageError(f"template {kind}.html: {error}; correct it or remove it") from error


def asset_paths(templates: Sequence[Path]) -> list[Path]:
    """Assets by name, those of the user's folders before our own."""
    found: dict[str, Path] = {}
    for folder in (TEMPLATES, *reversed(templates)):
        for path in sorted((folder / "assets").glob("*")):
            if path.is_file() and not path.name.startswith((".", "_")):
                found[path.name] = path
    return [found[name] for name in sorted(found)]


def images_sentence(atlas: ModelAtlas) -> str:
    """Return the sentence on the images that the scores of a model are measured against."""
    natural = atlas.natural
    reference = "" if natural.sha256 == atlas.samples.sha256 else natural.title
    return sentences.images_sentence(len(natural.samples), natural.distinct, reference)


def provenance_markup(atlas: ModelAtlas, fill: FillTemplate) -> Markup:
    """The part that is on every page of a model, made once."""
    recipes = list(atlas.digests.items())
    crop = atlas.samples.crop
    values = {
        "atlas": atlas,
        "recipes": recipes,
        "images_sentence": images_sentence(atlas),
        "crop_sentence": sentences.crop_sentence(crop, atlas.model.size) if crop else "",
    }
    return Markup(fill("provenance", values))


@dataclass(frozen=True, slots=True, kw_only=True)
class PageWriter:
    """Values that every page of a model needs.

    Attributes:
        atlas: the model.
        folder: its folder in the site.
        tree: where pages go.
        fill: turns a page and its values into markup.
        layers: in forward order, those of other sites among them.
        classes: those with a page; None where there are none.
        rows: `unit_data` of each unit of each layer of this site.
        images_sentence: the sentence on the images behind the numbers.
        provenance: what they were made from and with, as data and as markup.
        largest: file → side of the largest crop of it among the sample images.
        part: the site, where several show the model.
        sites: all of these.
    """

    atlas: ModelAtlas
    folder: str
    tree: Tree
    fill: FillTemplate
    layers: tuple[LayerView, ...]
    classes: ClassesView | None
    rows: Mapping[str, list[UnitData]]
    images_sentence: str
    provenance: ProvenanceData
    provenance_markup: Markup
    largest: Mapping[str, int]
    part: Part
    sites: Sequence[PartData]

    def put(
        self,
        kind: str,
        file: str,
        *,
        title: str,
        description: str,
        trail: Trail = (),
        card: str = "card.jpg",
        **values: object,
    ) -> None:
        """Fill the template of a page and take it into the tree.

        Args:
            kind: which template it is made from.
            file: its place in the model's folder.
            title, description: see `Page`; the name of the site is added to the title.
            trail: the way down to it from the model's page; () for that page itself.
            card: picture for link previews, in the model's folder; "" for none.
            values: what its template shows besides.
        """
        page = Page(
            path=f"{self.folder}/{file}",
            kind=kind,
            title=f"{title} · CNN atlas",
            description=description,
            trail=self.trail(file, trail),
            card=f"{self.folder}/{card}" if card else "",
        )
        frame = {
            "page": page,
            "atlas": self.atlas,
            "example": self.example,
            "stands_on": self.stands_on,
            "ready": self.ready,
            "photo": partial(photo, largest=self.largest),
            "images_sentence": self.images_sentence,
            "provenance": self.provenance_markup,
            "part": self.part.number,
            "sites": self.sites,
            "image_pages": self.image_pages,
            "model_folder": f"{self.folder}/",
        }
        self.tree.put_page(file, self.fill(kind, {**frame, **values}))

    def trail(self, file: str, below: Trail) -> Trail:
        """The way down to a page of the model."""
        up = "../" * file.count("/")
        model = (self.title, f"{up}index.html" if below else "")
        return (("Atlas", f"{up}../index.html"), model, *below)

    @property
    def own(self) -> tuple[LayerView, ...]:
        """The layers whose pages are on this site."""
        return tuple(layer for layer in self.layers if not layer.elsewhere)

    @property
    def own_classes(self) -> ClassesView | None:
        """The classes, where their pages are on this site."""
        return self.classes if self.classes and not self.classes.layer.elsewhere else None

    @property
    def image_pages(self) -> str:
        """Folder of the pages of images, seen from the model's."""
        return self.part.home(IMAGES_PART, self.folder) + addresses.IMAGES

    @property
    def observer(self) -> str:
        """Title of the network that judges the pictures, or ""."""
        return self.atlas.observed.observer if self.atlas.observed else ""

    @property
    def stands_on(self) -> str:
        """The remark of an atlas that stands on few photographs, or ""."""
        samples = self.atlas.samples
        return sentences.few_sentence(len(samples.samples), samples.distinct)

    @property
    def ready(self) -> str:
        """The note of an atlas whose build is not done, or ""."""
        rendered = sum(layer.rendered for layer in self.layers)
        return sentences.ready_sentence(rendered, sum(len(layer.units) for layer in self.layers))

    @property
    def example(self) -> str:
        """Something that a search in this atlas finds: a unit of a middle layer, or ""."""
        shown = [layer for layer in self.own if layer.units]
        middle = shown[len(shown) // 2] if shown else None
        return f"{middle.name} {middle.units[0].channel}" if middle else ""

    @property
    def title(self) -> str:
        """Title of the model."""
        return self.atlas.model.title


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A link to a neighbouring page, and the key that follows it."""

    rel: str
    key: str
    page: str
    label: str


def ways(
    items: Sequence[Item], place: int, link: Callable[[Item], tuple[str, str]], keys: str = ""
) -> list[Way]:
    """Links to what comes before and after the item at a place, where there is anything.

    Args:
        items: in their order.
        place: of the one whose page it is.
        link: address and label of an item.
        keys: those that are held down with the arrow keys: `Shift+`.
    """
    sides = (
        ("prev", "Left", items[max(0, place - 1) : place]),
        ("next", "Right", items[place + 1 : place + 2]),
    )
    return [
        Way(rel=rel, key=f"{keys}Arrow{arrow}", page=page, label=label)
        for rel, arrow, found in sides
        for page, label in map(link, found)
    ]


def known_units(writer: PageWriter) -> Known:
    """All units and classes that have a page, as seen from a layer's folder."""
    layers = [*writer.layers, *([writer.classes.layer] if writer.classes else [])]
    return {
        (layer.name, unit.channel): (unit, f"../{layer.folder}/")
        for layer in layers
        for unit in layer.units
    }
