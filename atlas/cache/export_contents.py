"""Contents of an export: `write_atlas` writes the records into an open file, group by group."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import CacheError, one_line
from ..files.names import escape_name, shown
from ..images.pixels import Pixels, fit, to_pixels
from ..records.atlas import LayerAtlas, ModelAtlas, Pictures
from ..records.circuits import Circuit
from ..records.units import Rendering
from ..shapes import Shape
from .codec import lenses_to_datasets
from .export_attribution import write_masks
from .export_circuits import circuit_columns, link_columns, shown_circuits
from .export_hdf5 import (
    add_group,
    add_pictures,
    digest_array,
    start_digest,
    visible_text,
)
from .export_maps import map_columns
from .export_matrices import (
    feature_rows,
    image_columns,
    layer_path,
    matrices,
    matrix_rows,
    natural_columns,
)
from .export_meanings import meaning_columns, picture_columns, shown_meanings
from .export_tuning import stimuli_columns, tuning_columns
from .export_units import evidence_columns, unit_columns
from .hdf5 import Array, add_dataset
from .stream import Stream

SCHEMA = 1
"""Version of the file's format, raised when a name, shape or meaning changes."""

STATISTICS = ("mean", "std", "max", "p99")


def shown_layers(atlas: ModelAtlas) -> list[tuple[LayerAtlas, tuple[str, ...]]]:
    """The layers in forward order, each with its recipes; the classes, if any, come last."""
    layers = [(layer, atlas.recipes) for layer in atlas.layers]
    return layers if atlas.classes is None else [*layers, (atlas.classes, atlas.class_recipes)]


@dataclass(slots=True, kw_only=True)
class Writer:
    """Puts groups, columns and pictures into an open file and remembers what it should read as.

    Attributes:
        file: the HDF5 file.
        stream: what it is written through.
        act: does what signals that came meanwhile were to do.
        written: what `read_back` is to find.
        pictures: renderings with pixels that were written.
    """

    file: Any
    stream: Stream
    act: Callable[[], None]
    written: dict[str, str] = field(default_factory=dict)
    pictures: int = 0

    def group(self, path: str, attributes: Mapping[str, str | int], ordered: bool = False) -> None:
        """Make a group with attributes."""
        add_group(self.file, path, ordered)
        self.attributes(path, attributes)

    def attributes(self, path: str, values: Mapping[str, str | int]) -> None:
        """Give a group attributes: texts that any reader takes, 64-bit integers."""
        item = self.file[path or "/"]
        for name, value in values.items():
            kept = visible_text(value) if isinstance(value, str) else np.int64(value)
            item.attrs[name] = kept
            self.written[f"{path}@{name}"] = str(kept)

    def check(self) -> None:
        """Stop here, between two calls of the library, if a write failed or a signal came."""
        self.stream.check()
        self.act()

    def column(self, path: str, array: Array) -> None:
        """Write a small array."""
        add_dataset(self.file, path, array)
        self.written[path] = digest_array(array)
        self.check()

    def columns(self, path: str, arrays: Mapping[str, Array]) -> None:
        """Write small arrays into a group."""
        for name, array in arrays.items():
            self.column(f"{path}/{name}", array)

    def images(self, path: str, count: int, size: Shape, drawn: Iterable[Pixels | None]) -> None:
        """Write a stack of pictures, one in memory at a time; None means a black one."""
        dataset = add_pictures(self.file, path, count, size)
        digest = start_digest(dataset.shape, dataset.dtype)
        for row, pixels in enumerate(drawn):
            self.pictures += pixels is not None
            picture = np.zeros((*size, 3), np.uint8) if pixels is None else pixels
            dataset[row] = picture
            digest.update(picture.tobytes())
            self.check()
        self.written[path] = digest.hexdigest()


