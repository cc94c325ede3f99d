"""Units as a table: units.csv of a layer or a model."""

import csv
import io
from collections.abc import Iterable, Sequence

from ...records.tuning import PREFERENCES
from ..text import shown
from .encode import plain
from .units import UnitData

COLUMNS = (
    *("layer", "channel", "rank", "label", "class_name", "status", "recipe", "mean_activation"),
    *("std", "max", "p99", "contrast", "active", "activation", "reach", "select", "robust", "hf"),
    *("seed", "seconds", "page", "image", "predict", "ident", "ident_photographs", "unidentified"),
    *("similar", "patch", "keep", *PREFERENCES),
)
"""Columns of units.csv, in order."""


def units_csv(layers: Iterable[tuple[str, str, Sequence[UnitData]]]) -> bytes:
    """units.csv: one row a unit.

    Args:
        layers: of each its name, what its addresses start with, and `unit_data` of its units.
    """
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for layer, start, units in layers:
        for unit in units:
            row = {**vars(unit), "layer": layer, "page": start + unit.page}
            row["image"] = start + unit.image if unit.image else None
            writer.writerow([cell(plain(row[name])) for name in COLUMNS])
    return file.getvalue().encode("utf-8", "replace")


def cell(value: object) -> str:
    """A cell of a CSV file; text that looks like a formula is disarmed."""
    if not isinstance(value, str):
        return "" if value is None else str(value)
    text = shown(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
