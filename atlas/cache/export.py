"""An atlas as one ordinary HDF5 file, for people who want a single file. Start at `write_export`.

The format is public and described in docs/data.md; any HDF5 reader opens it. The file is written
unit by unit, so that thousands of units need no more memory than one, through a `Stream` that the
HDF5 library never sees fail; it is read back whole and only then takes its final name.
"""

import math
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import CacheError, one_line
from ..files.files import cannot, replacing, require_free
from ..files.names import shown
from ..records.atlas import ModelAtlas, Pictures
from .export_attribution import masks_bytes
from .export_contents import Writer, shown_layers, write_atlas
from .export_hdf5 import new_file, read_back
from .export_maps import map_bytes
from .export_tuning import tuning_bytes
from .hdf5 import open_block
from .stream import Stream, held_signals

LAYER_BYTES = 60_000
UNIT_BYTES = 600
CHANNEL_BYTES = 30
MATRIX_BYTES = 10
IMAGE_BYTES = 800
LENS_BYTES = 1_500_000
"""Upper bounds of what a recipe of a layer, a unit, a channel, a channel on an image, an image and
its lenses take, without the pixels of renderings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """Path, size and contents of the file that `write_export` has written.

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
    images = len(atlas.samples.samples) + len(atlas.natural.samples)
    needed = images * IMAGE_BYTES + len(atlas.lenses) * LENS_BYTES
    seen = 0 if atlas.observed is None else atlas.observed.features[:1].nbytes
    needed += images * seen
    for layer, recipes in shown_layers(atlas):
        units = len(layer.chosen) * (3 * math.prod(atlas.shape) + UNIT_BYTES + seen)
        channel = CHANNEL_BYTES + images * MATRIX_BYTES
        needed += masks_bytes(layer)
        needed += len(layer.meaning_pictures) * (3 * math.prod(atlas.shape) + UNIT_BYTES)
        needed += len(layer.meanings) * UNIT_BYTES
        needed += map_bytes(layer.map, 3 * math.prod(atlas.shape))
        needed += tuning_bytes(layer, len(atlas.stimuli))
        needed += len(recipes) * (units + LAYER_BYTES) + layer.stats.channels * channel
    return needed


def write_file(path: Path, atlas: ModelAtlas, pictures: Pictures, version: str) -> Writer:
    """Write the whole file under a temporary name and see it onto the disk.

    Raises:
        OSError: a system call failed.
        CacheError: a picture cannot be read.
    """
    with held_signals() as act, Stream(path) as stream:
        try:
            with new_file(stream) as file:
                writer = Writer(file=file, stream=stream, act=act)
                write_atlas(writer, atlas, pictures, version)
        finally:
            stream.check()  # whatever the library says after a failed write follows from it
        os.fsync(stream.fileno())
    return writer


def verify(path: Path, written: Mapping[str, str]) -> None:
    """Read the finished file back: the same names, shapes, types and values, sound checksums.

    Args:
        path: the temporary.
        written: what `read_back` is to find.

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
