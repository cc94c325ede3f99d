"""What people call units: read from their files, and missed where it is gone."""

import csv
import io
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import InputError

LABELS = "labels.toml"


def all_labels(folders: Sequence[Path]) -> dict[str, str]:
    """The labels in all of these folders; those of later ones win."""
    labels: dict[str, str] = {}
    for folder in folders:
        labels |= read_labels(folder / LABELS)
    return labels


def lost_labels(folder: Path, model: str, labels: Mapping[str, str]) -> list[str]:
    """Units that have a label on the model's pages of before, in `folder`, and have none now."""
    try:
        text = (folder / "units.csv").read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return []
    rows = csv.DictReader(io.StringIO(text, newline=""))
    named = [f"{model}/{row['layer']}:{row['channel']}" for row in rows if row.get("label")]
    return [name for name in named if name not in labels]


def read_labels(path: Path) -> dict[str, str]:
    """Labels that people gave to units: `"googlenet/inception4a:225" = "eyes"`.

    Raises:
        InputError: the file is not TOML, or a label is not text.
    """
    try:
        labels = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    for name, label in labels.items():
        if not isinstance(label, str):
            raise InputError(f"{path}: the label of {name} is {label!r}, not text in quotes")
    return labels
