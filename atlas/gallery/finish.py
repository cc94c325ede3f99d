"""What comes after the pages of a model: the pages above the models, and all put in its place.

`open_tree` gives a folder to write in; `finish` puts it, and the root pages made from the
`model.json` of every model that is there, in their places.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import CacheError, UsageError
from ..files.files import has_content, write_if_changed
from .data.encode import Json, to_json
from .data.models import site_file
from .labels import of_no_model
from .lists import ListView, UnitList, find_places, view_lists
from .pages import front
from .pages import lists as listpages
from .pages.frame import FillTemplate, asset_paths, load_templates
from .parts import sites_beside
from .tree import MANIFEST, Tree, check_budget, digits, manifest, reader, remove_temporaries


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteReport:
    """Result of a build of the site.

    Attributes:
        written, unchanged, removed: numbers of files.
        bytes: size of the whole site.
        unknown_labels: keys of labels whose unit this site does not show.
        warnings: sentences for the user.
        unnamed: keys of labels that name no unit of the model; some may belong to other models.
        digests: file of the model's folder → digits that tell its bytes.
    """

    written: int
    unchanged: int
    removed: int
    bytes: int
    unknown_labels: tuple[str, ...]
    warnings: tuple[str, ...]
    unnamed: tuple[str, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What the pages of all models share: templates folders, public address, filled templates."""

    templates: Sequence[Path]
    url: str
    fill: FillTemplate

    @classmethod
    def load(cls, templates: Sequence[Path], site_url: str) -> "Frame":
        """Check the public address and the folders, and load the templates.

        Raises:
            UsageError: one of them cannot be used.
        """
        url = check_url(site_url)
        return cls(templates=templates, url=url, fill=load_templates(templates, url))


@contextmanager
def open_tree(site: Path, folder: str) -> Iterator[Tree]:
    """A model's folder of the site to write in; what is not put in its place is discarded."""
    remove_temporaries(site)
    pool = ThreadPoolExecutor(min(4, os.cpu_count() or 1))
    tree = Tree(site, folder, pool)
    try:
        yield tree
    finally:
        tree.discard()
        pool.shutdown()


def finish(
    tree: Tree, model: Json, frame: Frame, unnamed: Sequence[str], lists: Sequence[UnitList]
) -> SiteReport:
    """Make the lists and the root pages and put all in its place, once a model's folder is made.

    Args:
        tree: the model's folder.
        model: what `build_model` returned.
        frame: of all pages.
        unnamed: keys of labels that name no unit of the model.
        lists: of units of any model of the site.

    Raises:
        CacheError, CheckError: as of `write_site`.
    """
    tree.settle()
    site, folder = tree.old.parent, tree.old.name
    others, warnings = front.read_models(site, folder)
    models = sorted([*others, {**front.ADDED, **model}], key=lambda model: model["folder"])
    searches = [model.get("search") or front.searched(tree) for model in models]
    shelf = Tree(site, listpages.FOLDER, tree.pool)
    try:
        views, doubts = view_lists(lists, find_places(models, searches), reader(tree))
        listpages.write_lists(views, shelf, frame.fill, front.search_example(searches))
        root = root_files(models, (tree, shelf), frame, searches, views)
        warnings += doubts + check_whole(tree, shelf, root, sites_beside(models))
        total = front.site_bytes(site, (tree, shelf), root)
        warnings += check_budget(total, max(one["parts"] for one in models))
        written, removed = replace(site, (tree, shelf), root)
    finally:
        shelf.discard()
    return SiteReport(
        written=written,
        unchanged=len(tree.sizes) + len(shelf.sizes) + len(root) - written,
        removed=removed,
        bytes=total,
        unknown_labels=of_no_model(unnamed, model["model"], [one["model"] for one in others]),
        warnings=tuple(warnings),
        unnamed=tuple(unnamed),
        digests={**tree.digests, MANIFEST: digits(manifest(sorted({*tree.sizes, MANIFEST})))},
    )


def check_url(site_url: str) -> str:
    """The public address without a slash at its end.

    Raises:
        UsageError: it is not a web address.
    """
    if site_url and not site_url.startswith(("https://", "http://")):
        raise UsageError(f"--site-url is {site_url!r}; it starts with https:// or http://")
    return site_url.rstrip("/")


def refuse_foreign(site: Path, root: Mapping[str, bytes]) -> None:
    """Refuse to replace root files that we did not make.

    Raises:
        CacheError: names one.
    """
    before = front.read_root(site)
    for path, data in root.items():
        foreign = path not in before and os.path.lexists(site / path)
        if foreign and not has_content(site / path, data):
            raise CacheError(
                f"{site / path} is in the way and was not made here; move it away and build again"
            )


def check_whole(
    tree: Tree, shelf: Tree, root: Mapping[str, bytes], beside: frozenset[str]
) -> list[str]:
    """Refuse a site with a link of ours that leads nowhere, or in whose place others' files are.

    Args:
        tree, shelf: a model's folder and that of the lists.
        root: files beside them.
        beside: names of the sites that links may lead to, whether they are there yet or not.

    Returns:
        The broken links into the folders of other models, in words.

    Raises:
        CacheError: names such a file.
        CheckError: names such a link.
    """
    site = tree.old.parent
    refuse_foreign(site, root)
    tree.check_links(frozenset({*root, *shelf.paths}), beside)
    shelf.check_links(frozenset({*root, *tree.paths}), beside)
    return front.check_root_links(root, (tree, shelf), beside)


def replace(site: Path, trees: Sequence[Tree], root: Mapping[str, bytes]) -> tuple[int, int]:
    """Put everything in place: the model's folder, the lists, the root pages, then clear up.

    Returns:
        Numbers of files written and removed.
    """
    before, written, removed = front.read_root(site), 0, 0
    for tree in trees:
        if not tree.is_unchanged:
            tree.swap()
        written += len(tree.changed)
    for path, data in root.items():
        written += write_if_changed(site / path, data)
    for path in before:
        if path not in root:
            (site / path).unlink(missing_ok=True)
            removed += 1
    return written, removed + sum(tree.sweep() for tree in reversed(trees))


def root_files(
    models: Sequence[Json],
    trees: Sequence[Tree],
    frame: Frame,
    searches: Sequence[Json],
    lists: Sequence[ListView],
) -> dict[str, bytes]:
    """Every file beside the models' folders: path → bytes, in the order they are to be written."""
    shared = {
        "example": front.search_example(searches),
        "stands_on": "",
        "ready": front.ready(models),
    }
    files = {
        page.path: frame.fill(page.kind, {**values, **shared, "page": page}).encode(
            "utf-8", "replace"
        )
        for page, values in front.pages(models, searches, lists)
    }
    files |= {f"assets/{path.name}": path.read_bytes() for path in asset_paths(frame.templates)}
    files["assets/units.js"] = b"window.atlasUnits=" + to_json(searches).rstrip() + b";\n"
    files[".nojekyll"] = b""
    if frame.url:
        files["sitemap.xml"] = front.sitemap(trees[0].old.parent, models, trees, frame.url)
        files["robots.txt"] = (
            f"User-agent: *\nAllow: /\nSitemap: {frame.url}/sitemap.xml\n".encode()
        )
    # atlas.json comes first: it names the root files as ours before the first of them is written.
    table = site_file(models, sorted(["atlas.json", *files]))
    return {"atlas.json": to_json(table), **files}
