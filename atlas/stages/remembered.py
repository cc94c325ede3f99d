"""The pages of an atlas as its last build left them: need they be made again?

`Remembered.stand` answers without opening a block of the cache. What pages are made from is listed
before the cache is opened: what is added to it meanwhile then counts as new. A new file that people
write, or an option that reaches the gallery otherwise than through the selection, must be listed in
`inputs`, or pages would not follow it.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..cache.holdings import list_holdings
from ..cache.selection import Selection, read_selection, selection_path
from ..config import Config
from ..errors import CacheError, InputError
from ..files.digests import fingerprint, sha256_file
from ..files.names import escape_name
from ..gallery.again import write_again
from ..gallery.finish import SiteReport
from ..gallery.lists import UnitList
from ..gallery.memory import recall, remember, write_memory
from ..gallery.pages.frame import TEMPLATES
from ..gallery.parts import site_names
from ..gallery.tree import MANIFEST
from .lists import all_lists
from .run_info import library_versions

MEMORY = "site.json"
"""Name of the memory, among the notes beside the results that pages are made from."""


def memory_name(number: int, count: int) -> str:
    """The same of a part of a site: each has a memory of its own."""
    return MEMORY if count == 1 else f"site-{number}-of-{count}.json"


PROGRAM = (Path(__file__).parents[1], TEMPLATES)
"""Folders of the program and of its templates."""

LIBRARIES = ("numpy", "opencv-python-headless", "h5py", "jinja2", "markupsafe", "msgspec")
"""What draws pictures and fills templates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """The pages of one atlas as far as they are remembered.

    Attributes:
        path: of the memory.
        key: digest of all that pages would be made from now.
        folder: name of the atlas's folder in the site.
        config: of the run.
        lists: that people made of units of any atlas.
    """

    path: Path
    key: str
    folder: str
    config: Config
    lists: Sequence[UnitList]

    @classmethod
    def of(cls, selection: Path, people: Sequence[Path], config: Config) -> "Remembered":
        """Work out what the pages of an atlas would be made from now.

        Args:
            selection: path of its selection.
            people: folders of the files that people write about their atlases.
            config: of the run.

        Raises:
            InputError: its selection cannot be read, or a list of people's is broken.
        """
        return cls(
            path=selection.parent / read_selection(selection).key / memory_name(*config.site_part),
            key=fingerprint(inputs(selection, people, config)),
            folder=selection.parent.name,
            config=config,
            lists=all_lists(people, config.lists),
        )

    def stand(self) -> SiteReport | None:
        """Bring the pages above the models up to date where the atlas's own need not be made."""
        memory = recall(self.path, self.key)
        found = memory.found_in(self.config.site / self.folder) if memory else None
        if found is None:
            return None
        if found != memory:
            with suppress(CacheError):
                write_memory(self.path, found)
        return write_again(
            found,
            site=self.config.site,
            folder=self.folder,
            site_url=self.config.site_url,
            templates=[],
            lists=self.lists,
        )

    def keep(self, report: SiteReport) -> None:
        """Remember pages that were just made from all of this."""
        remember(self.path, self.key, self.config.site / self.folder, report)


def inputs(path: Path, people: Sequence[Path], config: Config) -> dict[str, object]:
    """Everything that the pages of an atlas are made from.

    Args:
        path: of its selection.
        people: folders of the files that people write about their atlases.
        config: of the run.

    Raises:
        InputError: its selection cannot be read.
    """
    selection = read_selection(path)
    return {
        "program": program(),
        "selection": digest_of(path),
        "results": list_holdings(path.parent / selection.key),
        "reference": digest_of(Path(selection.reference)) if selection.reference else "",
        "people": [digests_of(sorted(folder.glob("*.toml")), folder) for folder in people],
        "lists": digest_of(Path(config.lists)) if config.lists else "",
        "site_url": config.site_url,
        "part": names_of(config),
        "compare": compared(config, selection),
    }


def names_of(config: Config) -> Sequence[str]:
    """The names of the sites of all parts; () where there is only one."""
    number, count = config.site_part
    return site_names(config.site, number, count) if count > 1 else ()


def compared(config: Config, selection: Selection) -> Mapping[str, object]:
    """What the page is made from that compares an atlas with another one, if any."""
    if not selection.compare:
        return {}
    path = selection_path(config.cache, selection.compare)
    try:
        key = read_selection(path).key
    except InputError:  # it is gone: there will be a warning instead of a page
        return {"selection": ""}
    pages = config.site / escape_name(selection.compare) / MANIFEST
    return {
        "selection": digest_of(path),
        "results": list_holdings(path.parent / key),
        "pages": digest_of(pages),
    }


def program() -> dict[str, object]:
    """Digests of the program and its templates, and the versions of the libraries that it uses."""
    files = [digests_of(sorted(filter(is_source, one.rglob("*"))), one) for one in PROGRAM]
    return {"versions": library_versions(LIBRARIES), "files": files}


def is_source(path: Path) -> bool:
    """Return whether a path is a file of the program: neither data nor what Python made of it."""
    return path.is_file() and path.suffix not in (".pyc", ".h5")


def digests_of(paths: Sequence[Path], folder: Path) -> dict[str, str]:
    """Path in a folder → SHA-256 of the file."""
    return {path.relative_to(folder).as_posix(): digest_of(path) for path in paths}


def digest_of(path: Path) -> str:
    """SHA-256 of a file; "" where it cannot be read."""
    try:
        return sha256_file(path)
    except OSError:
        return ""
