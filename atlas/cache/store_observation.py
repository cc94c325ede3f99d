"""The part of a store that holds what is seen of images and pictures: lenses, features."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..files.names import escape_name
from ..records.evidence import Observation
from ..records.lens import Lens
from . import codec
from .blocks import Blocks
from .hdf5 import Array

SAMPLES = "sample images"
"""Folder of what an observer sees of them."""


class ObservationStore(Blocks):
    """The lenses and features of one model under one key."""

    # --- lenses

    def write_lenses(self, first: int, last: int, fingerprint: str, lenses: Sequence[Lens]) -> None:
        """Keep what the network makes of some sample images.

        Args:
            first, last: indices of the first and the last of them.
            fingerprint: of everything that decides the result.
            lenses: at least one.
        """
        self.write(
            f"lenses/{first}-{last}",
            codec.lenses_to_datasets(lenses),
            kind="lenses",
            fingerprint=fingerprint,
            first=first,
            last=last,
        )

    def finished_lenses(self, fingerprint: str) -> set[int]:
        """The sample images whose lenses are there."""
        blocks = self.index.select("lenses", fingerprint)
        return {image for block in blocks for image in block.channels}

    def lens(self, image: int, fingerprint: str) -> Lens:
        """Return the results of all lenses on a sample image.

        Raises:
            CacheError: it was never looked at.
        """
        found = self.index.find(
            "lenses", lambda block: block.fingerprint == fingerprint and image in block.channels
        )
        block = self.need(found, f"lenses of image {image}")
        return codec.lens_from_file(self.opened.file(block.path), image)

    # --- what an observer sees

    def write_features(
        self, layer: str, fingerprint: str, rows: Sequence[int], seen: Observation
    ) -> None:
        """Keep what an observer makes of pictures of one layer, or of sample images.

        Args:
            layer: of the units; "" for sample images.
            fingerprint: of the observer and of what it looked at.
            rows: the channels or images, at least one.
            seen: one row of features each.
        """
        datasets: dict[str, Array] = {
            "row": np.array(rows, np.int32),
            "features": seen.features,
            "widths": np.array(seen.widths, np.int32),
        }
        place = f"features/{escape_name(layer or SAMPLES)}/{min(rows)}-{max(rows)}"
        self.write(
            place,
            datasets,
            kind="features",
            layer=layer,
            fingerprint=fingerprint,
            observer=seen.observer,
            weights_sha256=seen.weights_sha256,
        )

    def features(self, layer: str, fingerprint: str) -> dict[int, NDArray[np.float32]]:
        """Channel or image → (D,) what the observer makes of it; empty where it never looked."""
        found: dict[int, NDArray[np.float32]] = {}
        for block in self.of_layer("features", layer, fingerprint):
            features = self.opened.file(block.path)["features"][...]
            found |= dict(zip(block.channels, features, strict=True))
        return found

    def observation(self, count: int, fingerprint: str) -> Observation | None:
        """Return the observer's results on all sample images; None if it has not seen every one.

        Args:
            count: of the sample images.
            fingerprint: as written.
        """
        found = self.features("", fingerprint)
        if set(found) < set(range(count)):
            return None
        file = self.opened.file(self.of_layer("features", "", fingerprint)[0].path)
        return Observation(
            observer=str(file.attrs["observer"]),
            weights_sha256=str(file.attrs["weights_sha256"]),
            widths=tuple(file["widths"][...].tolist()),
            features=np.stack([found[image] for image in range(count)]),
        )
