"""Addresses of all files of the site: one folder a model, one a layer, one page a unit.

All names pass through `files.escape_name`, so a path holds only characters that need no escaping
in a URL and never leaves the site. An address is a path relative to the site, with `/`.
"""

import re
from collections.abc import Iterable

from ..files.names import escape_name, folder_names

CLASSES = "classes"
"""Folder of the pages of classes inside a model's folder; no layer's folder has this name."""

COMPARE = "compare"
"""Folder of the comparison inside a model's folder; no layer's folder has this name."""

TILES = 8
"""Rows and columns of a contact sheet.

A layer's grid shows sheets, not a file a unit: for 1,024 lazily loaded thumbnails Chromium asks for
120 files at once, and for all of them without script; for sheets it asks for 4, and for 32.
"""

RECIPE_TAKEN = re.compile(r"t|masks|[op]\d+")
"""Endings of picture names that mean something else than a recipe."""


def layer_folders(layers: Iterable[str]) -> dict[str, str]:
    """Folder of each layer inside its model's folder."""
    return folder_names(layers)


def recipe_suffix(recipe: str, recipes: tuple[str, ...]) -> str:
    """Return the part of a file name for a recipe: "" for the default recipe, else its name."""
    if recipe == recipes[0]:
        return ""
    name = escape_name(recipe).replace(".", "~2E")
    return f".~{name}" if RECIPE_TAKEN.fullmatch(name) else f".{name}"


def unit_page(channel: int) -> str:
    """Page of a unit inside its layer's folder."""
    return f"{channel}.html"


EMBED = ".embed.html"
"""Ending of pages that are made for frames on other sites."""


def embed_page(channel: int) -> str:
    """The small page of a unit inside its layer's folder that other sites show in a frame."""
    return f"{channel}{EMBED}"


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


def masks(channel: int) -> str:
    """The masks of a unit's dataset examples, nine in one picture."""
    return f"img/{channel}.masks.jpg"


def sheet(number: int, suffix: str = "") -> str:
    """Contact sheet of a layer's renderings; `patches` is the one of its best patches."""
    return f"img/sheet{suffix}-{number}.jpg"


OVERVIEW = "img/overview.jpg"
"""All renderings of a layer, small and on the grid on which the wall shows them."""


def patch_sheet(number: int) -> str:
    """Contact sheet of a layer's best patches."""
    return f"img/patches-{number}.jpg"


EXCITES = "excites.html"
"""Page inside a layer's folder that sets its best patches against its renderings."""


def mosaic_sheet(number: int) -> str:
    """Sheet of a layer's units, nine best patches each."""
    return f"img/mosaics-{number}.jpg"


def tile(place: int) -> tuple[int, int, int]:
    """Return the tile of the unit at an index (from 0): number of its sheet, column, row."""
    number, rest = divmod(place, TILES * TILES)
    row, column = divmod(rest, TILES)
    return number, column, row


def image_page(index: int, home: str = "") -> str:
    """Page of a sample image, seen from a layer's folder; `home` leads to the site that has it."""
    return f"../{home}{IMAGES}/{index}.html"


def sample_image(index: int) -> str:
    """A whole sample image inside its model's folder."""
    return f"images/{index}.jpg"


# --- image pages ---------------------------------------------------------------------------------

IMAGES = "images"
"""Folder of the sample images inside their model's folder; no layer can take its name."""


def lens_page(index: int) -> str:
    """Page of a sample image, seen from the folder of the sample images."""
    return f"{index}.html"


def image_file(index: int, what: str) -> str:
    """A file made of a sample image, seen from the folder of the sample images."""
    return f"{index}.{what}"


# --- compare pages -------------------------------------------------------------------------------


def comparison_page(other: str) -> str:
    """Page inside a model's folder that compares it with the model of another folder."""
    return f"{COMPARE}/{other}.html"


def comparison_data(other: str) -> str:
    """The numbers of that page, beside it."""
    return f"{COMPARE}/{other}.json"
