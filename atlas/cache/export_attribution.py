"""What peaks depend on, as an export holds it: `write_masks`, called while a layer is written."""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..images.pixels import THUMBNAIL, patch_shape
from ..records.atlas import LayerAtlas, Pictures
from ..records.attribution import no_masks
from ..records.statistics import EXAMPLES
from ..records.units import Unit
from .export_hdf5 import start_digest
from .hdf5 import Array


class Writer(Protocol):
    """What of `export_contents.Writer` is used here."""

    file: Any
    written: dict[str, str]

    def column(self, path: str, array: Array) -> None:
        """Write a small array."""
        ...

    def check(self) -> None:
        """Stop here if a write failed or a signal came."""
        ...


def masks_bytes(layer: LayerAtlas) -> int:
    """About how many bytes the masks of a layer take, rather more than less."""
    return len(layer.chosen) * EXAMPLES * THUMBNAIL**2 if layer.masks else 0


def write_masks(writer: Writer, path: str, layer: LayerAtlas, pictures: Pictures) -> None:
    """Write the masks, PATCH and KEEP of the chosen units' examples, where any are shown.

    Args:
        writer: of the file.
        path: of the group of the examples.
        layer: of the units.
        pictures: where pixels are read from, a unit at a time.
    """
    if not layer.masks:
        return
    known = [layer.masks.get(channel, no_masks(channel)) for channel in layer.chosen]
    writer.column(f"{path}/patch", np.stack([one.patch for one in known]))
    writer.column(f"{path}/keep", np.stack([one.keep for one in known]))
    y0, x0, y1, x1 = layer.stats.example_box[layer.chosen[0], 0].tolist()
    shape = (len(known), EXAMPLES, *patch_shape((y0, x0, y1, x1)))
    options = {"chunks": (1, *shape[1:]), "fletcher32": True, "track_times": False}
    dataset = writer.file.create_dataset(f"{path}/mask", shape=shape, dtype=np.uint8, **options)
    digest = start_digest(dataset.shape, dataset.dtype)
    for row, masks in enumerate(read_masks(layer, pictures, shape[1:])):
        dataset[row] = masks
        digest.update(masks.tobytes())
        writer.check()
    writer.written[f"{path}/mask"] = digest.hexdigest()


def read_masks(
    layer: LayerAtlas, pictures: Pictures, shape: tuple[int, ...]
) -> Iterator[NDArray[np.uint8]]:
    """The masks (EXAMPLES, h, w) of each chosen unit, zeros where there are none."""
    for channel in layer.chosen:
        whole = np.zeros(shape, np.uint8)
        if channel in layer.masks:
            found = pictures.masks(Unit(layer=layer.info.name, channel=channel)).masks
            whole[: len(found)] = found if found.size else 0
        yield whole
