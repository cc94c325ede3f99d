"""An atlas as one ordinary HDF5 file, for people who want a single file. Start at `write_export`.

The format is public and described in docs/data.md; any HDF5 reader opens it. The file is written
unit by unit, so that thousands of units need no more memory than one, through a `Stream` that the
HDF5 library never sees fail; it is read back whole and only then takes its final name.
"""

import io
import math
import os
import signal
import stat
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Self, cast

import numpy as np

from ..errors import CacheError, one_line
from ..files.files import cannot, escape_name, replacing, require_free, shown
from ..gallery import sheets
from ..gallery.sheets import Pixels
from ..records import CHANGES, LayerAtlas, Lens, ModelAtlas, Pictures, Rendering, SampleSet, Unit
from ..shapes import Shape
from .codec import (
    Array,
    add_dataset,
    add_group,
    add_pictures,
    digest_array,
    encode_visible,
    lenses_to_datasets,
    new_file,
    open_block,
    read_back,
    start_digest,
    visible_text,
)

SCHEMA = 1
"""Version of the file's format, raised when a name, shape or meaning changes."""

STATISTICS = ("mean", "std", "max", "p99")
SCORES = ("activation", "reach", "select", "robust", "hf", "confidence")

LAYER_BYTES = 60_000
UNIT_BYTES = 600
CHANNEL_BYTES = 20
IMAGE_BYTES = 800
LENS_BYTES = 1_500_000
"""Upper bounds of what a recipe of a layer, a unit, a channel, a sample image and its lenses take,
without the pixels of renderings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """What `write_export` has written.

    Attributes:
        path: the file.
        bytes: its size.
        layers, units: how many it holds.
        pictures: renderings with pixels, of all recipes.
    """

    path: Path
    bytes: int
    layers: int
    units: int
    pictures: int


def write_export(path: Path, atlas: ModelAtlas, pictures: Pictures, version: str) -> ExportReport:
    """Write everything people compute with into one HDF5 file; equal arguments give equal bytes.

    What is read has been verified: `Store.read` compares every block with the digest in its name
    and leaves damaged ones out, so a unit of a damaged block is "unrendered" here. What is written
    is verified too: the finished file is read back before it replaces another.

    Args:
        path: the file; its folder must exist. A file that is there is replaced in one step.
        atlas: the records; the first recipe fills `units`, others go to `recipes/<name>`.
        pictures: where pixels come from, a unit at a time.
        version: of this package.

    Raises:
        CacheError: the file cannot be written, or a picture cannot be read; what was at `path`
            before is still there, and nothing else is left.
    """
    require_place(path)
    require_free(path.parent, predicted_bytes(atlas))
    with replacing(path) as temporary:
        writer = write_file(temporary, atlas, pictures, version)
        verify(temporary, writer.written)
        size = temporary.stat().st_size
    return ExportReport(
        path=path,
        bytes=size,
        layers=len(shown_layers(atlas)),
        units=sum(len(layer.chosen) for layer, _ in shown_layers(atlas)),
        pictures=writer.pictures,
    )


def shown_layers(atlas: ModelAtlas) -> list[tuple[LayerAtlas, tuple[str, ...]]]:
    """The layers in forward order, each with its recipes; the classes, if any, come last."""
    layers = [(layer, atlas.recipes) for layer in atlas.layers]
    return layers if atlas.classes is None else [*layers, (atlas.classes, atlas.class_recipes)]


# --- the file ------------------------------------------------------------------------------------


def require_place(path: Path) -> None:
    """Refuse a path where no file can be, or where something else is, before any work.

    Raises:
        CacheError: it is a folder or a device, its folder is missing, or it cannot be looked at.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise CacheError(
                f"cannot write {shown(path)}: there is no folder {shown(path.parent)}; make it, or "
                "give another --out"
            ) from None
        return
    except OSError as error:
        raise cannot("write", path, error) from error
    if not stat.S_ISREG(mode):  # a rename would put a file in the place of /dev/null
        kind = "a folder" if stat.S_ISDIR(mode) else "no ordinary file"
        raise CacheError(
            f"cannot write {shown(path)}: it is {kind}; give --out the name of a file, such as "
            "atlas.h5"
        )


def predicted_bytes(atlas: ModelAtlas) -> int:
    """About how large the file becomes, rather more than less: nothing in it is compressed.

    Deflate saves 15 % of real renderings (measured on 7 MB of each of two recipes, at level 1 as at
    level 4), runs at 44 MB/s where the rest does 110, and gives the bytes of whichever zlib is
    installed.
    """
    needed = len(atlas.samples.samples) * IMAGE_BYTES + len(atlas.lenses) * LENS_BYTES
    for layer, recipes in shown_layers(atlas):
        units = len(layer.chosen) * (3 * math.prod(atlas.shape) + UNIT_BYTES)
        needed += len(recipes) * (units + LAYER_BYTES) + layer.stats.channels * CHANNEL_BYTES
    return needed


