"""The pages: records and pixels in, `site/<model>/` and the pages above it out.

`write_site` is the table of contents. The model's folder is built beside the old one and swapped
in whole, and so is that of the lists; then the root pages, which are made from the `model.json` of
every model that is there, are replaced one by one; then what the old build left is removed. A crash
at any point leaves a site without a broken link, and the next build finishes the work. Nothing
depends on the clock.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ..errors import CacheError, UsageError
from ..files.files import has_content, is_temporary, write_if_changed
from ..files.names import escape_name
from ..images.pixels import encode
from ..ranking.similar import neighbours_across
from ..records.atlas import ModelAtlas, Pictures
from . import addresses, sheets
from .data.encode import Json, plain, to_json
from .data.models import model_file, site_file
from .data.search import search_table
from .data.table import units_csv
from .data.units import provenance_data, unit_data
from .draw import Illustrator
from .draw_classes import draw_classes
from .draw_units import Pair
from .labels import known_labels, unknown_labels
from .links import broken_links
from .lists import ListView, UnitList, find_places, view_lists
from .pages import classes as classpages
from .pages import compare, front
from .pages import images as imagepages
from .pages import lists as listpages
from .pages.compare import Other
from .pages.frame import (
    FillTemplate,
    PageWriter,
    asset_paths,
    images_sentence,
    load_templates,
    provenance_markup,
)
from .pages.layer import write_layer
from .pages.model import write_model
from .pages.quiz import write_quiz
from .pages.wall import write_wall
from .text import largest_crops
from .tree import Tree, check_budget, read_manifest, remove_temporaries
from .views import LayerView


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteReport:
    """Result of a build of the site.

    Attributes:
        written, unchanged, removed: numbers of files.
        bytes: size of the whole site.
        unknown_labels: keys of labels whose unit this site does not show.
        warnings: sentences for the user.
    """

    written: int
    unchanged: int
    removed: int
    bytes: int
    unknown_labels: tuple[str, ...]
    warnings: tuple[str, ...]


def write_site(
    atlas: ModelAtlas,
    pictures: Pictures,
    *,
    site: Path,
    labels: Mapping[str, str],
    site_url: str,
    templates: Sequence[Path],
    other: Other | None = None,
    lists: Sequence[UnitList] = (),
) -> SiteReport:
    """Bring the site up to date with one model.

    Args:
        atlas: the model, without pixels.
        pictures: where the pixels are read from.
        site: the site's folder; made where it is missing.
        labels: `model/layer:channel` → what people call the unit.
        site_url: public address, for the sitemap and link previews; "" for none.
        templates: folders whose templates and assets come before our own, first one first.
        other: an atlas over the same images to compare the model with, unit by unit.
        lists: of units of any model of the site.

    Returns:
        What was done.

    Raises:
        CacheError: something cannot be read or written; the old site is still whole.
        CheckError: over the budget, or a broken link; the old site is untouched.
        InputError: `other` is over other images.
        UsageError: `site_url` or a templates folder cannot be used.
    """
    url = check_url(site_url)
    fill = load_templates(templates, url)
    remove_temporaries(site)
    folder = escape_name(atlas.model.name)
    others, warnings = front.read_models(site, folder)
    pool = ThreadPoolExecutor(min(4, os.cpu_count() or 1))
    tree, shelf = Tree(site, folder, pool), Tree(site, listpages.FOLDER, pool)
    try:
        model = build_model(atlas, pictures, tree, labels, fill, other, has_lists=bool(lists))
        tree.settle()
        models = sorted([*others, model], key=lambda model: model["folder"])
        searches = [model.get("search") or front.searched(tree) for model in models]
        views, doubts = view_lists(lists, find_places(models, searches), reader(site, tree))
        listpages.write_lists(views, shelf, fill, front.search_example(searches))
        root = root_files(site, models, (tree, shelf), fill, templates, url, searches, views)
        tree.check_links(frozenset({*root, *shelf.paths}))
        shelf.check_links(frozenset({*root, *tree.paths}))
        warnings += doubts + front.check_root_links(root, site, tree, shelf)
        refuse_foreign(site, root)
        total = front.site_bytes(site, (tree, shelf), root)
        warnings += check_budget(total)
        written, removed = replace(site, (tree, shelf), root)
    finally:
        tree.discard()
        shelf.discard()
        pool.shutdown()
    return SiteReport(
        written=written,
        unchanged=len(tree.sizes) + len(shelf.sizes) + len(root) - written,
        removed=removed,
        bytes=total,
        unknown_labels=unknown_labels(atlas, labels, [model["model"] for model in others]),
        warnings=tuple(warnings),
    )


def check_site(site: Path) -> list[str]:
    """Every broken link of a site, and every file of ours that is missing, in words."""
    if not site.is_dir():
        return []
    missing = [
        f"{folder.name}/{path} is missing"
        for folder in sorted(path for path in site.iterdir() if path.is_dir())
        if not is_temporary(folder.name)
        for path in read_manifest(folder)
        if not (folder / path).is_file()
    ]
    missing += [
        f"{path} is missing" for path in front.read_root(site) if not (site / path).is_file()
    ]
    return missing + broken_links(site)


def check_url(site_url: str) -> str:
    """The public address without a slash at its end.

    Raises:
        UsageError: it is not a web address.
    """
    if site_url and not site_url.startswith(("https://", "http://")):
        raise UsageError(f"--site-url is {site_url!r}; it starts with https:// or http://")
    return site_url.rstrip("/")


def refuse_foreign(site: Path, root: Mapping[str, bytes]) -> None:
    """Refuse to replace root files that we did not make.

    Raises:
        CacheError: names one.
    """
    before = front.read_root(site)
    for path, data in root.items():
        foreign = path not in before and os.path.lexists(site / path)
        if foreign and not has_content(site / path, data):
            raise CacheError(
                f"{site / path} is in the way and was not made here; move it away and build again"
            )


def reader(site: Path, tree: Tree) -> Callable[[str], bytes]:
    """Return how to read a file of any model of the site, new where it is the tree's."""
    ours = f"{tree.old.name}/"

    def read(path: str) -> bytes:
        inside = path.startswith(ours)
        return tree.read(path.removeprefix(ours)) if inside else (site / path).read_bytes()

    return read


