"""Numbers and names as the pages print them.

All text of others passes through `shown` on its way to the page.
"""

import math
import re
from collections.abc import Iterable, Mapping

UNSHOWABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
    "\ufeff\ufffe\uffff\ud800-\udfff]"
)
"""Control characters, characters that reverse the text around them, and halves of characters."""

BEYOND = 1000
"""REACH from which on the scale is at fault: natural images hardly differ in activation."""


def shown(text: str) -> str:
    """Make text of others harmless to read: what cannot be shown becomes a visible `\\u202e`."""
    return UNSHOWABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def number(value: float) -> str:
    """Three significant digits for people, counts whole; `–` where there is no finite number."""
    if isinstance(value, int):
        return f"{value:,}".replace("-", "−").replace(",", "\u2009")
    if not math.isfinite(value):
        return "–"
    if value and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.2e}".replace("e-0", "e-").replace("e+0", "e").replace("-", "−")
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:,.{min(digits, 5)}f}".replace("-", "−").replace(",", "\u2009")


def plural(count: int, noun: str) -> str:
    """`1 unit`, `2 units`, `7 000 units`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}".replace(",", "\u2009")


def plural_classes(count: int) -> str:
    """`1 class`, `2 classes`."""
    return "1 class" if count == 1 else f"{number(count)} classes"


def reach(value: float | None) -> str:
    """REACH for people: `beyond` where natural images give no scale."""
    if value is not None and math.isfinite(value) and value >= BEYOND:
        return "beyond"
    return number(math.nan if value is None else value)


def percent(value: float) -> str:
    """A probability for people: `99.7 %`; near the ends it says so instead of 0 or 100."""
    if not math.isfinite(value):
        return "–"
    if value < 0.0005:
        return "under 0.1\u00a0%"
    return "over 99.9\u00a0%" if value >= 0.9995 else f"{100 * value:.1f}\u00a0%"


CROP = re.compile(r"(.*?)(?:\.[A-Za-z]{2,5})?#(\d+),(\d+),(\d+)")
"""Name of a file, and the crop of it that a sample image is: its corner and its side in pixels."""


def photo(name: str, largest: Mapping[str, int]) -> str:
    """The name of a sample image for people: `astronaut, full frame`.

    Args:
        name: as in the data.
        largest: file → side of the largest crop of it.
    """
    crop = CROP.fullmatch(name)
    if not crop:
        return name
    file, down, across, side = crop.groups()
    if int(side) == largest.get(file, 0):
        return f"{file}, full frame" if down == across == "0" else f"{file}, largest square"
    return f"{file}, {side} px square, {down} px down and {across} px across"


def largest_crops(names: Iterable[str]) -> dict[str, int]:
    """File → side of the largest crop of it among sample images of these names."""
    found: dict[str, int] = {}
    for crop in filter(None, map(CROP.fullmatch, names)):
        found[crop[1]] = max(found.get(crop[1], 0), int(crop[4]))
    return found