class Stream(io.FileIO):
    """A new file that takes whatever it is given and keeps the first error for `check`.

    A full disk inside the HDF5 library can end the process (16 of 20 points of failure), a file
    built in memory is as large as all pictures, and free space seen before says nothing of quotas
    or of other programs. So the library writes here and never learns of a failure: it goes on to
    its clean end, while `check` stops us after at most one more picture.

    Attributes:
        failure: what went wrong first, or None.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "x+b")
        self.failure: BaseException | None = None

    def write(self, data: Any) -> int:
        """Write all of the data, or none after a failure, and say that it is written."""
        rest = memoryview(data).cast("B")
        try:
            while rest and self.failure is None:
                rest = rest[os.write(self.fileno(), rest) :]
        except BaseException as error:  # nothing at all may leave through the library
            self.failure = error
        return memoryview(data).nbytes

    def truncate(self, size: int | None = None) -> int:
        """Set the size, unless something failed before."""
        try:
            return super().truncate(size) if self.failure is None else 0
        except OSError as error:
            self.failure = error
            return 0

    def check(self) -> None:
        """Raise what went wrong, if anything."""
        if self.failure is not None:
            raise self.failure


class HeldSignals:
    """Ctrl-C and SIGTERM, only noted while a `with` block runs, and acted upon when it is safe.

    Their handlers raise between any two steps of Python code, so also on the way into a `write`
    that the HDF5 library has called, where the exception is lost with the bytes and the process may
    crash (1 of 10 interruptions did both; held back, none of 32).
    """

    def __init__(self) -> None:
        self.met: list[int] = []
        self.before: dict[int, Callable[[int, FrameType | None], object]] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # no other thread meets signals
            for number in (signal.SIGINT, signal.SIGTERM):
                handler = signal.getsignal(number)
                if callable(handler):  # neither ignored nor left to the system
                    self.before[number] = cast(Callable[[int, FrameType | None], object], handler)
                    signal.signal(number, lambda number, frame: self.met.append(number))
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
        self.act()

    def act(self) -> None:
        """Do what each signal that has come was to do; usually that raises."""
        while self.met:
            number = self.met.pop(0)
            self.before[number](number, None)


def write_file(path: Path, atlas: ModelAtlas, pictures: Pictures, version: str) -> "Writer":
    """Write the whole file under a temporary name and see it onto the disk.

    Raises:
        OSError: a system call failed.
        CacheError: a picture cannot be read.
    """
    with HeldSignals() as held, Stream(path) as stream:
        try:
            with new_file(stream) as file:
                writer = Writer(file=file, stream=stream, held=held)
                write_atlas(writer, atlas, pictures, version)
        finally:
            stream.check()  # whatever the library says after a failed write follows from it
        os.fsync(stream.fileno())
    return writer


def verify(path: Path, written: Mapping[str, str]) -> None:
    """Read the finished file back: the same names, shapes, types and values, sound checksums.

    Args:
        path: the temporary.
        written: what `codec.read_back` is to find.

    Raises:
        CacheError: it does not hold what was written.
    """
    try:
        with open_block(path) as file:
            found = read_back(file)
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise CacheError(
            f"the new file in {shown(path.parent)} cannot be read back ({one_line(error)}); check "
            "the disk, or give another --out"
        ) from error
    wrong = sorted(name for name in {*found, *written} if found.get(name) != written.get(name))
    if wrong:
        raise CacheError(
            f"the new file in {shown(path.parent)} does not hold what was written ({wrong[0]}); "
            "check the disk, or give another --out"
        )


# --- what goes into it ---------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class Writer:
    """Puts groups, columns and pictures into an open file and remembers what it should read as.

    Attributes:
        file: the HDF5 file.
        stream: what it is written through.
        held: signals that came meanwhile.
        written: what `codec.read_back` is to find.
        pictures: renderings with pixels that were written.
    """

    file: Any
    stream: Stream
    held: HeldSignals
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
        self.held.act()

    def column(self, path: str, array: Array) -> None:
        """Write a small array."""
        add_dataset(self.file, path, array)
        self.written[path] = digest_array(array)
        self.check()

    def images(self, path: str, shape: Shape, images: Sequence["UnitPicture"]) -> None:
        """Write a stack of pictures, one in memory at a time."""
        dataset = add_pictures(self.file, path, len(images), shape)
        digest = start_digest(dataset.shape, dataset.dtype)
        for row, image in enumerate(images):
            pixels = image.pixels(shape)
            self.pictures += pixels is not None
            drawn = np.zeros((*shape, 3), np.uint8) if pixels is None else pixels
            dataset[row] = drawn
            digest.update(drawn.tobytes())
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
    write_samples(writer, atlas.samples)


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
    path = f"layers/{escape_name(layer.info.name)}"
    names = ("name", "index", "channels", "height", "width", "type")
    writer.group(path, {name: getattr(layer.info, name) for name in names})
    for name in STATISTICS:
        writer.column(f"{path}/{name}", getattr(layer.stats, name).astype(np.float32))
    writer.column(f"{path}/ranking", padded(layer.ranking, layer.stats.channels))
    write_units(writer, f"{path}/units", recipes[0], atlas, layer, pictures)
    write_examples(writer, f"{path}/examples", layer)
    if recipes[1:]:
        writer.group(f"{path}/recipes", {}, ordered=True)
    for recipe in recipes[1:]:
        place = f"{path}/recipes/{escape_name(recipe)}"
        write_units(writer, place, recipe, atlas, layer, pictures)


def write_examples(writer: Writer, path: str, layer: LayerAtlas) -> None:
    """Write the dataset examples of the chosen units, (U, K), best first."""
    stats, chosen = layer.stats, list(layer.chosen)
    writer.group(path, {})
    writer.column(f"{path}/image_index", stats.example_image[chosen].astype(np.int32))
    writer.column(f"{path}/activation", stats.example_activation[chosen].astype(np.float32))
    writer.column(f"{path}/box", stats.example_box[chosen].astype(np.int32))


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
    shown = [UnitPicture(row, pictures, atlas.shown) for row in rows]
    writer.images(f"{path}/image", atlas.shape, shown)
    for name, array in unit_columns(rows).items():
        writer.column(f"{path}/{name}", array)


def unit_columns(rows: Sequence[Rendering | None]) -> dict[str, Array]:
    """Status, scores, seconds and seed of units, (U,) each; None stands for one not rendered."""
    columns: dict[str, Array] = {
        "status": encode_visible(["unrendered" if row is None else row.status for row in rows])
    }
    for name in SCORES:
        values = [math.nan if row is None else getattr(row.scores, name) for row in rows]
        columns[name] = np.array(values, np.float32)
    ranks = [(0,) * CHANGES if row is None else row.scores.ranks for row in rows]
    columns["ranks"] = np.array(ranks, np.int32).reshape(-1, CHANGES)
    columns["seconds"] = np.array([math.nan if row is None else row.seconds for row in rows], "f4")
    columns["seed"] = np.array([-1 if row is None else row.seed for row in rows], np.int64)
    return columns


@dataclass(frozen=True, slots=True)
class UnitPicture:
    """A unit whose pixels are read when they are asked for."""

    record: Rendering | None
    source: Pictures
    channels: tuple[int, ...] = ()

    def pixels(self, shape: Shape) -> Pixels | None:
        """The 8-bit picture (H, W, 3), or None where there is none.

        Pictures of one atlas differ in size where `pyramid` is among its recipes, which goes by
        sides of its own; a dataset has one size.

        Raises:
            CacheError: the picture cannot be read.
        """
        if self.record is None or self.record.status == "failed":
            return None
        image = read_picture(self.source, self.record.unit, self.record.recipe).image
        return sheets.fit(sheets.to_pixels(image, self.channels), *shape) if image.size else None


def read_picture(source: Pictures, unit: Unit, recipe: str) -> Rendering:
    """A rendering with its pixels.

    Raises:
        CacheError: it cannot be read; an OSError here would be taken for one of the new file.
    """
    try:
        return source.rendering(unit, recipe)
    except OSError as error:
        raise CacheError(
            f"cannot read the picture of {shown(str(unit))} by {recipe} ({one_line(error)}); run "
            "`build_atlas.py check`"
        ) from error


def write_lenses(writer: Writer, images: Sequence[int], pictures: Pictures) -> None:
    """Write what the network makes of each image that has a page, one in memory at a time."""
    writer.group("lenses", {}, ordered=True)
    for image in images:
        datasets = lenses_to_datasets([read_lens(pictures, image)])
        del datasets["image"]  # the name of the group says it
        writer.group(f"lenses/{image}", {"image_index": image})
        for name, array in datasets.items():
            writer.column(f"lenses/{name}", array)


def read_lens(source: Pictures, image: int) -> Lens:
    """What the network makes of a sample image.

    Raises:
        CacheError: it cannot be read; an OSError here would be taken for one of the new file.
    """
    try:
        return source.lens(image)
    except OSError as error:
        raise CacheError(
            f"cannot read the lenses of image {image} ({one_line(error)}); run "
            "`build_atlas.py check`"
        ) from error


def write_samples(writer: Writer, samples: SampleSet) -> None:
    """Write names and digests of the sample images, in the order of `image_index`."""
    writer.group("images", {})
    writer.column("images/path", encode_visible([sample.name for sample in samples.samples]))
    writer.column("images/sha256", encode_visible([sample.sha256 for sample in samples.samples]))
