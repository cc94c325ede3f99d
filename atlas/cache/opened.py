"""Blocks that are open for reading, and the sidecars beside them."""

import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import CacheError
from ..files.digests import canonical_json
from ..files.names import shown
from ..records.atlas import RunInfo
from ..records.units import Rendering
from .codec import read_columns
from .hdf5 import Array, open_block

OPEN_FILES = 4
"""Blocks kept open while pages are written, which go through a layer from block to block."""


class OpenBlocks:
    """The blocks read last; they stay open, because pages come back to them."""

    def __init__(self) -> None:
        self.files: OrderedDict[Path, Any] = OrderedDict()
        self._columns: dict[Path, dict[str, Array]] = {}

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

    def close(self, path: Path) -> None:
        """Close a block, if it is open."""
        self._columns.pop(path, None)
        if path in self.files:
            self.files.pop(path).close()

    def close_all(self) -> None:
        """Close all that are open."""
        for path in list(self.files):
            self.close(path)


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
