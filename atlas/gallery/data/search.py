"""The rows that the search of a site goes through: search.json of a model."""

from collections.abc import Sequence

from ...records.atlas import ModelAtlas
from ..addresses import IMAGES
from ..class_views import ClassesView
from ..image_views import ImageView
from ..text import shown
from ..views import LayerView, UnitView
from .encode import SCHEMA, Json


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
    classes that it raises where they are known. The classes are one layer more, whose rows come
    first: what people call a class finds its page before a unit of that name. The images are
    another one, whose rows come last: rank 0, no status, and as label the file and the predicted
    class.
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
    return [*row, shown(", ".join(unit.raises))] if unit.raises else row


def search_image(place: int, image: ImageView) -> list[str | int]:
    """A row of the search for a sample image; the images are the layer at a place."""
    label = f"{image.name} · {image.guesses[0].name}" if image.guesses else image.name
    return [place, image.image, 0, "", shown(label), 1]
