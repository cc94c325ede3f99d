"""Pages above the models: home, about, search, 404, the list of models, the sitemap.

All of it is made from the `model.json` and `search.json` of every model that is in the site, so
that building one model never touches another's folder.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TypeVar

from markupsafe import Markup

from ...files.files import is_temporary
from .. import class_sentences, sentences
from ..addresses import EMBED
from ..data.encode import SCHEMA, Json
from ..data.search import tagged_units
from ..links import link_targets
from ..lists import ListView
from ..page import Page
from ..parts import site_beside
from ..recipes import RECIPES
from ..text import plural, shown
from ..tree import Tree, folder_bytes, read_manifest
from ..views import LayerView, UnitView
from .lists import FOLDER as LISTS

CONTACT_LAYERS = 24
"""Layers of a model's contact sheet at most."""

DAYS = 31
"""Candidates for the unit of the day: one for each day of a month."""

SITEMAP_URLS = 50_000
"""Addresses that one sitemap may hold."""

Item = TypeVar("Item")


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """At most `count` of the items, evenly spaced, first and last among them."""
    if len(items) <= count:
        return list(items)
    return [items[round(at * (len(items) - 1) / (count - 1))] for at in range(count)]


def contact(layers: Sequence[LayerView]) -> list[tuple[LayerView, UnitView]]:
    """Units for the contact sheet of the home page: columns of layers in forward order."""
    columns = spread([layer for layer in layers if layer.teasers], CONTACT_LAYERS)
    return [(layer, unit) for layer in columns for unit in layer.teasers]


def daily(layers: Sequence[LayerView], seed: int) -> list[tuple[LayerView, UnitView]]:
    """Candidates for the unit of the day, drawn from all good pictures by the atlas's seed."""

    def drawn(item: tuple[LayerView, UnitView]) -> str:
        return hashlib.sha256(f"{seed} {item[1].title}".encode("utf-8", "replace")).hexdigest()

    good = [(layer, unit) for layer in layers for unit in layer.with_status("ok") if unit.thumb]
    return sorted(good, key=drawn)[:DAYS]


NEEDED = (
    *("schema", "model", "title", "source", "licence", "images", "provenance", "skipped"),
    *("n_units", "n_rendered", "layers", "contact", "daily"),
)
"""Fields of a model.json that the root pages read."""

ADDED: Json = {
    **{"credits": [], "classes": [], "n_classes": 0, "outputs": "logits"},
    **{"part": 1, "parts": 1, "sites": []},
}
"""Further fields that they read, with the values for a site written before these fields existed."""


def read_models(site: Path, besides: str) -> tuple[list[Json], list[str]]:
    """The model.json of every other model that is in the site.

    Args:
        site: the site's folder.
        besides: folder of the model that is being built.

    Returns:
        The models, each with its folder, and warnings about those that cannot be used.
    """
    models, warnings = [], []
    for path in sorted(site.glob("*/manifest.json")):
        folder = path.parent
        skipped = folder.name in (besides, LISTS) or is_temporary(folder.name)
        if skipped or not read_manifest(folder):
            continue
        try:
            model = json.loads((folder / "model.json").read_bytes())
            search = json.loads((folder / "search.json").read_bytes())
            usable = model["schema"] == search["schema"] == SCHEMA
            usable = usable and all(name in model for name in NEEDED)
        except (OSError, ValueError, KeyError, TypeError):
            usable = False
        if usable:
            models.append({**ADDED, **model, "folder": folder.name, "search": search})
        else:
            warnings.append(f"{folder} is left out of the home page: its data cannot be read")
    return models, warnings


