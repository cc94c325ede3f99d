"""Links of pages: where each leads, and which lead nowhere."""

import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from ..files.files import is_temporary
from ..files.names import shown

LINK = re.compile(r'\b(?:href|src|srcset)="([^"]*)"')

ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|#|$", re.IGNORECASE)
"""Links that need no file: other schemes, fragments of the page itself, nothing."""


def link_targets(page: str, html: str) -> set[str]:
    """Files that a page links to.

    Args:
        page: its path in the site.
        html: its markup, attributes in double quotes.

    Returns:
        Paths in the site; one that leaves it starts with `..`.
    """
    folder, targets = posixpath.dirname(page), set()
    for value in set(LINK.findall(html)):
        for candidate in value.split(", "):
            link = candidate.split(" ")[0]
            if not ELSEWHERE.match(link):
                path = unquote(link.split("#")[0].split("?")[0])
                joined = f"{folder}/{path}" if folder else path
                targets.add(posixpath.normpath(joined) if "./" in joined else joined)
    return targets


def broken_links(site: Path) -> list[str]:
    """Every link of every page of a site that leads to no file, in words."""
    broken = []
    for path in sorted(walk(site)):
        if path.endswith(".html") and not is_temporary(path.partition("/")[0]):
            html = (site / path).read_text("utf-8", "replace")
            for target in sorted(link_targets(path, html)):
                if target.startswith("..") or not (site / target).is_file():
                    broken.append(f"{path} links to {shown(target)}, which is not there")
    return broken


def walk(folder: Path) -> Iterator[str]:
    """Every file and link below a folder, as relative paths with `/`."""
    for top, folders, names in os.walk(folder):
        base = Path(top).relative_to(folder).as_posix()
        links = [name for name in folders if (Path(top) / name).is_symlink()]
        for name in (*names, *links):
            yield name if base == "." else f"{base}/{name}"
