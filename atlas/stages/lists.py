"""Lists of units that people made: read from their files, and refused where they are broken."""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from reprlib import repr as short
from typing import Any

from ..errors import InputError, did_you_mean
from ..files.digests import sha256_bytes
from ..files.names import is_reserved, shown
from ..gallery.lists import UnitList
from .labels import read_toml

LISTS = "lists.toml"

FIELDS = ("title", "text", "units", "slug")
"""What a list may have."""

SLUG = 60
"""Characters of an address at most."""


def all_lists(folders: Sequence[Path], file: str) -> tuple[UnitList, ...]:
    """The lists of a file, or those in all of these folders; of one address, later ones win.

    Args:
        folders: where `lists.toml` may be.
        file: another file, instead of these; "" for none.

    Raises:
        InputError: the file is not there, or one of the files is broken.
    """
    if file and not Path(file).is_file():
        raise InputError(f"--lists: there is no file {shown(file)}")
    paths = [Path(file)] if file else [folder / LISTS for folder in folders]
    return tuple({one.slug: one for path in paths for one in read_lists(path)}.values())


def read_lists(path: Path) -> list[UnitList]:
    """The lists in a file.

    Raises:
        InputError: it is not TOML, or not of lists; says which one and what is wrong.
    """
    table = read_toml(path)
    check_names(shown(path), table, ("list",))
    rows = table.get("list", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{shown(path)}: write [[list]] above each list, in double brackets")
    lists = [read_list(f"{shown(path)}: list {at}", row) for at, row in enumerate(rows, 1)]
    check_distinct(path, lists)
    return lists


def read_list(where: str, row: Mapping[str, Any]) -> UnitList:
    """One list; `where` begins the message if it is broken."""
    check_names(where, row, FIELDS)
    title, text, slug = (read_text(where, row, name) for name in ("title", "text", "slug"))
    if not title:
        raise InputError(f'{where} has no title; write title = "…"')
    if slug and not re.fullmatch(rf"[a-z0-9-]{{1,{SLUG}}}", slug):
        raise InputError(f"{where}: slug is {short(slug)}; allowed: up to {SLUG} of a-z, 0-9 and -")
    units = tuple(read_units(f"{where}, {short(title)}", row.get("units", {})))
    return UnitList(slug=slug or slug_of(title), title=title, text=text, units=units)


def read_text(where: str, row: Mapping[str, Any], name: str) -> str:
    """A text of a list, or ""."""
    value = row.get(name, "")
    if not isinstance(value, str):
        raise InputError(f"{where}: {name} is {short(value)}, not text in quotes")
    return value.strip() if name == "text" else " ".join(value.split())


def read_units(where: str, units: object) -> Iterator[tuple[str, str]]:
    """Name and sentence of each unit of a list."""
    named = dict.fromkeys(units, "") if isinstance(units, list) and is_texts(units) else units
    if not isinstance(named, dict):
        raise InputError(
            f"{where}: units is {short(units)}, not lines like "
            '"blocks.5.3:170" = "A sentence." below [list.units]'
        )
    if not named:
        raise InputError(f"{where} names no unit; write them below [list.units]")
    for name, sentence in named.items():
        if not isinstance(sentence, str):
            raise InputError(
                f"{where}: {name} is {short(sentence)}, not a sentence; write both in quotes: "
                '"blocks.5.3:170" = "A sentence."'
            )
        yield name.strip(), sentence.strip()


def is_texts(values: Sequence[object]) -> bool:
    """Return whether all of these values are texts."""
    return all(isinstance(one, str) for one in values)


def check_names(where: str, row: Mapping[str, Any], allowed: Sequence[str]) -> None:
    """Raise an InputError if a table has a key that means nothing."""
    for name in row:
        if name not in allowed:
            hint = did_you_mean(name, allowed)
            raise InputError(f"{where}: unknown key {name!r}; allowed: {', '.join(allowed)}{hint}")


def check_distinct(path: Path, lists: Sequence[UnitList]) -> None:
    """Raise an InputError if two lists of a file have one title or one address."""
    seen: dict[str, UnitList] = {}
    for one in lists:
        for key in (f"title {one.title}", f"address {one.slug}"):
            if key in seen:
                kind, _, value = key.partition(" ")
                raise InputError(
                    f"{shown(path)}: the lists {seen[key].title!r} and {one.title!r} have the same "
                    f"{kind}, {value!r}; change a title, or give one of them another slug"
                )
            seen[key] = one


def slug_of(title: str) -> str:
    """The part of an address that a title gives: its words, as far as they are Latin letters."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    slug = "-".join(re.findall(r"[a-z0-9]+", plain.replace("'", "")))[:SLUG].strip("-")
    if not slug:
        return f"list-{sha256_bytes(title.encode('utf-8', 'replace'))[:8]}"
    return f"{slug}-list" if is_reserved(slug) else slug
