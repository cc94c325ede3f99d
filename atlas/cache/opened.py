"""Blocks that are open for reading, and the sidecars beside them."""

import functools
import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from ..errors import CacheError
from ..files.digests import canonical_json
from ..files.files import read_bytes
from ..files.names import shown
from ..records.atlas import RunInfo
from ..records.network import LayerInfo, ModelInfo
from ..records.samples import SampleSet
from ..records.units import Rendering
from .codec import layer_from_json, model_from_json, read_columns, samples_from_json
from .hdf5 import Array, open_block

OPEN_FILES = 4
"""Blocks kept open while pages are written, which go through a layer from block to block."""


KEPT_SQUARES = 1024
"""Squares of sample images kept in memory, 30 MB: many units are excited most by the same ones."""


class OpenBlocks:
    """The blocks read last; they stay open, because pages come back to them.

    Attributes:
        files: that are open.
        network, samples, square: `read_network`, `read_samples` and `read_square`, which keep what
            they read last: the name of a file is that of its bytes, and a run asks at every block.
    """

    def __init__(self) -> None:
        self.files: OrderedDict[Path, Any] = OrderedDict()
        self._columns: dict[Path, dict[str, Array]] = {}
        self.network = functools.lru_cache(1)(read_network)
        self.samples = functools.lru_cache(1)(read_samples)
        self.square = functools.lru_cache(KEPT_SQUARES)(self.read_square)

    def file(self, path: Path) -> Any:
        """An open block.

        Raises:
            CacheError: it cannot be read.
        """
        if path in self.files:
            self.files.move_to_end(path)
            return self.files[path]
        try:
            self.files[path] = open_block(path)
        except OSError as error:
            raise CacheError(f"cannot read {shown(path)}: {error}; run `check`") from error
        if len(self.files) > OPEN_FILES:
            self.close(next(iter(self.files)))
        return self.files[path]

    def columns(self, path: Path) -> dict[str, Array]:
        """The columns of a rendering block without pixels.

        Kept while the block is open: reading 20 small columns for each unit took most of the time.
        """
        file = self.file(path)
        if path not in self._columns:
            self._columns[path] = read_columns(file)
        return self._columns[path]

    def read_square(self, path: Path, row: int) -> bytes:
        """One of the squares of a block of them, a JPEG."""
        file = self.file(path)
        start = int(file["end"][row - 1]) if row else 0
        return cast(bytes, file["jpeg"][start : int(file["end"][row])].tobytes())

    def close(self, path: Path) -> None:
        """Close a block, if it is open."""
        self._columns.pop(path, None)
        if path in self.files:
            self.files.pop(path).close()

    def close_all(self) -> None:
        """Close all that are open."""
        for path in list(self.files):
            self.close(path)


def read_network(path: Path) -> tuple[ModelInfo, tuple[LayerInfo, ...]]:
    """The model and its layer table in a file."""
    value = json.loads(read_bytes(path))
    return model_from_json(value["model"]), tuple(map(layer_from_json, value["layers"]))


def read_samples(path: Path) -> SampleSet:
    """The list of sample images in a file."""
    return samples_from_json(json.loads(read_bytes(path))["set"])


def encode_sidecar(renderings: Sequence[Rendering], run: RunInfo) -> bytes:
    """Encode the values that differ between runs, to be written beside the block."""
    seconds = {str(rendering.unit.channel): rendering.seconds for rendering in renderings}
    return canonical_json({"run": asdict(run), "seconds": seconds}).encode()


def read_seconds(block: Path) -> dict[int, float]:
    """Channel → seconds from the sidecar of a block; empty where it is missing or damaged."""
    try:
        value = json.loads(block.with_suffix(".json").read_bytes())
        return {int(channel): float(spent) for channel, spent in value["seconds"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
