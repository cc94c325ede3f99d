"""What people call units: read from their files, and missed where it is gone."""

import csv
import io
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

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
    """Labels that people gave to units: `"googlenet/inception4a:225" = "eyes, spirals"`.

    A list of tags, `["eyes", "spirals"]`, means the same.

    Raises:
        InputError: the file is not TOML, or a label is neither text nor a list of texts.
    """
    return {name: label_text(path, name, value) for name, value in read_toml(path).items()}


def label_text(path: Path, name: str, value: object) -> str:
    """The text of a label; tags of a list are joined by commas.

    Raises:
        InputError: it is something else.
    """
    parts: list[object] = value if isinstance(value, list) else [value]
    texts = [part for part in parts if isinstance(part, str)]
    if len(texts) < len(parts):
        raise InputError(
            f"{path}: the label of {name} is {value!r}, neither text in quotes nor a list of such"
        )
    return ", ".join(texts)


def read_toml(path: Path) -> dict[str, Any]:
    """The table in a TOML file; empty where there is no file.

    Raises:
        InputError: it cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
