"""The pages: records and pixels in, `site/<model>/` and the pages above it out.

`write_site` is the table of contents. The model's folder is built beside the old one and swapped
in whole, and so is that of the lists; then the root pages, which are made from the `model.json` of
every model that is there, are replaced one by one; then what the old build left is removed. A crash
at any point leaves a site without a broken link, and the next build finishes the work. Nothing
depends on the clock.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..files.files import is_temporary
from ..files.names import escape_name
from ..images.pixels import encode
from ..ranking.similar import neighbours_across
from ..records.atlas import LayerAtlas, ModelAtlas, Pictures
from ..records.units import Unit
from . import addresses, sheets
from .data.encode import Json, plain, to_json
from .data.models import model_file
from .data.parts import part_rows
from .data.search import search_table
from .data.table import units_csv
from .data.units import provenance_data, unit_data
from .draw import Illustrator
from .draw_classes import draw_classes
from .draw_outlines import outline_layer
from .draw_units import Pair
from .finish import Frame, SiteReport, finish, open_tree
from .labels import known_labels, unknown_labels
from .links import broken_links, count_links
from .lists import UnitList
from .pages import classes as classpages
from .pages import compare, front
from .pages import images as imagepages
from .pages.compare import Other
from .pages.frame import FillTemplate, PageWriter, images_sentence, provenance_markup
from .pages.layer import write_layer
from .pages.model import write_model
from .pages.quiz import write_quiz
from .pages.wall import write_wall
from .parts import WHOLE, Part, sites_beside
from .text import largest_crops, plural
from .tree import Tree, read_manifest
from .views import LayerView


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
    part: Part = WHOLE,
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
        part: the site, where several show the model.

    Returns:
        What was done.

    Raises:
        CacheError: something cannot be read or written; the old site is still whole.
        CheckError: over the budget, or a broken link; the old site is untouched.
        InputError: `other` is over other images.
        UsageError: `site_url` or a templates folder cannot be used.
    """
    frame = Frame.load(templates, site_url)
    with open_tree(site, escape_name(atlas.model.name)) as tree:
        illustrator = open_illustrator(atlas, pictures, tree, labels, part)
        others = known_labels(other.atlas, labels) if other else {}
        model = build_model(illustrator, frame.fill, other, others, bool(lists))
        return finish(tree, model, frame, unknown_labels(atlas, labels), lists)


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
    return missing + broken_links(site, beside(site))


def beside(site: Path) -> frozenset[str]:
    """Names of the sites that show other parts of the models of a site."""
    return sites_beside(front.read_models(site, "")[0])


def unchecked_links(site: Path) -> list[str]:
    """A sentence on each site with another part that is not there, so that no link is checked."""
    home = Path(os.path.abspath(site))
    return [
        f"{plural(count_links(home, name), 'link')} to {name}, which is not beside {home.name}: "
        "not checked"
        for name in sorted(beside(site))
        if not (home.parent / name).is_dir()
    ]


# --- one model -----------------------------------------------------------------------------------


def build_model(
    illustrator: Illustrator,
    fill: FillTemplate,
    other: Other | None,
    other_labels: Mapping[Unit, str],
    has_lists: bool,
) -> Json:
    """Write everything of one model into its tree.

    Returns:
        What model.json holds, with the model's folder.
    """
    atlas, tree, part = illustrator.atlas, illustrator.tree, illustrator.part
    layers, pairs = draw_layers(illustrator)
    writer = open_writer(illustrator, layers, fill)
    lenses, asked = atlas.lenses if part.holds_images else (), write_quiz(writer)
    for image in sorted({*illustrator.wholes, *lenses, *asked}):
        tree.put(addresses.sample_image(image), illustrator.pictures.sample(image))
    for place, layer in enumerate(layers):
        if not layer.elsewhere:
            write_layer(writer, place)
    classpages.write_classes(writer)
    images = imagepages.write_images(writer, illustrator.pictures) if lenses else ()
    comparison = compare.write_comparison(writer, other, other_labels) if other else None
    wall = write_wall(writer)
    write_model(writer, images, comparison, quiz=bool(asked), wall=wall, lists=has_lists)
    tree.put("card.jpg", encode(sheets.card(front.spread(pairs, 9))))
    rows = [(layer.name, f"{layer.folder}/", writer.rows[layer.name]) for layer in writer.own]
    tree.put("units.csv", units_csv(rows))
    search = search_table(atlas, writer.folder, writer.own, writer.own_classes, images)
    tree.put("search.json", to_json(search))
    contact, daily = front.contact(layers), front.daily(layers, atlas.seed)
    model = model_file(
        atlas, layers, contact, daily, writer.classes, images, writer.provenance, part
    )
    tree.put("model.json", to_json(model))
    return {**plain(model), "folder": writer.folder}


def open_writer(
    illustrator: Illustrator, layers: tuple[LayerView, ...], fill: FillTemplate
) -> PageWriter:
    """Open the object that writes the pages of a model, whose layers are drawn."""
    atlas, tree = illustrator.atlas, illustrator.tree
    own = [layer for layer in layers if not layer.elsewhere]
    return PageWriter(
        atlas=atlas,
        folder=tree.old.name,
        tree=tree,
        fill=fill,
        layers=layers,
        classes=draw_classes(illustrator, layers),
        rows={layer.name: [unit_data(unit) for unit in layer.units] for layer in own},
        images_sentence=images_sentence(atlas),
        provenance=provenance_data(atlas),
        provenance_markup=provenance_markup(atlas, fill),
        largest=largest_crops(sample.name for sample in atlas.samples.samples),
        part=illustrator.part,
        sites=part_rows(illustrator.part),
    )


def open_illustrator(
    atlas: ModelAtlas, pictures: Pictures, tree: Tree, labels: Mapping[str, str], part: Part
) -> Illustrator:
    """Open the object that draws the pictures of a model."""
    shown = [one if part.holds(one.info.name) else replace(one, chosen=()) for one in atlas.layers]
    return Illustrator(
        atlas=atlas,
        pictures=pictures,
        tree=tree,
        labels=known_labels(atlas, labels),
        squares=sheets.Squares(pictures.sample),
        across=neighbours_across(shown),
        part=part,
    )


def draw_layers(illustrator: Illustrator) -> tuple[tuple[LayerView, ...], list[Pair]]:
    """Draw every layer, or outline it; returns a pair of each for the model's card too."""
    names, model = [layer.info.name for layer in illustrator.atlas.layers], illustrator.tree.old
    folders = illustrator.part.layer_folders(names, model.name)
    drawn = [draw_layer(illustrator, one, folders) for one in illustrator.atlas.layers]
    return tuple(layer for layer, _ in drawn), [pair for _, pairs in drawn for pair in pairs]


def draw_layer(
    illustrator: Illustrator, layer: LayerAtlas, folders: Mapping[str, str]
) -> tuple[LayerView, list[Pair]]:
    """Draw a layer, or outline one of another site, which gives no pair."""
    folder = folders[layer.info.name]
    if illustrator.part.holds(layer.info.name):
        return illustrator.draw(layer, folder)
    return outline_layer(illustrator, layer, folder), []
