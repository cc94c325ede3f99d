"""One model's folder of the site under construction, and the rules that every site obeys.

`Tree.put` compares each file with the one that is there and stores only what differs, in a
temporary folder beside it. `Tree.swap` completes that folder with hard links to what is unchanged
and puts it in place at once; `Tree.sweep` swaps again, without what the old build left. Between the
two the folder holds old and new files, so that no link of any page is ever broken.
"""

import json
import os
import posixpath
import shutil
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, wait
from pathlib import Path

from ..errors import CacheError, CheckError
from ..files.digests import sha256_bytes
from ..files.files import (
    TEMPORARY,
    cannot,
    exchange,
    has_content,
    is_temporary,
    make_folder,
    temporary_name,
)
from ..files.names import shown
from .links import link_targets, walk
from .parts import parts_needed, site_beside

BUDGET = 900_000_000
"""Bytes of a site that are refused: GitHub Pages takes 1 GB."""

HEAVY = 300_000_000
"""Bytes of a site from which on a deployment may take its 10 minutes."""

LARGEST = 100_000_000
"""Bytes that GitHub takes of one file."""

PENDING = 256
"""Files whose bytes may wait in memory to be written."""

MANIFEST = "manifest.json"
"""In each model's folder: the files that we made, so that others are left alone."""


class Tree:
    """The folder of one model, old and new.

    Args:
        site: the site's folder.
        folder: name of the model's folder inside it.
        pool: compares and writes, while the caller goes on.

    Raises:
        CacheError: the place is taken by something that is not a folder.
    """

    def __init__(self, site: Path, folder: str, pool: Executor) -> None:
        self.pool = pool
        self.pending: deque[tuple[str, Future[bool]]] = deque()
        self.old = site / folder
        self.new = site / temporary_name()
        self.sizes: dict[str, int] = {}
        self.digests: dict[str, str] = {}
        self.changed: set[str] = set()
        self.targets: dict[str, str] = {}
        if self.old.is_symlink() or (self.old.exists() and not self.old.is_dir()):
            raise CacheError(f"{shown(self.old)} is not a folder; move it away and build again")
        self.before = frozenset(read_manifest(self.old))

    def put(self, path: str, data: bytes) -> None:
        """Take a file into the new tree.

        Args:
            path: relative to the folder, with `/`.
            data: all its bytes.

        Raises:
            CacheError: this or an earlier file cannot be written, or a file that we did not make
                has its name.
            CheckError: it is larger than a site may publish.
        """
        assert path not in self.sizes, path
        if len(data) > LARGEST:
            raise CheckError(
                f"{shown(path)} would have {len(data) // 1_000_000} MB and GitHub takes 100 MB a "
                "file; build fewer --layers or --units"
            )
        self.sizes[path] = len(data)
        self.pending.append((path, self.pool.submit(self.write, path, data)))
        self.settle(PENDING)

    def write(self, path: str, data: bytes) -> bool:
        """Write a file into the new tree unless the old one has it; whether it did."""
        self.digests[path] = digits(data)
        if path in self.before and has_content(self.old / path, data):
            return False
        if path not in self.before and os.path.lexists(f"{self.old}/{path}"):
            raise CacheError(
                f"{shown(self.old / path)} is in the way and was not made here; move it away"
            )
        write_plainly(f"{self.new}/{path}", data)
        return True

    def settle(self, leave: int = 0) -> None:
        """Wait until at most `leave` files are still being written.

        Raises:
            CacheError: one of them cannot be written.
        """
        while len(self.pending) > leave:
            path, future = self.pending.popleft()
            if future.result():
                self.changed.add(path)

    def put_page(self, path: str, html: str) -> None:
        """Take a page into the new tree and remember where its links lead."""
        self.put(path, html.encode("utf-8", "replace"))
        for target in link_targets(f"{self.old.name}/{path}", html):
            self.targets.setdefault(target, path)

    def read(self, path: str) -> bytes:
        """A file of the new tree.

        Raises:
            CacheError: it cannot be read.
        """
        self.settle()
        place = self.new if path in self.changed else self.old
        try:
            return (place / path).read_bytes()
        except OSError as error:
            raise cannot("read", place / path, error) from error

    @property
    def paths(self) -> list[str]:
        """The files of the new tree, as paths in the site."""
        return [f"{self.old.name}/{path}" for path in self.sizes]

    @property
    def orphans(self) -> list[str]:
        """Files of the last build that this one did not make."""
        gone = sorted(self.before - self.sizes.keys() - {MANIFEST})
        return [path for path in gone if os.path.lexists(self.old / path)]

    @property
    def is_unchanged(self) -> bool:
        """True if the old tree is already the new one."""
        self.settle()
        return not self.changed and self.before == {*self.sizes, MANIFEST}

    def check_links(self, root: frozenset[str], beside: frozenset[str] = frozenset()) -> None:
        """Refuse a tree with a link that leads nowhere; it may lead to pages of other models.

        Args:
            root: files that this build writes beside the models' folders.
            beside: names of the sites beside this one that links may lead to.

        Raises:
            CheckError: names one such link.
        """
        ours = f"{self.old.name}/"
        for target, page in sorted(self.targets.items()):
            inside = target.startswith(ours) and target.removeprefix(ours) in self.sizes
            known = inside or target in root or site_beside(target, beside)
            if not known and not self.is_of_another(target):
                raise CheckError(
                    f"page {ours}{page} links to {shown(target)}, which is not there; if you use "
                    "templates of your own, correct the link"
                )

    def is_of_another(self, target: str) -> bool:
        """Return whether a path in the site is a file in the folder of another model."""
        folder, site = target.partition("/")[0], self.old.parent
        ours = folder == self.old.name or is_temporary(folder) or not is_inside(target)
        return not ours and (site / folder / MANIFEST).is_file() and (site / target).is_file()

    def swap(self) -> None:
        """Put the new tree in place of the old one, which keeps its unchanged files' inodes.

        Raises:
            CacheError: the folder cannot be written; the old tree is untouched.
        """
        self.settle()
        write_plainly(
            f"{self.new}/{MANIFEST}", manifest(sorted({*self.sizes, *self.orphans, MANIFEST}))
        )
        self.complete(self.changed)

    def sweep(self) -> int:
        """Leave out what only the old tree had, by a second swap.

        Deleting one by one would break links for a moment: old pages link to each other.

        Returns:
            The number of files removed.

        Raises:
            CacheError: the folder cannot be written; new and old files are still there.
        """
        self.discard()
        self.new = self.new.with_name(temporary_name())  # what could not be deleted stays behind
        orphans = self.orphans
        if orphans:
            write_plainly(f"{self.new}/{MANIFEST}", manifest(sorted({*self.sizes, MANIFEST})))
            self.complete({*orphans})
            self.discard()
        return len(orphans)

    def complete(self, besides: set[str]) -> None:
        """Fill the temporary folder up with what is in the place, and exchange the two.

        Args:
            besides: files that are not taken over.
        """
        for path in walk(self.old):
            if path not in besides and path != MANIFEST:
                take_over(self.old / path, self.new / path)
        exchange(self.new, self.old)

    def discard(self) -> None:
        """Remove the temporary folder, if there is one; nothing is written after that."""
        for _, future in self.pending:
            future.cancel()
        wait([future for _, future in self.pending])
        self.pending.clear()
        shutil.rmtree(self.new, ignore_errors=True)


