"""Names that are safe as folders, in URLs and in messages. Start at `escape_name`."""

import re
from collections.abc import Iterable
from pathlib import Path

from .digests import sha256_bytes

NAME_BYTES = 190
"""Longest escaped name: 255 is the limit of file systems, and suffixes are put behind it."""

RESERVED = frozenset({"assets", "classes", "compare", "images", "img", "lists", "vendor"})
"""Folders of the site that no model and no layer may take."""

RESERVED_ENDINGS = (
    *(".css", ".csv", ".h5", ".html", ".jpg", ".js"),
    *(".json", ".md", ".png", ".svg", ".txt", ".xml"),
)
"""Endings of the files that are beside the folders of models and layers."""

DEVICES = frozenset(
    ("con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10)))
)
"""Names that Windows gives to devices, with any ending."""

PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")


def shown(path: Path | str) -> str:
    """A path as it may be printed: control characters and bytes that are no text are escaped."""
    text = str(path)
    return text if text.isprintable() else ascii(text)[1:-1]


def escape_name(name: str) -> str:
    """Turn any text into one folder name that is safe on every system and in a URL as it is.

    Letters, digits, `.`, `_` and `-` stay; every other byte of the UTF-8 text becomes `~` and two
    capital hexadecimal digits. A leading `_` or `.`, a trailing `.`, and the first letter of a
    reserved name (a folder or file of the site, a device of Windows) are escaped too; the empty
    text is `~`. Distinct texts give distinct names and `unescape_name` goes back, except beyond
    190 bytes: those end in `~~` and 16 digits of their SHA-256.

    Returns:
        1 to 190 ASCII characters out of `A-Z a-z 0-9 . _ - ~`.
    """
    data = name.encode("utf-8", "surrogatepass")
    if not data:
        return "~"
    marked = {0} if data[0] in b"_." or is_reserved(name) else set()
    if data.endswith(b"."):
        marked.add(len(data) - 1)
    escaped = "".join(
        chr(byte) if byte in PLAIN and at not in marked else f"~{byte:02X}"
        for at, byte in enumerate(data)
    )
    return escaped if len(escaped) <= NAME_BYTES else shorten(escaped, data)


def is_reserved(name: str) -> bool:
    """Return whether the site or Windows uses this name, in whatever case."""
    lower = name.lower()
    return lower in RESERVED or lower.endswith(RESERVED_ENDINGS) or lower.split(".")[0] in DEVICES


def shorten(escaped: str, data: bytes) -> str:
    """Cut an escaped name to its limit; a digest of the whole keeps it distinct."""
    digest = sha256_bytes(data)[:16]
    start = re.sub(r"~.?$", "", escaped[: NAME_BYTES - len(digest) - 2])
    return f"{start}~~{digest}"


def unescape_name(escaped: str) -> str:
    """The text that `escape_name` was given.

    Raises:
        ValueError: not an escaped name, or one that was shortened or numbered.
    """
    if escaped == "~":
        return ""
    if not re.fullmatch(r"(?:[A-Za-z0-9._-]|~[0-9A-F]{2})+", escaped):
        raise ValueError(f"{escaped!r} is not an escaped name that can be turned back")
    data = re.sub(
        rb"~([0-9A-F]{2})", lambda match: bytes.fromhex(match[1].decode()), escaped.encode()
    )
    return data.decode("utf-8", "surrogatepass")


def folder_names(names: Iterable[str]) -> dict[str, str]:
    """Folder names for texts that stand side by side, also where `A` and `a` are one folder.

    The first of several that differ in case only keeps its escaped name, later ones get `~c2`,
    `~c3` and so on (in small letters, so that they are no escapes).

    Returns:
        text → folder name, in the order given; no two are equal when case is ignored.
    """
    folders: dict[str, str] = {}
    taken: set[str] = set()
    for name in dict.fromkeys(names):
        folder = plain = escape_name(name)
        number = 2
        while folder.lower() in taken:
            folder = f"{plain}~c{number}"
            number += 1
        folders[name] = folder
        taken.add(folder.lower())
    return folders
