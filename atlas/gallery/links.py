"""Links of pages: where each leads, and which lead nowhere."""

import os
import posixpath
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from urllib.parse import unquote

from ..files.files import is_temporary
from ..files.names import shown
from .parts import site_beside

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


def site_links(site: Path) -> Iterator[tuple[str, str]]:
    """Every page of a site with each path that it links to."""
    for path in sorted(walk(site)):
        if path.endswith(".html") and not is_temporary(path.partition("/")[0]):
            html = (site / path).read_text("utf-8", "replace")
            yield from ((path, target) for target in sorted(link_targets(path, html)))


def broken_links(site: Path, beside: Collection[str] = ()) -> list[str]:
    """Every link of every page of a site that leads to no file, in words.

    Args:
        site: its folder.
        beside: names of the sites beside it that links may lead to; what leads to one that is not
            there is not called broken.
    """
    home, broken = Path(os.path.abspath(site)), []
    missing = {name for name in beside if not (home.parent / name).is_dir()}
    for path, target in site_links(home):
        other = site_beside(target, beside)
        place = home.parent / target.removeprefix("../") if other else home / target
        leaves = target.startswith("..") and not other
        if other not in missing and (leaves or not place.is_file()):
            broken.append(f"{path} links to {shown(target)}, which is not there")
    return broken


def count_links(site: Path, name: str) -> int:
    """Number of links of a site that lead to the one of a name beside it."""
    return sum(bool(site_beside(target, [name])) for _, target in site_links(site))


def walk(folder: Path) -> Iterator[str]:
    """Every file and link below a folder, as relative paths with `/`."""
    for top, folders, names in os.walk(folder):
        base = Path(top).relative_to(folder).as_posix()
        links = [name for name in folders if (Path(top) / name).is_symlink()]
        for name in (*names, *links):
            yield name if base == "." else f"{base}/{name}"
