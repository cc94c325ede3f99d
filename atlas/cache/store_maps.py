"""The part of a store that holds maps of layers."""

import numpy as np
from numpy.typing import NDArray

from ..records.maps import LayerMap, MapCell
from . import codec_maps
from .blocks import Blocks

FACTS = ("rows", "columns", "positions", "total")


class MapStore(Blocks):
    """The maps of one model under one key."""

    def write_map(self, layer: str, fingerprint: str, found: LayerMap) -> None:
        """Keep some cells of the map of a layer.

        Args:
            layer: which.
            fingerprint: of everything that decides its map.
            found: the map, of whose cells only some are there, with pixels; at least one.
        """
        cells = [one.cell for one in found.cells]
        self.write_rows(
            "maps",
            layer,
            fingerprint,
            cells,
            codec_maps.cells_to_datasets(found.cells),
            reason=found.reason,
            **{name: getattr(found, name) for name in FACTS},
        )

    def layer_map(self, layer: str, fingerprint: str) -> LayerMap | None:
        """The map of a layer without pixels; None where no cell of it is there."""
        blocks, cells = self.of_layer("maps", layer, fingerprint), dict[int, MapCell]()
        for block in blocks:
            cells |= {one.cell: one for one in codec_maps.read_cells(self.opened.file(block.path))}
        if not blocks:
            return None
        facts = self.opened.file(blocks[0].path).attrs
        return LayerMap(
            **{name: int(facts[name]) for name in FACTS},
            reason=str(facts["reason"]),
            cells=[cells[cell] for cell in sorted(cells)],
        )

    def map_picture(self, layer: str, fingerprint: str, cell: int) -> NDArray[np.float16]:
        """(3, H, W) the picture of a cell.

        Raises:
            CacheError: it was never made.
        """
        what = f"cell {cell} of the map of {layer}"
        block, row = self.need_row("maps", layer, fingerprint, cell, what)
        return codec_maps.read_picture(self.opened.file(block.path), row)
