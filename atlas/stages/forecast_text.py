"""The forecast of a build in words: `forecast_text`."""

from collections.abc import Iterator, Sequence

from ..gallery.parts import parts_needed
from ..gallery.tree import BUDGET
from .forecast import START_SECONDS, Forecast, Row


def forecast_text(estimate: Forecast) -> str:
    """The forecast as a table and a few lines."""
    return "\n".join(
        [
            *table_lines(estimate.rows),
            *(f"{name}: {seconds / 60:.1f} minutes" for name, seconds in parts_of(estimate)),
            f"in all about {estimate.seconds / 60:.1f} minutes on this machine",
            f"cache about {estimate.cache_bytes / 1e6:,.0f} MB, "
            f"site about {estimate.site_bytes / 1e6:,.0f} MB "
            f"({estimate.site_bytes / BUDGET:.0%} of the {BUDGET / 1e6:,.0f} MB that may be "
            f"published{parts_words(estimate)})",
        ]
    )


def parts_words(estimate: Forecast) -> str:
    """What is said of the parts of a site: how large each is, and how many it takes."""
    each, said = estimate.site_bytes / estimate.parts, ""
    if estimate.parts > 1:
        said = f"; each of {estimate.parts} parts about {each / 1e6:,.0f} MB"
    if each > BUDGET:
        needed = parts_needed(estimate.site_bytes, BUDGET)
        said += f"; write it in {needed} parts: --site-part 1/{needed}"
    return said


def table_lines(rows: Sequence[Row]) -> Iterator[str]:
    """A line for each layer, below a head."""
    head = ("layer", "units", "renderings", "cached", "TFLOP", "minutes")
    body = [
        (
            one.layer,
            f"{one.units}",
            f"{one.renderings}",
            f"{one.cached}",
            f"{one.flops / 1e12:.1f}",
            f"{one.seconds / 60:.1f}",
        )
        for one in rows
    ]
    widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
    for cells in (head, *body):
        right = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        yield "  ".join([cells[0].ljust(widths[0]), *right])


def parts_of(estimate: Forecast) -> Iterator[tuple[str, float]]:
    """The parts of a build in their order, with their seconds."""
    rows = estimate.rows
    yield "start", START_SECONDS
    yield f"ranking over {estimate.images} images", estimate.ranking
    yield f"tuning over {estimate.stimuli} synthetic stimuli", estimate.tuning
    renderings = sum(one.renderings for one in rows)
    yield f"{renderings} renderings", sum(one.seconds for one in rows)
    yield f"masks of {estimate.masked} units", estimate.masks
    yield f"circuits of {estimate.traced} units", estimate.circuits
    if estimate.meanings:
        yield f"about {estimate.split:.0f} pictures of meanings", estimate.meanings
    if estimate.maps:
        yield f"about {estimate.cells} cells of maps", estimate.maps
    yield f"{estimate.lens_images} image pages", estimate.lenses
    yield "site", estimate.site
