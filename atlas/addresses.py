"""Where everything of the site lies: one folder a model, one a layer, one page a unit.

All names pass through `files.escape_name`, so a path holds only characters that need no escaping
in a URL and never leaves the site. An address is a path relative to the site, with `/`.
"""

import re
from collections.abc import Iterable

from .files import escape_name, folder_names

TILES = 8
"""Rows and columns of a contact sheet.

A layer's grid shows sheets, not a file a unit: for 1,024 lazily loaded thumbnails Chromium asks for
120 files at once, and for all of them without script; for sheets it asks for 4, and for 32.
"""

RECIPE_TAKEN = re.compile(r"t|[op]\d+")
"""Endings of picture names that mean something else than a recipe."""


def layer_folders(layers: Iterable[str]) -> dict[str, str]:
    """Folder of each layer inside its model's folder."""
    return folder_names(layers)


def recipe_suffix(recipe: str, recipes: tuple[str, ...]) -> str:
    """What stands between channel and ending: nothing for the default recipe, else its name."""
    if recipe == recipes[0]:
        return ""
    name = escape_name(recipe).replace(".", "~2E")
    return f".~{name}" if RECIPE_TAKEN.fullmatch(name) else f".{name}"


def unit_page(channel: int) -> str:
    """Page of a unit inside its layer's folder."""
    return f"{channel}.html"


def picture(channel: int, suffix: str = "") -> str:
    """The rendering of a unit inside its layer's folder."""
    return f"img/{channel}{suffix}.jpg"


def thumbnail(channel: int, suffix: str = "") -> str:
    """The small rendering of a unit inside its layer's folder."""
    return f"img/{channel}{suffix}.t.jpg"


def snapshot(channel: int, suffix: str, octave: int) -> str:
    """The rendering of a unit after an octave, counted from 1."""
    return f"img/{channel}{suffix}.o{octave}.jpg"


def patch(channel: int, place: int) -> str:
    """The dataset example of a unit at a place, counted from 1, the best."""
    return f"img/{channel}.p{place}.jpg"


def sheet(number: int, suffix: str = "") -> str:
    """Contact sheet of a layer's renderings; `patches` is the one of its best patches."""
    return f"img/sheet{suffix}-{number}.jpg"


def patch_sheet(number: int) -> str:
    """Contact sheet of a layer's best patches."""
    return f"img/patches-{number}.jpg"


def tile(place: int) -> tuple[int, int, int]:
    """Where the unit at a place (from 0) stands: number of its sheet, column, row."""
    number, rest = divmod(place, TILES * TILES)
    row, column = divmod(rest, TILES)
    return number, column, row


def sample_image(index: int) -> str:
    """A whole sample image inside its model's folder."""
    return f"images/{index}.jpg"
