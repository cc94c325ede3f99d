"""The JSON Schemas of the site's data files: made from their records, and used to check files.

`python -m tests.schemas` writes docs/schema/ again.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from jsonschema import Draft202012Validator

from atlas.gallery.data.classes import ClassFile
from atlas.gallery.data.encode import NUMBER, Address, Double, Single
from atlas.gallery.data.images import ImageFile
from atlas.gallery.data.lists import ListsFile
from atlas.gallery.data.maps import MapFile
from atlas.gallery.data.models import ComparisonFile, LayerFile, ModelFile, SiteFile
from atlas.gallery.data.quiz import QuizFile
from atlas.gallery.data.units import UnitFile

FOLDER = Path(__file__).parents[1] / "docs" / "schema"
FILES = {
    "atlas": SiteFile,
    "class": ClassFile,
    "compare": ComparisonFile,
    "image": ImageFile,
    "layer": LayerFile,
    "lists": ListsFile,
    "map": MapFile,
    "model": ModelFile,
    "quiz": QuizFile,
    "unit": UnitFile,
}
"""Name of a schema → record of the file that it describes."""

OURS: dict[type, dict[str, Any]] = {
    Single: NUMBER,
    Double: NUMBER,
    Address: {"type": "string"},
    np.ndarray: {"type": "array"},
}
"""The schema of each type that only we know."""


def path_of(name: str) -> Path:
    """Return the path of a schema."""
    return FOLDER / f"{name}.schema.json"


def write_out(name: str) -> str:
    """A schema as it is to be on the disk; only what may be left out is not required."""
    (schema,), parts = msgspec.json.schema_components([FILES[name]], schema_hook=OURS.__getitem__)
    for part in parts.values():
        for field, one in part["properties"].items():
            if "default" in one:  # only to make a record: the field is always written
                del one["default"]
                part["required"].append(field)
        part["additionalProperties"] = False
    draft = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps({**draft, **schema, "$defs": parts}, indent=2, ensure_ascii=False) + "\n"


def problems(value: Any, name: str) -> list[str]:
    """List the places at which a value from `json.loads` breaks the schema of a name."""
    validator = Draft202012Validator(json.loads(path_of(name).read_bytes()))
    return [f"{one.json_path}: {one.message}" for one in validator.iter_errors(value)]


if __name__ == "__main__":
    for name in FILES:
        path_of(name).write_text(write_out(name), "utf-8")
