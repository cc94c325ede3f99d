"""The selection of an atlas, written to the disk and read again."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from atlas.cache.selection import (
    earlier_selection,
    read_selection,
    selection_path,
    write_selection,
)
from atlas.errors import InputError
from tests.store_records import SELECTED

EARLIER: dict[str, Any] = {
    "schema": 2,
    "key": "0123456789abcdef",
    "layers": {"conv": [2, 0], "class scores": [1]},
    "recipes": ["octaves"],
    "class_recipes": ["pyramid"],
    "digests": {"octaves": "3" * 64, "pyramid": "4" * 64},
    "fingerprints": {"octaves": "f" * 64, "pyramid": "5" * 64},
    "lenses": [0],
    "lens_fingerprint": "6" * 64,
    "reference": "",
    "rank": "mean",
    "size": 16,
    "seed": 0,
    "compare": "",
    "run": {
        "versions": [["torch", "9"]],
        "device": "cpu",
        "command": "make",
        "created": "2026-01-01",
    },
}
"""A file as earlier versions wrote it, before classes and channels could be named."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Path of the selection of an atlas; its folder exists."""
    found = selection_path(tmp_path, "epoch 1")
    found.parent.mkdir()
    return found


def test_a_selection_is_in_the_folder_of_its_atlas(path: Path, tmp_path: Path) -> None:
    assert path == tmp_path / "epoch~201" / "atlas.json"


def test_what_is_written_is_read_again(path: Path) -> None:
    odd = replace(SELECTED, reference="\udcff.h5", class_names=("\ud83d", "目"), shown=(3, 0))
    write_selection(path, odd)
    assert read_selection(path) == odd


def test_files_of_earlier_versions_are_read(path: Path) -> None:
    path.write_text(json.dumps(EARLIER))
    assert read_selection(path) == SELECTED


def test_fields_of_earlier_versions_keep_their_names_and_values(path: Path) -> None:
    write_selection(path, SELECTED)
    assert json.loads(path.read_bytes()) == {
        **EARLIER,
        "class_names": [],
        "shown": [],
        "observer": "",
        "observer_sha256": "",
        "masks": {},
        "circuits": {},
        "meanings": "",
        "meaning_pictures": {},
        "maps": {},
    }


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[1]",
        json.dumps({"schema": 2, "key": "0123456789abcdef"}),
        json.dumps({**EARLIER, "seed": "one"}),
        json.dumps({**EARLIER, "layers": {"conv": 3}}),
    ],
)
def test_a_damaged_file_is_named(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(
        InputError, match=r"atlas\.json cannot be read .*; delete it and build again"
    ):
        read_selection(path)


def test_a_file_of_another_version_is_replaced_but_not_shown(path: Path) -> None:
    path.write_text(json.dumps({**EARLIER, "schema": 3}))
    assert earlier_selection(path) is None
    with pytest.raises(InputError, match="another version of this program; build that atlas again"):
        read_selection(path)
