"""Names for the classes of a network, from a file or from the folders of its images.

`read_class_names` takes the forms in which people keep them: a line, a row or an entry for each
class, in order or with its number. Names are for people: they change no number and no picture.
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files.names import shown

NAME_COLUMNS = ("name", "class_name", "label", "class")
INDEX_COLUMNS = ("index", "idx", "id", "class_id", "class_index")
"""Headings of columns in a table of classes, in any case; the first one present counts."""


def read_class_names(path: Path, classes: int) -> tuple[str, ...]:
    """Read the names of all classes, in the order of the network's outputs.

    Args:
        path: `.json`, `.csv` or `.tsv`, else text with one name a line; UTF-8.
        classes: how many there have to be.

    Raises:
        InputError: it cannot be read, holds something else, or has not one name for each class.
    """
    read = READERS.get(path.suffix.lower(), names_in_text)
    try:
        names = read(path.read_text("utf-8-sig"))
    except (OSError, ValueError, csv.Error, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error).partition("\n")[0]
        raise InputError(
            f"--class-names: cannot read {shown(path)} ({reason}); it takes .txt with one name a "
            "line, .json with a list or a table of names and numbers, or .csv with name and index"
        ) from error
    if len(names) != classes:
        raise InputError(
            f"--class-names: {shown(path)} has {len(names)} names, the network {classes} classes; "
            "it takes one for each, in the order of the network's outputs"
        )
    return tuple(names)


def names_in_text(text: str) -> list[str]:
    """One name a line; lines without any may only be the last ones."""
    return all_named(text.rstrip().split("\n"))


def names_in_json(text: str) -> list[str]:
    """A list of names, or a table `{"0": name}` or `{name: 0}`.

    A name can stand behind its identifier in a list of its own, as in ImageNet's class index.
    """
    value = json.loads(text, object_pairs_hook=unique)
    if isinstance(value, list):
        return all_named([as_name(one) for one in value])
    if not isinstance(value, dict):
        raise ValueError(f"it holds {type(value).__name__}, not a list or a table")
    if all(type(one) is int for one in value.values()):
        return in_order((index, name) for name, index in value.items())
    return in_order((as_index(key), as_name(one)) for key, one in value.items())


def unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON table, or a ValueError where a key comes twice, of which Python would drop one."""
    twice = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
    if twice:
        raise ValueError(f"{twice[0]!r} comes twice")
    return dict(pairs)


def names_in_table(text: str) -> list[str]:
    """Rows of a name, or of a name and a number; the first may say which column is which."""
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    rows = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    cells = [[cell.strip() for cell in row] for row in rows if any(map(str.strip, row))]
    if not cells:
        raise ValueError("it holds no rows")
    name, index = columns_of(cells)
    if name is None:
        raise ValueError(f"none of its columns {', '.join(cells[0])} is called name")
    if cells[0][name].lower() in NAME_COLUMNS:
        cells = cells[1:]
    short = [len(row) for row in cells if len(row) <= max(name, index or 0)]
    if short:
        raise ValueError(f"a row has {short[0]} columns, too few")
    if index is None:
        return all_named([row[name] for row in cells])
    return in_order((as_index(row[index]), row[name]) for row in cells)


def columns_of(cells: Sequence[Sequence[str]]) -> tuple[int | None, int | None]:
    """Return the columns of names and of numbers, if any.

    The headings in the first row decide, else the contents of one or two columns.
    """
    header = [cell.lower() for cell in cells[0]]
    name = next((header.index(one) for one in NAME_COLUMNS if one in header), None)
    if name is not None:
        return name, next((header.index(one) for one in INDEX_COLUMNS if one in header), None)
    if len(header) == 1:
        return 0, None
    numbers = [at for at in (0, 1) if all(row[at : at + 1][0].isdecimal() for row in cells)]
    return (1 - numbers[0], numbers[0]) if len(header) == 2 and numbers else (None, None)


def as_name(value: object) -> str:
    """A name, or the last of several names of one class."""
    last = value[-1] if isinstance(value, list) and value else value
    if not isinstance(last, str):
        raise ValueError(f"{value!r} is no name")
    return last


def as_index(text: str) -> int:
    """The number of a class."""
    if not text.strip().isdecimal():
        raise ValueError(f"{text!r} is no number of a class")
    return int(text)


def in_order(pairs: Iterable[tuple[int, str]]) -> list[str]:
    """Names by their numbers, which have to be 0, 1, 2 … without a gap, each once."""
    known: dict[int, str] = {}
    for index, name in pairs:
        if index in known:
            raise ValueError(f"class {index} has two names, {known[index]!r} and {name!r}")
        known[index] = name
    missing = [index for index in range(len(known)) if index not in known]
    if missing:
        raise ValueError(f"it has no name for class {missing[0]}; classes are counted from 0")
    return all_named([known[index] for index in range(len(known))])


def all_named(names: Sequence[str]) -> list[str]:
    """The names, blanks and line breaks in them as one blank each; none may be empty."""
    plain = [" ".join(name.split()) for name in names]
    if "" in plain:
        raise ValueError(f"the name of class {plain.index('')} is empty")
    return plain


READERS: Mapping[str, Callable[[str], list[str]]] = {
    ".json": names_in_json,
    ".csv": names_in_table,
    ".tsv": names_in_table,
}


def folder_names(images: Iterable[str], classes: int) -> tuple[str, ...]:
    """The folders of images that are in one folder for each class, as torchvision's ImageFolder
    sorts them; () where they are otherwise.

    Args:
        images: relative paths, with `/`.
        classes: how many folders there have to be, two at least.
    """
    paths = [name.split("/") for name in images]
    folders = sorted({path[0] for path in paths})
    matches = len(folders) == classes > 1 and all(len(path) == 2 for path in paths)
    return tuple(folders) if matches else ()