def read_root(site: Path) -> list[str]:
    """Root files of the last build; none where there was none."""
    try:
        table = json.loads((site / "atlas.json").read_bytes())
        paths = [str(path) for path in table["files"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [path for path in paths if not path.startswith(("/", ".")) or path == ".nojekyll"]


def pages(
    models: Sequence[Json], searches: Sequence[Json], lists: Sequence[ListView]
) -> list[tuple[Page, Json]]:
    """Home, about, search and 404, with what their templates show."""
    not_found = Page(path="404.html", kind="404", title="Not found", description="")
    return [
        home_page(models, lists),
        below_home(
            "about",
            "Method, parameters, scores, caveats, versions and data of this atlas.",
            models=models,
            recipes=recipe_rows(),
            scores=list(sentences.SCORES.items()),
            statuses=list(sentences.STATUSES.items()),
            few=sentences.FEW_IMAGES,
            outputs=class_sentences.OUTPUT_SENTENCES,
        ),
        below_home(
            "search",
            "Find a unit by layer, channel, label, tag or class name.",
            models=models,
            tags=tagged_units(searches),
        ),
        (not_found, {**not_found_values(), "models": models}),
    ]


def ready(models: Sequence[Json]) -> str:
    """The note of a site where the build of some models is not done, or ""."""
    open_ones = [model for model in models if model["n_rendered"] < model["n_units"]]
    rendered = sum(model["n_rendered"] for model in open_ones)
    return sentences.ready_sentence(rendered, sum(model["n_units"] for model in open_ones))


def home_page(models: Sequence[Json], lists: Sequence[ListView]) -> tuple[Page, Json]:
    """The first page of the site."""
    units = sum(model["n_units"] for model in models)
    today = [
        {**item, "folder": model["folder"], "title": model["title"]}
        for model in models
        for item in model["daily"]
    ]
    page = Page(
        path="index.html",
        kind="index",
        title="CNN atlas",
        description=f"What {plural(units, 'unit')} of convolutional networks look for.",
        card=f"{models[0]['folder']}/card.jpg" if models else "",
    )
    daily = spread(today, DAYS)
    return page, {"models": models, "n_units": units, "daily": daily, "lists": lists}


def below_home(kind: str, description: str, **values: object) -> tuple[Page, Json]:
    """A page beside the first one, with what its template shows."""
    title = kind.capitalize()
    page = Page(
        path=f"{kind}.html",
        kind=kind,
        title=f"{title} · CNN atlas",
        description=description,
        trail=(("Atlas", "index.html"), (title, "")),
    )
    return page, values


def searched(tree: Tree) -> Json:
    """Rows for the search of the model that is being built."""
    table: Json = json.loads(tree.read("search.json"))
    return table


def search_example(searches: Sequence[Json]) -> str:
    """A unit that the search of this site finds, or ""."""
    for table in searches:
        units = [row for row in table["rows"] if row[2]]  # those with a rank
        if units:
            layer, channel = units[len(units) // 2][:2]
            return f"{table['layers'][layer][0]} {channel}"
    return ""


def recipe_rows() -> list[tuple[str, str]]:
    """Names and sentences of the recipes, as about.html lists them."""
    variants = {"negative": "…-negative", "facet": "…-facet-N"}
    return [
        (variants.get(name, name), f"{title}: {sentence}")
        for name, (title, sentence) in RECIPES.items()
    ]


NOT_FOUND_STYLE = (
    "body{margin:0 auto;width:min(100% - 2rem,44rem);font:1.1rem/1.5 Georgia,serif}"
    "header{display:flex;flex-wrap:wrap;gap:.5rem 2rem;justify-content:space-between;"
    "padding:1rem 0;border-bottom:1px solid #8886}nav a{margin-right:1rem}"
    "a{color:inherit;padding:.2rem 0}"
    "header[hidden],[hidden]{display:none}h1{font-weight:500;margin-top:12vh}"
    "input,button{font:inherit;padding:.2rem .5rem}"
)
"""Style of 404.html, which uses no other file because it is shown at any depth."""

NOT_FOUND_SCRIPT = """
(async () => {
  if (!location.protocol.startsWith("http")) return;
  const steps = location.pathname.split("/").slice(0, -1);
  for (let depth = steps.length; depth > 0; depth -= 1) {
    const root = `${steps.slice(0, depth).join("/")}/`;
    const answer = await fetch(`${root}atlas.json`).catch(() => null);
    if (!answer || !answer.ok) continue;
    for (const link of document.querySelectorAll("[data-to]")) link.href = root + link.dataset.to;
    document.getElementById("find").action = `${root}search.html`;
    for (const name of ["ways", "models"]) document.getElementById(name).hidden = false;
    document.getElementById("shorten").hidden = true;
    return;
  }
})();
"""
"""Where no public address is known, the page looks for the folder above it that holds the site."""


def not_found_values() -> Json:
    """Return the values of 404.html, which refers to no file beside it."""

    def digest(text: str) -> str:
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    return {
        "style": Markup(NOT_FOUND_STYLE),
        "style_sha256": digest(NOT_FOUND_STYLE),
        "script": Markup(NOT_FOUND_SCRIPT),
        "script_sha256": digest(NOT_FOUND_SCRIPT),
    }


def sitemap(site: Path, models: Sequence[Json], trees: Sequence[Tree], site_url: str) -> bytes:
    """sitemap.xml: every page, those nearer to the root first; none that is made for frames."""
    folders = {model["folder"]: read_manifest(site / model["folder"]) for model in models}
    folders |= {tree.old.name: list(tree.sizes) for tree in trees}
    found = ["index.html", "about.html", "search.html"]
    found += [f"{folder}/{path}" for folder, paths in folders.items() for path in paths]
    found = [path for path in found if path.endswith(".html") and not path.endswith(EMBED)]
    found.sort(key=lambda path: (path.count("/"), not path.endswith("index.html"), path))
    rows = [f"<url><loc>{escape(site_url)}/{path}</loc></url>" for path in found[:SITEMAP_URLS]]
    start = '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">'
    return "\n".join(
        ['<?xml version="1.0" encoding="UTF-8"?>', start, *rows, "</urlset>\n"]
    ).encode()


def check_root_links(
    root: Mapping[str, bytes], trees: Sequence[Tree], beside: frozenset[str]
) -> list[str]:
    """Links of the root pages that lead to no file, in words.

    They can only lead into the folder of another model that lost a file.

    Args:
        root: files beside the folders of the trees.
        trees: that are being built.
        beside: names of the sites beside this one that links may lead to.
    """
    site, ours = trees[0].old.parent, {*root, *(path for tree in trees for path in tree.paths)}
    missing = []
    for path, data in root.items():
        if path.endswith(".html"):
            for target in sorted(link_targets(path, data.decode())):
                known = target in ours or site_beside(target, beside)
                if not known and not (site / target).is_file():
                    missing.append(
                        f"{path} links to {shown(target)}, which is not there; build that model "
                        "again or remove its folder"
                    )
    return missing


def site_bytes(site: Path, trees: Sequence[Tree], root: Mapping[str, bytes]) -> int:
    """Size of the whole site as it will be."""
    known = {site / "assets", *(path for tree in trees for path in (tree.old, tree.new))}
    others = [path for path in site.iterdir() if path.is_dir() and path not in known]
    ours = sum(map(len, root.values())) + sum(sum(tree.sizes.values()) for tree in trees)
    return ours + sum(map(folder_bytes, others))
