"""The part of a store that holds what is found out about units: masks, circuits, meanings."""

from collections.abc import Sequence

from ..records.attribution import UnitMasks
from ..records.circuits import Circuit
from ..records.meanings import Meanings
from ..records.units import Unit
from . import codec_attribution, codec_circuits, codec_meanings
from .blocks import Blocks


class AttributionStore(Blocks):
    """The masks, circuits and meanings of one model under one key."""

    # --- what peaks depend on

    def write_masks(self, layer: str, fingerprint: str, found: Sequence[UnitMasks]) -> None:
        """Keep the pixels that the peaks of some units of a layer depend on.

        Args:
            layer: of the units.
            fingerprint: of everything that decides them.
            found: at least one.
        """
        channels = [one.channel for one in found]
        datasets = codec_attribution.masks_to_datasets(found)
        self.write_rows("masks", layer, fingerprint, channels, datasets)

    def masks(self, layer: str, fingerprint: str) -> dict[int, UnitMasks]:
        """Channel → what its peaks depend on, without pixels."""
        found: dict[int, UnitMasks] = {}
        for block in self.of_layer("masks", layer, fingerprint):
            found |= codec_attribution.read_numbers(self.opened.file(block.path))
        return found

    def unit_masks(self, unit: Unit, fingerprint: str) -> UnitMasks:
        """What the peaks of one unit depend on, with pixels.

        Raises:
            CacheError: it was never found out.
        """
        what = f"masks of {unit}"
        block, row = self.need_row("masks", unit.layer, fingerprint, unit.channel, what)
        return codec_attribution.read_masks(self.opened.file(block.path), row)

    # --- circuits

    def write_circuits(self, layer: str, fingerprint: str, found: Sequence[Circuit]) -> None:
        """Keep what surrounds some units of a layer.

        Args:
            layer: of the units.
            fingerprint: of everything that decides it.
            found: at least one.
        """
        channels = [one.channel for one in found]
        datasets = codec_circuits.circuits_to_datasets(found)
        self.write_rows("circuits", layer, fingerprint, channels, datasets)

    def circuits(self, layer: str, fingerprint: str) -> dict[int, Circuit]:
        """Channel → what surrounds it."""
        return {
            one.channel: one
            for block in self.of_layer("circuits", layer, fingerprint)
            for one in codec_circuits.read_circuits(self.opened.file(block.path))
        }

    # --- meanings

    def write_meanings(self, layer: str, fingerprint: str, found: Sequence[Meanings]) -> None:
        """Keep the meanings of some units of a layer.

        Args:
            layer: of the units.
            fingerprint: of everything that decides them.
            found: at least one.
        """
        channels = [one.channel for one in found]
        datasets = codec_meanings.meanings_to_datasets(found)
        self.write_rows("meanings", layer, fingerprint, channels, datasets)

    def meanings(self, layer: str, fingerprint: str) -> dict[int, Meanings]:
        """Channel → its meanings."""
        return {
            one.channel: one
            for block in self.of_layer("meanings", layer, fingerprint)
            for one in codec_meanings.read_meanings(self.opened.file(block.path))
        }