def replace(site: Path, trees: Sequence[Tree], root: Mapping[str, bytes]) -> tuple[int, int]:
    """Put everything in place: the model's folder, the lists, the root pages, then clear up.

    Returns:
        Numbers of files written and removed.
    """
    before, written, removed = front.read_root(site), 0, 0
    for tree in trees:
        if not tree.is_unchanged:
            tree.swap()
        written += len(tree.changed)
    for path, data in root.items():
        written += write_if_changed(site / path, data)
    for path in before:
        if path not in root:
            (site / path).unlink(missing_ok=True)
            removed += 1
    return written, removed + sum(tree.sweep() for tree in reversed(trees))


# --- one model -----------------------------------------------------------------------------------


def build_model(
    atlas: ModelAtlas,
    pictures: Pictures,
    tree: Tree,
    labels: Mapping[str, str],
    fill: FillTemplate,
    other: Other | None,
    has_lists: bool,
) -> Json:
    """Write everything of one model into its tree.

    Returns:
        What model.json holds, with the model's folder.
    """
    illustrator = open_illustrator(atlas, pictures, tree, labels)
    layers, pairs = draw_layers(illustrator)
    writer = open_writer(illustrator, layers, tree, fill)
    asked = write_quiz(writer)
    for image in sorted({*illustrator.wholes, *atlas.lenses, *asked}):
        tree.put(addresses.sample_image(image), pictures.sample(image))
    for place in range(len(layers)):
        write_layer(writer, place)
    classpages.write_classes(writer)
    images = imagepages.write_images(writer, pictures)
    comparison = (
        compare.write_comparison(writer, other, known_labels(other.atlas, labels))
        if other
        else None
    )
    wall = write_wall(writer)
    write_model(writer, images, comparison, quiz=bool(asked), wall=wall, lists=has_lists)
    tree.put("card.jpg", encode(sheets.card(front.spread(pairs, 9))))
    rows = [(layer.name, f"{layer.folder}/", writer.rows[layer.name]) for layer in layers]
    tree.put("units.csv", units_csv(rows))
    search = search_table(atlas, writer.folder, layers, writer.classes, images)
    tree.put("search.json", to_json(search))
    contact, daily = front.contact(layers), front.daily(layers, atlas.seed)
    model = model_file(atlas, layers, contact, daily, writer.classes, images, writer.provenance)
    tree.put("model.json", to_json(model))
    return {**plain(model), "folder": writer.folder}


