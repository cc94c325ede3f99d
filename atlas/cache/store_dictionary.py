"""The part of a store that holds dictionaries, and what belongs to each of them."""

from collections.abc import Iterable

import numpy as np

from ..files.names import escape_name
from ..records.dictionary import Code, Dictionary
from .audit import CacheBlock
from .blocks import Blocks, remove
from .hdf5 import Array, decode_texts, encode_texts

CODE = ("encoder", "decoder", "bias", "threshold", "offset")
MEASURED = ("shares", "active", "sizes", "errors")
COUNTS = ("fitted", "judged", "positions")
NUMBERS = ("explained", "shuffled")


class DictionaryStore(Blocks):
    """The dictionaries of one model under one key.

    Whatever else a key folder holds of the layer that a dictionary is was made with this one:
    `forget_layer` comes before another of the same name.
    """

    def write_dictionary(self, found: Dictionary, fingerprint: str) -> None:
        """Keep a dictionary.

        Args:
            found: under a name of which nothing is there.
            fingerprint: of everything that decides it beside the key.
        """
        datasets: dict[str, Array] = {name: getattr(found.code, name) for name in CODE}
        datasets |= {name: getattr(found, name) for name in MEASURED}
        datasets["counts"] = np.array([getattr(found, name) for name in COUNTS], np.int64)
        datasets["numbers"] = np.array([getattr(found, name) for name in NUMBERS], np.float64)
        datasets["names"] = encode_texts([found.parent, found.method])
        place = f"dictionaries/{escape_name(found.name)}"
        self.write(place, datasets, kind="dictionaries", layer=found.name, fingerprint=fingerprint)

    def dictionary(self, name: str, fingerprint: str = "") -> Dictionary | None:
        """The dictionary of a name; None where it is not there, or has another fingerprint."""
        block = self.dictionary_block(name)
        if block is None or fingerprint not in ("", block.fingerprint):
            return None
        file = self.opened.file(block.path)
        parent, method = decode_texts(file["names"][...])
        return Dictionary(
            name=name,
            parent=parent,
            method=method,
            code=Code(**{one: file[one][...] for one in CODE}),
            **{one: file[one][...] for one in MEASURED},
            **dict(zip(COUNTS, file["counts"][...].tolist(), strict=True)),
            **dict(zip(NUMBERS, file["numbers"][...].tolist(), strict=True)),
        )

    def dictionaries(self, names: Iterable[str]) -> list[Dictionary]:
        """Those of the layers that are dictionaries, in their order."""
        return [found for name in names if (found := self.dictionary(name))]

    def dictionary_block(self, name: str) -> CacheBlock | None:
        """Where a dictionary is."""
        return self.index.last_of("dictionaries", name)

    def dictionary_mark(self, name: str) -> str:
        """Identifies the numbers of a dictionary by the digest of its bytes; "" for none."""
        block = self.dictionary_block(name)
        return block.path.name.split(".")[-2] if block else ""

    def fits_dictionary(self, name: str) -> bool:
        """Return whether the statistics of a dictionary, where there are any, are those of it."""
        ranked = self.index.last_of("ranking", name)
        return ranked is None or ranked.fingerprint == self.dictionary_mark(name)

    def forget_layer(self, name: str) -> int:
        """Delete all that is held of a dictionary, itself last; returns how many files."""
        held = [block for block in self.index.blocks.values() if block.layer == name]
        held.sort(key=lambda block: block.kind == "dictionaries")
        for block in held:
            self.opened.close(block.path)
            remove(block.path)
            if block.kind == "renderings":
                remove(block.path.with_suffix(".json"))
            self.index.forget(block)
        return len(held)
