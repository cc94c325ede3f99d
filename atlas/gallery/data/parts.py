"""The sites that show a model together as data: rows of model.json."""

from dataclasses import dataclass

from ..parts import Part
from .encode import Address, record


@dataclass(frozen=True, kw_only=True)
class PartData:
    """One of several sites that show a model.

    Attributes:
        part: its number, from 1.
        site: its folder, seen from that of the model.
        first, last: the first and the last of its layers.
    """

    part: int
    site: Address
    first: str
    last: str
    n_layers: int
    n_units: int


def part_rows(part: Part) -> list[PartData]:
    """All sites that show a model; none where it is one."""
    return [
        record(
            PartData,
            share,
            part=number,
            site="../" if number == part.number else f"../../{share.site}/",
            first=share.layers[0],
            last=share.layers[-1],
            n_layers=len(share.layers),
        )
        for number, share in enumerate(part.shares, 1)
    ]