def open_writer(
    illustrator: Illustrator, layers: tuple[LayerView, ...], tree: Tree, fill: FillTemplate
) -> PageWriter:
    """Open the object that writes the pages of a model, whose layers are drawn."""
    atlas = illustrator.atlas
    return PageWriter(
        atlas=atlas,
        folder=tree.old.name,
        tree=tree,
        fill=fill,
        layers=layers,
        classes=draw_classes(illustrator, layers),
        rows={layer.name: [unit_data(unit) for unit in layer.units] for layer in layers},
        images_sentence=images_sentence(atlas),
        provenance=provenance_data(atlas),
        provenance_markup=provenance_markup(atlas, fill),
        largest=largest_crops(sample.name for sample in atlas.samples.samples),
    )


def open_illustrator(
    atlas: ModelAtlas, pictures: Pictures, tree: Tree, labels: Mapping[str, str]
) -> Illustrator:
    """Open the object that draws the pictures of a model."""
    return Illustrator(
        atlas=atlas,
        pictures=pictures,
        tree=tree,
        labels=known_labels(atlas, labels),
        squares=sheets.Squares(pictures.sample),
        across=neighbours_across(atlas.layers),
    )


def draw_layers(illustrator: Illustrator) -> tuple[tuple[LayerView, ...], list[Pair]]:
    """Draw every layer; returns a pair of each for the model's card too."""
    layers = illustrator.atlas.layers
    folders = addresses.layer_folders(layer.info.name for layer in layers)
    drawn = [illustrator.draw(layer, folders[layer.info.name]) for layer in layers]
    return tuple(layer for layer, _ in drawn), [pair for _, pairs in drawn for pair in pairs]


# --- files above the models ---------------------------------------------------------------------


def root_files(
    site: Path,
    models: Sequence[Json],
    trees: Sequence[Tree],
    fill: FillTemplate,
    templates: Sequence[Path],
    site_url: str,
    searches: Sequence[Json],
    lists: Sequence[ListView],
) -> dict[str, bytes]:
    """Every file beside the models' folders: path → bytes, in the order they are to be written."""
    example = front.search_example(searches)
    files = {
        page.path: fill(
            page.kind, {**values, "page": page, "example": example, "stands_on": ""}
        ).encode("utf-8", "replace")
        for page, values in front.pages(models, searches, lists)
    }
    files |= {f"assets/{path.name}": path.read_bytes() for path in asset_paths(templates)}
    files["assets/units.js"] = b"window.atlasUnits=" + to_json(searches).rstrip() + b";\n"
    files[".nojekyll"] = b""
    if site_url:
        files["sitemap.xml"] = front.sitemap(site, models, trees, site_url)
        files["robots.txt"] = f"User-agent: *\nAllow: /\nSitemap: {site_url}/sitemap.xml\n".encode()
    # atlas.json comes first: it names the root files as ours before the first of them is written.
    table = site_file(models, sorted(["atlas.json", *files]))
    return {"atlas.json": to_json(table), **files}
