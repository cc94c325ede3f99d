"""The order of the stages, and the only module that knows it.

`make_atlas` is the table of contents: read it first, then follow any of its lines into the module
that does that part. Every stage takes what the cache already holds and adds what is missing. The
other functions are the commands; each returns the exit code.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from . import __version__
from .cache.audit import check as check_cache
from .cache.export import write_export
from .cache.folder import key_folders
from .cache.selection import SELECTION, Selection, selection_path
from .cache.store import Store
from .config import Config
from .errors import CheckError, InputError, UsageError
from .files.names import shown
from .gallery.write import check_site, unchecked_links
from .models.selection import left_out, select_layers
from .progress import Progress
from .records.units import Rendering
from .stages.attribution import attribute_units
from .stages.choose import choose_units
from .stages.circuits import trace_circuits
from .stages.dictionary import add_dictionaries, expect_dictionaries
from .stages.figure import figure_path, write_figure
from .stages.forecast import forecast
from .stages.forecast_text import forecast_text
from .stages.live import live_pages
from .stages.look import look_at_images
from .stages.map import choose_maps, draw_maps
from .stages.meanings import find_meanings
from .stages.merge import merge_all
from .stages.observe import find_observer, observe_pictures
from .stages.parts import check_layers, check_part
from .stages.rank import rank_layers
from .stages.recipes import choose_recipes
from .stages.reference import save_reference
from .stages.render import check_workers, render_units
from .stages.run import choose_layers, load_loudly, open_work, peek_work
from .stages.select import check_compare, select
from .stages.site import gather, open_atlas, pictures_of, read_notes
from .stages.write import write_again, write_pages


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """An atlas that was made or completed.

    Attributes:
        store: its results, to read.
        selection: what it is to show.
        failures: renderings that failed.
        left_out: how many units and images could not be explained, and kinds of pages are missing.
    """

    store: Store
    selection: Selection
    failures: Sequence[Rendering]
    left_out: int

    @property
    def complete(self) -> bool:
        """True if it has all that it is to have."""
        return not self.failures and not self.left_out


def make_atlas(config: Config, progress: Progress, network: nn.Module | None = None) -> Made:
    """Make or complete the atlas of one model and write its site.

    Args:
        config, progress: of the run.
        network: the one that `config` means, where it is in memory already.
    """
    check_compare(config)
    check_workers(config)
    check_part(config)
    read_notes(config)
    with open_work(config, progress, network) as opened, live_pages(config, progress) as live:
        work = add_dictionaries(opened)
        layers = choose_layers(work)
        check_layers(config, layers)
        choose_maps(work, layers)
        stats = rank_layers(work, layers)
        chosen = choose_units(work, stats)
        recipes = choose_recipes(work)
        observer = find_observer(work)
        selection = select(work, recipes, layers, stats, chosen, observer)
        live.advance()
        failures = render_units(work, recipes, layers, stats, chosen, live.advance)
        observe_pictures(work, observer, selection)
        live.advance()
        left_out = find_meanings(work, observer, layers, stats, chosen)
        left_out += attribute_units(work, layers, stats, chosen)
        live.advance()
        left_out += trace_circuits(work, layers, stats, chosen)
        live.advance()
        left_out += draw_maps(work, layers, stats)
        left_out += look_at_images(work, layers)
        live.stop()
        left_out += write_pages(work.store, selection, failures, config, progress)
        return Made(store=work.store, selection=selection, failures=failures, left_out=left_out)


def build(config: Config, progress: Progress) -> int:
    """Make or complete the atlas of one model and write its site."""
    return 0 if make_atlas(config, progress).complete else 1


def rank(config: Config, progress: Progress) -> int:
    """Only the pass over the sample images."""
    with open_work(config, progress) as opened:
        work = add_dictionaries(opened)
        layers = choose_layers(work)
        rank_layers(work, layers)
        if config.save_reference:
            save_reference(work, layers, Path(config.save_reference))
    return 0


def render(config: Config, progress: Progress) -> int:
    """Only the renderings, from a ranking that is in the cache."""
    check_compare(config)
    check_workers(config)
    with open_work(config, progress) as opened:
        work = add_dictionaries(opened)
        layers = choose_layers(work)
        missing = [layer.name for layer in layers if not work.store.has_stats(layer.name)]
        if missing:
            raise InputError(f"layer {missing[0]} is not ranked yet; run `build_atlas.py rank`")
        stats = rank_layers(work, layers)
        chosen = choose_units(work, stats)
        recipes = choose_recipes(work)
        observer = find_observer(work)
        selection = select(work, recipes, layers, stats, chosen, observer)
        failures = render_units(work, recipes, layers, stats, chosen)
        observe_pictures(work, observer, selection)
        left_out = find_meanings(work, observer, layers, stats, chosen)
        left_out += attribute_units(work, layers, stats, chosen)
        left_out += trace_circuits(work, layers, stats, chosen)
        left_out += draw_maps(work, layers, stats)
        left_out += look_at_images(work, layers)
    return 1 if failures or left_out else 0


def plan(config: Config, progress: Progress) -> int:
    """Print what a build would do and cost; changes nothing."""
    check_part(config)
    with peek_work(config, progress) as opened:
        work = expect_dictionaries(opened)
        layers = choose_layers(work)
        check_layers(config, layers)
        print(forecast_text(forecast(work, choose_recipes(work), layers)))
    return 0


def site(config: Config, progress: Progress) -> int:
    """Only the pages, from what the cache holds of every model that was built."""
    check_part(config)
    paths = sorted(config.cache.glob(f"*/{SELECTION}"))
    if not paths:
        raise InputError(f"{config.cache} holds no atlas; make one with `build_atlas.py build`")
    for path in paths:
        write_again(path, config, progress)
    return 0


def find_atlas(config: Config) -> Path:
    """The selection of the atlas of a name.

    Raises:
        InputError: the cache does not hold it.
    """
    path = selection_path(config.cache, config.atlas_name)
    if not path.exists():
        raise InputError(
            f"{config.cache} holds no atlas of {config.atlas_name}; make it with "
            "`build_atlas.py build`"
        )
    return path


def export(config: Config, progress: Progress) -> int:
    """Write the atlas of one model, as the cache holds it, into one HDF5 file."""
    if not config.out:
        raise UsageError("export needs --out FILE, such as --out atlas.h5")
    with open_atlas(find_atlas(config)) as (store, selection):
        for text in store.quarantined:
            progress.warn(text)
        atlas, pictures = gather(store, selection, ()), pictures_of(store, selection)
        report = write_export(Path(config.out), atlas, pictures, __version__)
    progress.say(
        f"{shown(report.path)}: {report.layers} layers, {report.units} units, "
        f"{report.pictures} pictures, {report.bytes / 1e6:.0f} MB"
    )
    return 0


def figure(config: Config, progress: Progress, names: Sequence[str]) -> int:
    """Write one sheet of chosen units, from what the cache holds of a model."""
    out = figure_path(config.out)
    units, size = write_figure(find_atlas(config), out, names)
    progress.say(f"{shown(out)}: {units} units, {size / 1e6:.1f} MB")
    return 0


def merge(config: Config, progress: Progress, folders: Sequence[str]) -> int:
    """Copy what other caches hold and this one does not."""
    merge_all([*map(Path, folders)], config.cache, progress)
    return 0


def layers(config: Config, progress: Progress) -> int:
    """Print the layer table of the model."""
    progress.say(f"loading {config.model}")
    table = load_loudly(config, progress).layers
    missing = left_out(table, config.layers)
    if missing:
        progress.say(missing)
    rows: list[tuple[str, ...]] = [
        ("layer", "type", "channels", "height", "width", "receptive field", "multiply-adds")
    ]
    for layer in select_layers(table, config.layers):
        numbers = (layer.channels, layer.height, layer.width, layer.receptive_field or "?")
        cost = f"{layer.multiply_adds / 1e6:.1f} M"
        rows.append((layer.name, layer.type, *map(str, numbers), cost))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        left = [text.ljust(width) for text, width in zip(row[:2], widths, strict=False)]
        right = [text.rjust(width) for text, width in zip(row[2:], widths[2:], strict=True)]
        print("  ".join([*left, *right]))
    return 0


def check(config: Config, progress: Progress) -> int:
    """Verify every cache file against its digest, and every link of the site."""
    findings = [text for folder in key_folders(config.cache) for text in check_cache(folder)]
    findings += check_site(config.site)
    for text in findings:
        print(text)
    if findings:
        raise CheckError(f"{len(findings)} findings; a new build repairs the cache and the site")
    for text in unchecked_links(config.site):
        progress.warn(text)
    progress.say("cache and site are sound")
    return 0