def reader(tree: Tree) -> Callable[[str], bytes]:
    """Return how to read a file of any model of the site: new where it is the tree's."""
    site, ours = tree.old.parent, f"{tree.old.name}/"

    def read(path: str) -> bytes:
        inside = path.startswith(ours)
        return tree.read(path.removeprefix(ours)) if inside else (site / path).read_bytes()

    return read


def digits(data: bytes) -> str:
    """Digits that tell bytes of a file from others."""
    return sha256_bytes(data)[:32]


def manifest(paths: list[str]) -> bytes:
    """Content of a manifest: one path a line, so that it can be compared by eye."""
    return (json.dumps({"schema": 1, "files": paths}, indent=0) + "\n").encode()


def read_manifest(folder: Path) -> list[str]:
    """The files that we made in a model's folder; none where there is no manifest of ours.

    Paths that lead out of the folder are not believed.
    """
    try:
        table = json.loads((folder / MANIFEST).read_bytes())
        paths = [str(path) for path in table["files"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [path for path in paths if posixpath.normpath(path) == path and is_inside(path)]


def is_inside(path: str) -> bool:
    """Return whether a relative path stays in its folder."""
    return not path.startswith(("/", "..")) and path not in ("", ".") and "\0" not in path


def write_plainly(path: str, data: bytes) -> None:
    """Write a file of a tree that is not yet in place: no fsync, it may be lost with the tree."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    try:
        try:
            descriptor = os.open(path, flags, 0o666)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            descriptor = os.open(path, flags, 0o666)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        finally:
            os.close(descriptor)
    except OSError as error:
        raise cannot("write", Path(path), error) from error


def take_over(old: Path, new: Path) -> None:
    """Have an unchanged file in the new tree too: as a hard link, or else as a copy."""
    try:
        new.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(old, new, follow_symlinks=False)
        except OSError:
            shutil.copy2(old, new, follow_symlinks=False)
    except OSError as error:
        raise cannot("copy", old, error) from error


def remove_temporaries(site: Path) -> None:
    """Make the site's folder, and remove what an interrupted build left in it."""
    make_folder(site)
    for path in [*site.glob(f"{TEMPORARY}*"), *site.glob(f"*/{TEMPORARY}*")]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


# --- budget --------------------------------------------------------------------------------------


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum((folder / path).lstat().st_size for path in walk(folder))


def check_budget(total: int, parts: int = 1) -> list[str]:
    """Refuse a site that is too large to publish, warn of a heavy one.

    Args:
        total: bytes of the whole site.
        parts: of which it is one.

    Raises:
        CheckError: it is over the budget; says what to do.
    """
    size = f"{total / 1e6:,.0f} MB"
    if total > BUDGET:
        needed = max(parts + 1, parts_needed(total * parts, BUDGET))
        raise CheckError(
            f"the site would have {size} and GitHub Pages takes 1 GB (limit here "
            f"{BUDGET / 1e6:,.0f} MB); use fewer --units, --layers or --recipe, a smaller --size, "
            "or another --site folder for this model, or write it in "
            f"{needed} parts: --site-part 1/{needed}"
        )
    if total > HEAVY:
        return [f"the site has {size}; above {HEAVY / 1e6:,.0f} MB a deployment may time out"]
    return []
