"""The rows that the search of a site goes through: search.json of a model."""

from collections.abc import Sequence

from ...records.atlas import ModelAtlas
from ..addresses import IMAGES
from ..class_views import ClassesView
from ..image_views import ImageView
from ..labels import tags_of
from ..text import shown
from ..views import LayerView, UnitView
from .encode import SCHEMA, Json

MOST_TAGS = 200
"""Tags that the search page offers: more cannot be chosen from."""


def search_table(
    atlas: ModelAtlas,
    folder: str,
    layers: Sequence[LayerView],
    classes: ClassesView | None,
    images: Sequence[ImageView],
) -> Json:
    """search.json: this model's rows of `assets/units.js`.

    A layer is its name, its folder and how many channels it has. A row is layer (index into
    `layers`), channel, rank, status, label or class name, 1 where there is a thumbnail, then the
    classes that it raises where they are known, or "", and its tags where it has any. The classes
    are one layer more, whose rows come first: what people call a class finds its page before a unit
    of that name. The images are another one, whose rows come last: rank 0, no status, and as label
    the file and the predicted class.
    """
    named: list[list[str | int]] = [
        [shown(layer.name), layer.folder, layer.atlas.info.channels] for layer in layers
    ]
    rows = [search_unit(place, unit) for place, layer in enumerate(layers) for unit in layer.units]
    if classes:
        rows = [search_unit(len(named), one.unit) for one in classes.classes] + rows
        named.append(["classes", classes.folder])
    if images:
        rows += [search_image(len(named), image) for image in images]
        named.append(["images", IMAGES])
    return {
        "schema": SCHEMA,
        "title": shown(atlas.model.title),
        "name": shown(atlas.model.name),
        "folder": folder,
        "layers": named,
        "rows": rows,
    }


def search_unit(place: int, unit: UnitView) -> list[str | int]:
    """A row of the search for a unit of the layer at a place."""
    called, thumb = shown(unit.called), int(bool(unit.thumb))
    row: list[str | int] = [place, unit.channel, unit.rank, unit.status, called, thumb]
    more = [shown(", ".join(unit.raises)), ",".join(unit.tags)]
    while more and not more[-1]:
        more.pop()
    return [*row, *more]


Tagged = list[tuple[str, list[tuple[str, str]]]]
"""Tag → name and page of each of its units."""


def tagged_units(searches: Sequence[Json]) -> Tagged:
    """The tags of a site and their units, as links: the most used ones, in alphabetical order.

    Args:
        searches: the search.json of each model.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    for search in searches:
        for at, channel, *rest in search["rows"]:
            layer, folder = search["layers"][at][:2]
            link = (f"{layer}:{channel}", f"{search['folder']}/{folder}/{channel}.html")
            for tag in tags_of(rest[5]) if len(rest) > 5 else ():
                found.setdefault(tag, []).append(link)
    most = sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))[:MOST_TAGS]
    return sorted(most, key=lambda item: (item[0].casefold(), item[0]))


def search_image(place: int, image: ImageView) -> list[str | int]:
    """A row of the search for a sample image; the images are the layer at a place."""
    label = f"{image.name} · {image.guesses[0].name}" if image.guesses else image.name
    return [place, image.image, 0, "", shown(label), 1]