def write_atlas(writer: Writer, atlas: ModelAtlas, pictures: Pictures, version: str) -> None:
    """Write the attributes of the root, the layers in forward order and the sample images."""
    root: dict[str, str | int] = {
        "schema": SCHEMA,
        "atlas_version": version,
        "model": atlas.model.name,
        "weights_sha256": atlas.model.weights_sha256,
        "images_sha256": atlas.samples.sha256,
        "n_images": len(atlas.samples.samples),
        "recipe": atlas.recipes[0],
        "seed": atlas.seed,
        "created": atlas.run.created,
    }
    writer.attributes("", root)
    writer.group("layers", {}, ordered=True)
    for layer, recipes in shown_layers(atlas):
        write_layer(writer, layer, recipes, atlas, pictures)
    write_lenses(writer, atlas.lenses, pictures)
    writer.group("images", {})
    writer.columns("images", {**image_columns(atlas.samples), "rows": matrix_rows(atlas)})
    write_natural(writer, atlas)
    if atlas.stimuli:
        writer.group("stimuli", {})
        writer.columns("stimuli", stimuli_columns(atlas.stimuli))


def write_layer(
    writer: Writer,
    layer: LayerAtlas,
    recipes: Sequence[str],
    atlas: ModelAtlas,
    pictures: Pictures,
) -> None:
    """Write the statistics of all channels of a layer and everything of its chosen units.

    Layers of one's own network and recipes may be called anything; an escaped name keeps each in
    its group, and the attribute `name` says what it was.
    """
    path = layer_path(layer)
    names = ("name", "index", "channels", "height", "width", "type")
    writer.group(path, {name: getattr(layer.info, name) for name in names})
    for name in STATISTICS:
        writer.column(f"{path}/{name}", getattr(layer.stats, name).astype(np.float32))
    writer.column(f"{path}/ranking", padded(layer.ranking, layer.stats.channels))
    writer.columns(path, matrices(layer.stats))
    write_tuning(writer, path, layer)
    write_units(writer, f"{path}/units", recipes[0], atlas, layer, pictures)
    write_examples(writer, f"{path}/examples", layer)
    write_masks(writer, f"{path}/examples", layer, pictures)
    write_circuits(writer, f"{path}/circuits", shown_circuits(layer))
    write_meanings(writer, f"{path}/meanings", layer, atlas, pictures)
    write_map(writer, f"{path}/map", layer, atlas, pictures)
    if recipes[1:]:
        writer.group(f"{path}/recipes", {}, ordered=True)
    for recipe in recipes[1:]:
        place = f"{path}/recipes/{escape_name(recipe)}"
        write_units(writer, place, recipe, atlas, layer, pictures)


def write_tuning(writer: Writer, path: str, layer: LayerAtlas) -> None:
    """Write what all channels of a layer answer to synthetic stimuli, where that is known."""
    columns = tuning_columns(layer)
    if columns:
        writer.group(f"{path}/tuning", {})
        writer.columns(f"{path}/tuning", columns)


def write_examples(writer: Writer, path: str, layer: LayerAtlas) -> None:
    """Write the dataset examples of the chosen units, (U, K), best first."""
    stats, chosen = layer.stats, list(layer.chosen)
    writer.group(path, {})
    writer.column(f"{path}/image_index", stats.example_image[chosen].astype(np.int32))
    writer.column(f"{path}/activation", stats.example_activation[chosen].astype(np.float32))
    writer.column(f"{path}/box", stats.example_box[chosen].astype(np.int32))


def write_circuits(writer: Writer, path: str, circuits: Sequence[Circuit]) -> None:
    """Write what surrounds the chosen units, where that is shown."""
    if not circuits:
        return
    groups = {path: circuit_columns(circuits), f"{path}/links": link_columns(circuits)}
    for group, columns in groups.items():
        writer.group(group, {})
        for name, array in columns.items():
            writer.column(f"{group}/{name}", array)


def write_meanings(
    writer: Writer, path: str, layer: LayerAtlas, atlas: ModelAtlas, pictures: Pictures
) -> None:
    """Write the meanings of the chosen units and the pictures of those that have several."""
    found, made = shown_meanings(layer), layer.meaning_pictures
    if not found:
        return
    writer.group(path, {})
    writer.columns(path, meaning_columns(found))
    writer.group(f"{path}/pictures", {})
    writer.columns(f"{path}/pictures", picture_columns(made))
    drawn = (draw_unit(one, pictures, atlas) for one in made)
    writer.images(f"{path}/pictures/image", len(made), atlas.shape, drawn)


