"""The results of one model under one key, as records. Start at `Store.open`.

How blocks are committed and kept is in `blocks`, their bytes are made in `codec` and `hdf5`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..files.digests import canonical_json
from ..files.names import escape_name
from ..records.atlas import Pictures, RunInfo
from ..records.attribution import UnitMasks
from ..records.lens import Lens
from ..records.network import LayerInfo, ModelInfo
from ..records.samples import SampleSet
from ..records.statistics import LayerStats, Readout
from ..records.tuning import Responses
from ..records.units import Rendering, Unit
from . import codec
from .audit import CacheBlock
from .hdf5 import SCHEMA, Array
from .opened import encode_sidecar, read_seconds
from .store_attribution import AttributionStore
from .store_dictionary import DictionaryStore
from .store_maps import MapStore
from .store_observation import ObservationStore


class Store(AttributionStore, MapStore, ObservationStore, DictionaryStore):
    """The results of one model under one key.

    Use `Store.open` in a `with` block to add results, `Store.read` to look at them.
    """

    # --- network and samples

    def write_network(self, model: ModelInfo, layers: Sequence[LayerInfo]) -> None:
        """Keep the model and its layer table, instead of any earlier one."""
        layers_json = [asdict(layer) for layer in layers]
        self._write_json("network", {"model": codec.model_to_json(model), "layers": layers_json})

    def read_network(self) -> tuple[ModelInfo, tuple[LayerInfo, ...]]:
        """The model and its layer table.

        Raises:
            CacheError: they were never written.
        """
        return self.opened.network(self._find_json("network"))

    def write_samples(self, samples: SampleSet) -> None:
        """Keep the list of sample images, instead of any earlier one."""
        self._write_json("samples", {"set": asdict(samples)})

    def read_samples(self) -> SampleSet:
        """The list of sample images.

        Raises:
            CacheError: it was never written.
        """
        return self.opened.samples(self._find_json("samples"))

    def has(self, kind: Literal["network", "samples"]) -> bool:
        """Return whether the layer table or the list of sample images is there."""
        return self.index.find(kind) is not None

    def _write_json(self, kind: Literal["network", "samples"], value: dict[str, Any]) -> None:
        data = canonical_json({"schema": SCHEMA, "kind": kind, **value}).encode()
        self.replace(CacheBlock(path=self.commit(kind, ".json", data), kind=kind))

    def _find_json(self, kind: Literal["network", "samples"]) -> Path:
        return self.need(self.index.find(kind), kind).path

    # --- squares of the sample images

    def write_squares(self, first: int, squares: Sequence[bytes]) -> None:
        """Keep the JPEG squares of consecutive sample images, instead of any earlier ones.

        A square is the part that the network sees; for an input that is no square, a rectangle.

        Args:
            first: index of the first of them.
            squares: JPEG files.
        """
        last = first + len(squares) - 1
        datasets: dict[str, Array] = {
            "end": np.cumsum([len(square) for square in squares], dtype=np.int64),
            "jpeg": np.frombuffer(b"".join(squares), np.uint8),
        }
        place = f"images/{first}-{last}"
        self.replace(self.write(place, datasets, kind="images", first=first, last=last))

    def has_square(self, index: int) -> bool:
        """Return whether the square of a sample image is there."""
        return self._find_square(index) is not None

    def sample(self, index: int) -> bytes:
        """The square of a sample image, a JPEG of the part the network sees.

        Raises:
            CacheError: it was never written.
        """
        block = self.need(self._find_square(index), f"square of sample image {index}")
        return self.opened.square(block.path, index - block.first)

    def _find_square(self, index: int) -> CacheBlock | None:
        return self.index.find("images", lambda block: block.first <= index <= block.last)

    # --- statistics

    def write_stats(self, stats: LayerStats) -> None:
        """Keep the statistics of one layer, instead of any earlier ones."""
        place, datasets = f"ranking/{escape_name(stats.layer)}", codec.stats_to_datasets(stats)
        mark = self.dictionary_mark(stats.layer)
        facts: dict[str, str | int] = {"kind": "ranking", "layer": stats.layer}
        facts |= {"fingerprint": mark} if mark else {}
        self.replace(self.write(place, datasets, b"", **facts))

    def has_stats(self, layer: str) -> bool:
        """Return whether the statistics of a layer are there."""
        return self._find_stats(layer) is not None

    def has_places(self, layer: str) -> bool:
        """Return whether they say where each channel peaks on each image."""
        block = self._find_stats(layer)
        return block is not None and "places" in self.opened.file(block.path)

    def read_stats(self, layer: str) -> LayerStats:
        """The statistics of one layer.

        Raises:
            CacheError: they were never written.
        """
        block = self.need(self._find_stats(layer), f"statistics of layer {layer!r}")
        file = self.opened.file(block.path)
        return codec.stats_from_datasets(layer, {name: file[name][...] for name in file})

    def _find_stats(self, layer: str) -> CacheBlock | None:
        return self.index.last_of("ranking", layer)

    def write_readout(self, readout: Readout) -> None:
        """Keep which channels raise which class, instead of anything earlier."""
        datasets = codec.readout_to_datasets(readout)
        self.replace(self.write("readout", datasets, kind="readout", layer=readout.layer))

    def read_readout(self) -> Readout | None:
        """Read which channels raise which class; None where that was never written."""
        block = self.index.find("readout")
        if block is None:
            return None
        file = self.opened.file(block.path)
        values = {name: file[name][...] for name in file}
        over_all = np.zeros(len(values["channels"]), np.int32)  # all that earlier versions knew
        return Readout(layer=block.layer, **{"images": over_all, **values})

    def has_readout(self) -> bool:
        """Return whether it is known which channels raise which class on the class's own images."""
        block = self.index.find("readout")
        return block is not None and "images" in self.opened.file(block.path)

    # --- tuning

    def write_responses(self, responses: Responses, fingerprint: str) -> None:
        """Keep what one layer answers to synthetic stimuli, instead of anything earlier.

        Args:
            responses: of the layer.
            fingerprint: of the stimuli.
        """
        layer, names = responses.layer, ("means", "deviations", "scale")
        datasets: dict[str, Array] = {name: getattr(responses, name) for name in names}
        place = f"tuning/{escape_name(layer)}"
        block = self.write(place, datasets, kind="tuning", layer=layer, fingerprint=fingerprint)
        self.replace(block)

    def responses(self, layer: str, fingerprint: str) -> Responses | None:
        """The answers of one layer to these stimuli; None where it was never asked."""
        known = self.of_layer("tuning", layer, fingerprint)
        if not known:
            return None
        file = self.opened.file(known[-1].path)
        return Responses(layer=layer, **{name: file[name][...] for name in file})

    # --- renderings

    def write_renderings(
        self,
        first: int,
        last: int,
        fingerprint: str,
        renderings: Sequence[Rendering],
        run: RunInfo,
    ) -> None:
        """Keep the renderings of one layer and one recipe at consecutive ranks.

        Args:
            first, last: positions in the ranking, from 0, both included.
            fingerprint: of everything that decides these renderings.
            renderings: at least one; all of one layer.
            run: what is recorded of the run; goes into the sidecar with the seconds.
        """
        layer = renderings[0].unit.layer
        assert all(rendering.unit.layer == layer for rendering in renderings)
        facts: dict[str, str | int] = {
            "kind": "renderings",
            "layer": layer,
            "recipe": renderings[0].recipe,
            "fingerprint": fingerprint,
            "first": first,
            "last": last,
        }
        place = f"renderings/{escape_name(layer)}/{first}-{last}"
        sidecar = encode_sidecar(renderings, run)
        self.write(place, codec.renderings_to_datasets(renderings), sidecar, **facts)

    def finished(self, fingerprint: str) -> dict[str, dict[int, Rendering]]:
        """Every finished rendering without its pixels: layer → channel → rendering.

        Where two blocks hold the same unit, the one with the greater file name counts.
        """
        found: dict[str, dict[int, Rendering]] = {}
        for block in self.index.select("renderings", fingerprint):
            columns, seconds = self.opened.columns(block.path), read_seconds(block.path)
            for row, channel in enumerate(block.channels):
                spent = seconds.get(channel, math.nan)
                rendering = codec.rendering_from_columns(block.layer, columns, row, spent)
                found.setdefault(block.layer, {})[channel] = rendering
        return found

    def finished_channels(self, fingerprint: str) -> dict[str, set[int]]:
        """Layer → channels whose rendering is there; no block is opened for that."""
        found: dict[str, set[int]] = {}
        for block in self.index.select("renderings", fingerprint):
            found.setdefault(block.layer, set()).update(block.channels)
        return found

    def has_rendering(self, unit: Unit, fingerprint: str) -> bool:
        """Return whether the rendering of a unit is there."""
        return (fingerprint, unit) in self.index.units

    def rendering(self, unit: Unit, fingerprint: str) -> Rendering:
        """The rendering of a unit with its pixels.

        Raises:
            CacheError: it was never finished.
        """
        held = self.index.units.get((fingerprint, unit))
        path, row = self.need(held, f"rendering of {unit}")
        columns, file = self.opened.columns(path), self.opened.file(path)
        spent = read_seconds(path).get(unit.channel, math.nan)
        return replace(
            codec.rendering_from_columns(unit.layer, columns, row, spent),
            image=codec.unpad(file["image"][row], columns["image_shape"][row]),
            snapshots=codec.unpad(file["snapshots"][row], columns["snapshots_shape"][row]),
        )

    def pictures(
        self,
        fingerprints: Mapping[str, str],
        lenses: str = "",
        masks: Mapping[str, str] | None = None,
        maps: Mapping[str, str] | None = None,
    ) -> Pictures:
        """Return the source from which pages read pixels.

        Args:
            fingerprints: recipe name → fingerprint of its renderings.
            lenses: fingerprint of the lenses.
            masks, maps: layer → fingerprint of its masks, and of its map.
        """
        return StorePictures(self, dict(fingerprints), lenses, dict(masks or {}), dict(maps or {}))


@dataclass(frozen=True, slots=True)
class StorePictures:
    """The pixels of a store under the names that pages know."""

    store: Store
    fingerprints: Mapping[str, str]
    lenses: str
    marks: Mapping[str, str]
    maps: Mapping[str, str]

    def rendering(self, unit: Unit, recipe: str) -> Rendering:
        """The rendering of a unit with its pixels, as `Store.rendering` finds it."""
        return self.store.rendering(unit, self.fingerprints[recipe])

    def sample(self, index: int) -> bytes:
        """The square of a sample image, as `Store.sample` finds it."""
        return self.store.sample(index)

    def lens(self, image: int) -> Lens:
        """Return the results of all lenses on a sample image, as `Store.lens` finds them."""
        return self.store.lens(image, self.lenses)

    def masks(self, unit: Unit) -> UnitMasks:
        """The pixels that the peaks of a unit depend on, as `Store.unit_masks` finds them."""
        return self.store.unit_masks(unit, self.marks[unit.layer])

    def map_picture(self, layer: str, cell: int) -> NDArray[np.float16]:
        """The picture of a cell of a layer's map, as `Store.map_picture` finds it."""
        return self.store.map_picture(layer, self.maps[layer], cell)
