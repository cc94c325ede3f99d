"""The pages of an atlas, written where they are not as they would be made again.

`write_pages` is the way in of a build, `write_again` that of a run which loads no model. Where
other atlases compare themselves with this one, theirs are written again, because their links lead
to its pages.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..cache.selection import SELECTION, Selection, atlas_name, read_selection
from ..cache.store import Store
from ..config import Config
from ..errors import AtlasError, InputError
from ..files.files import make_folder
from ..files.lock import turn
from ..files.names import escape_name, shown
from ..gallery.addresses import comparison_page
from ..gallery.finish import SiteReport
from ..gallery.links import link_targets
from ..gallery.tree import read_manifest
from ..progress import Progress
from ..records.units import Rendering
from .remembered import Remembered
from .site import LABEL_FOLDERS, open_atlas, say_report, write_model_pages


def write_pages(
    store: Store,
    selection: Selection,
    failures: Sequence[Rendering],
    config: Config,
    progress: Progress,
) -> int:
    """Write the site of one model and say what changed; then of those that compare with it.

    Returns:
        How many kinds of pages had to be left out.
    """
    path, left_out = store.folder.parent / SELECTION, 0
    with our_turn(config, progress):
        remembered = Remembered.of(path, LABEL_FOLDERS, config)
        report = None if failures else remembered.stand()
        if report is None:
            report, left_out = write_model_pages(remembered, store, selection, failures, progress)
        say_report(report, config, progress)
        rewrite_others(path.parent, report, config, progress)
    return left_out


@contextmanager
def our_turn(config: Config, progress: Progress) -> Iterator[None]:
    """Write in the site while no other build does."""
    make_folder(config.site)
    words = f"another build writes in {shown(config.site)}: waiting until it is done"
    with turn(config.site, lambda: progress.say(words)):
        yield


def write_again(path: Path, config: Config, progress: Progress) -> None:
    """Write the site of the atlas of a selection, as the cache holds it, as `write_pages` does."""
    with our_turn(config, progress):
        report = write_selected(path, config, progress)
        rewrite_others(path.parent, report, config, progress)


def write_selected(path: Path, config: Config, progress: Progress) -> SiteReport:
    """Write the site of the atlas of a selection; its blocks are opened only if need be."""
    remembered = Remembered.of(path, LABEL_FOLDERS, config)
    report = remembered.stand()
    if report is None:
        with open_atlas(path) as (store, selection):
            report, _ = write_model_pages(remembered, store, selection, (), progress)
    say_report(report, config, progress)
    return report


def rewrite_others(folder: Path, report: SiteReport, config: Config, progress: Progress) -> None:
    """Write again the pages of atlases that are compared with one whose pages were written.

    Args:
        folder: of that one in the cache.
        report: of its build.
        config, progress: of this run.
    """
    for path in sorted(folder.parent.glob(f"*/{SELECTION}")):
        model = path.parent.name
        page = f"{model}/{comparison_page(folder.name)}"
        changed = report.written or report.removed or is_stale(config.site, page)
        if changed and compares_with(path, folder) and read_manifest(config.site / model):
            rewrite(path, config, progress)


def rewrite(path: Path, config: Config, progress: Progress) -> None:
    """Write the pages of another atlas again, which compares itself with the one just built.

    What goes wrong with it is a warning: the atlas that was asked for is done.

    Args:
        path: its selection.
        config, progress: of this run.
    """
    name = atlas_name(path.parent)
    progress.say(f"{name} is compared with it: its pages are written again")
    try:
        write_selected(path, config, progress)
    except AtlasError as error:
        progress.warn(f"the pages of {name} could not be written again: {error}")


def compares_with(path: Path, folder: Path) -> bool:
    """Return whether the atlas of a selection is compared with that of this folder of the cache."""
    try:
        name = read_selection(path).compare
    except InputError:  # its own build will say so
        return False
    return path.parent != folder and escape_name(name) == folder.name


def is_stale(site: Path, page: str) -> bool:
    """Return whether a page of the site is missing, or a link from it into the site is broken."""
    if not (site / page).is_file():
        return True
    targets = link_targets(page, (site / page).read_text("utf-8", "replace"))
    inside = [target for target in targets if not target.startswith("../")]
    return not all((site / target).is_file() for target in inside)