def write_map(
    writer: Writer, path: str, layer: LayerAtlas, atlas: ModelAtlas, pictures: Pictures
) -> None:
    """Write the activation atlas of a layer, where it has one."""
    found = layer.map
    if found is None:
        return
    facts = ("rows", "columns", "positions")
    writer.group(path, {name: getattr(found, name) for name in facts})
    writer.columns(path, map_columns(found))
    drawn = (draw_cell(layer.info.name, one.cell, pictures, atlas) for one in found.cells)
    writer.images(f"{path}/image", len(found.cells), atlas.shape, drawn)


def draw_cell(layer: str, cell: int, pictures: Pictures, atlas: ModelAtlas) -> Pixels:
    """The 8-bit picture of a cell of a map.

    Raises:
        CacheError: it cannot be read.
    """
    with reading(f"cell {cell} of the map of {shown(layer)}"):
        image = pictures.map_picture(layer, cell)
    return fit(to_pixels(image, atlas.shown), *atlas.shape)


def padded(ranking: Array, channels: int) -> Array:
    """The ranking at its full length (C,) int32; −1 where channels were not finite, at the end."""
    full = np.full(channels, -1, np.int32)
    full[: len(ranking)] = ranking
    return full


def write_units(
    writer: Writer,
    path: str,
    recipe: str,
    atlas: ModelAtlas,
    layer: LayerAtlas,
    pictures: Pictures,
) -> None:
    """Write the chosen units of a layer as one recipe shows them, in order of rank."""
    writer.group(path, {"name": recipe})
    records = {one.unit.channel: one for one in layer.renderings if one.recipe == recipe}
    rows = [records.get(channel) for channel in layer.chosen]
    writer.column(f"{path}/channel", np.array(layer.chosen, np.int32))
    drawn = (draw_unit(row, pictures, atlas) for row in rows)
    writer.images(f"{path}/image", len(rows), atlas.shape, drawn)
    writer.columns(path, unit_columns(rows) | evidence_columns(layer, recipe))
    if atlas.observed is not None:
        width = atlas.observed.features.shape[1]
        writer.column(f"{path}/features", feature_rows(layer, recipe, width))


def draw_unit(record: Rendering | None, pictures: Pictures, atlas: ModelAtlas) -> Pixels | None:
    """The 8-bit picture of a unit (H, W, 3), or None where there is none.

    Pictures of one atlas differ in size where `pyramid` is among its recipes, which goes by sides
    of its own; a dataset has one size.

    Raises:
        CacheError: the picture cannot be read.
    """
    if record is None or record.status == "failed":
        return None
    with reading(f"the picture of {shown(str(record.unit))} by {record.recipe}"):
        image = pictures.rendering(record.unit, record.recipe).image
    return fit(to_pixels(image, atlas.shown), *atlas.shape) if image.size else None


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Say what cannot be read; an OSError here would be taken for one of the new file.

    Raises:
        CacheError: an OSError was raised in the block.
    """
    try:
        yield
    except OSError as error:
        raise CacheError(
            f"cannot read {what} ({one_line(error)}); run `build_atlas.py check`"
        ) from error


def write_lenses(writer: Writer, images: Sequence[int], pictures: Pictures) -> None:
    """Write what the network makes of each image that has a page, one in memory at a time."""
    writer.group("lenses", {}, ordered=True)
    for image in images:
        with reading(f"the lenses of image {image}"):
            lens = pictures.lens(image)
        datasets = lenses_to_datasets([lens])
        del datasets["image"]  # the name of the group says it
        writer.group(f"lenses/{image}", {"image_index": image})
        for name, array in datasets.items():
            writer.column(f"lenses/{name}", array)


def write_natural(writer: Writer, atlas: ModelAtlas) -> None:
    """Write what scores are measured against: the images, their activations, the observer's view.

    They are the sample images, or those of a reference.
    """
    writer.group("natural", {})
    writer.columns("natural", image_columns(atlas.natural))
    if atlas.observed is not None:
        observer = {name: getattr(atlas.observed, name) for name in ("observer", "weights_sha256")}
        writer.attributes("natural", observer)
        writer.column("natural/features", atlas.observed.features)
        writer.column("natural/widths", np.array(atlas.observed.widths, np.int32))
    writer.group("natural/layers", {}, ordered=True)
    for layer, _ in shown_layers(atlas):
        path = f"natural/{layer_path(layer)}"
        writer.group(path, {"name": layer.info.name})
        writer.columns(path, natural_columns(atlas, layer))
