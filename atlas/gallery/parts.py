"""A site in parts: which layers are on which of several sites, and how one leads to another.

GitHub Pages takes 1 GB a site. `part_of` cuts the layers of an atlas, in forward order, into ranges
of about equally many units; each range is a site of its own. The sites stand side by side, in
folders whose names differ in the number of the part (`atlas-1`, `atlas-2`): so one relative link
leads from one to another on the disk, on a server of their parent, and on GitHub Pages, where each
is a project of one owner. Every address of a layer, of the classes and of image pages begins with
`Part.home`, so that no page asks where it leads.

What belongs to no layer: classes come last in forward order, so the last part has their pages; the
first one has those of images; all others (home, about, search, lists, wall, quiz, comparison, the
tables of the model) are on every part, of its own layers.
"""

import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError
from ..files.names import shown
from ..records.network import CLASSES
from .addresses import layer_folders
from .data.encode import Json

IMAGES_PART = 1
"""The part that has the pages of images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one of several sites shows: name of its folder, its layers, number of their units."""

    site: str
    layers: tuple[str, ...]
    n_units: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One of several sites that show an atlas together, or the only one.

    Attributes:
        number: from 1.
        shares: of all sites, in order; () where there is only one.
    """

    number: int = 1
    shares: tuple[Share, ...] = ()

    def number_of(self, layer: str) -> int:
        """The part that shows a layer."""
        found = (at for at, share in enumerate(self.shares, 1) if layer in share.layers)
        return len(self.shares) if layer == CLASSES else next(found)

    def holds(self, layer: str) -> bool:
        """Return whether this part shows a layer."""
        return not self.shares or self.number_of(layer) == self.number

    @property
    def holds_images(self) -> bool:
        """Whether this part has the pages of images."""
        return self.number == IMAGES_PART

    def elsewhere(self, layer: str) -> str:
        """The part that shows a layer, in words; "" for this one."""
        return "" if self.holds(layer) else f"part {self.number_of(layer)}"

    def home(self, number: int, folder: str) -> str:
        """What the addresses of a part begin with.

        Args:
            number: of the part.
            folder: of the model, from which the addresses are seen.
        """
        if not self.shares or number == self.number:
            return ""
        return f"../../{self.shares[number - 1].site}/{folder}/"

    def home_of(self, layer: str, folder: str) -> str:
        """The same of the part that shows a layer."""
        return "" if self.holds(layer) else self.home(self.number_of(layer), folder)

    def layer_folders(self, layers: Iterable[str], folder: str) -> dict[str, str]:
        """Folder of each layer, seen from the model's folder."""
        folders = layer_folders(layers)
        return {layer: self.home_of(layer, folder) + own for layer, own in folders.items()}


WHOLE = Part()
"""One site that shows all of an atlas."""


def part_of(site: Path, number: int, count: int, units: Mapping[str, int]) -> Part:
    """One of several sites.

    Args:
        site: its folder.
        number, count: which, from 1, of how many.
        units: layer → number of its units, in forward order, the class scores among them.

    Raises:
        UsageError: the folder has another name, or there are fewer layers.
    """
    if count == 1:
        return WHOLE
    names = site_names(site, number, count)
    ranges = cut(units, count)
    shares = [
        Share(site=name, layers=layers, n_units=sum(units[layer] for layer in layers))
        for name, layers in zip(names, ranges, strict=True)
    ]
    return Part(number=number, shares=tuple(shares))


def site_names(site: Path, number: int, count: int) -> tuple[str, ...]:
    """The names of the folders of all parts, from that of one of them.

    Raises:
        UsageError: the name does not end in the number of the part, or needs escapes in a link.
    """
    name = os.path.basename(os.path.abspath(site))
    if not re.fullmatch(rf"(?:[A-Za-z0-9._-]*[A-Za-z._-])?{number}", name):
        raise UsageError(
            f"--site-part {number}/{count} needs a --site whose name ends in the number of the "
            f"part, such as sites/atlas-{number}, of letters, digits, '.', '_' and '-'; got "
            f"{shown(site)!r} (the parts link to each other by these names)"
        )
    start = name.removesuffix(str(number))
    return tuple(f"{start}{one}" for one in range(1, count + 1))


def cut(units: Mapping[str, int], count: int) -> list[tuple[str, ...]]:
    """Layers in ranges of about equally many units.

    Each range in turn takes layers as long as that brings it nearer to the mean of those that are
    left, so the ranges depend on the units and the count alone. The classes go with the last one.

    Args:
        units: layer → number of its units, in forward order.
        count: of ranges; each has at least one layer.

    Raises:
        UsageError: there are fewer layers.
    """
    layers = [layer for layer in units if layer != CLASSES]
    if count > len(layers):
        raise UsageError(
            f"--site-part asks for {count} parts and the atlas has {len(layers)} layers, which are "
            f"not divided; ask for at most {max(1, len(layers))}"
        )
    ranges, start, rest = [], 0, sum(units.values())
    for left in range(count, 0, -1):
        end, size = start + 1, units[layers[start]]
        last = len(layers) - left + 1
        while end < last and (left == 1 or size + units[layers[end]] / 2 <= rest / left):
            size += units[layers[end]]
            end += 1
        ranges.append(tuple(layers[start:end]))
        start, rest = end, rest - size
    return ranges


def parts_needed(size: float, limit: float) -> int:
    """Parts of a site of so many bytes that stay below a limit.

    An eighth is left free: layers are not divided, and sample images are on several parts.
    """
    return math.ceil(size / (limit * 7 / 8))


# --- beside a site -------------------------------------------------------------------------------


def sites_beside(models: Iterable[Json]) -> frozenset[str]:
    """Names of the sites that show other parts of models.

    Args:
        models: the model.json of each.
    """
    sites = {one["site"] for model in models for one in model.get("sites", ())}
    return frozenset(site.split("/")[2] for site in sites if site.startswith("../../"))


def site_beside(target: str, names: Iterable[str]) -> str:
    """The site of these names into which a path leads that is seen from a site; "" for none."""
    return next((name for name in names if target.startswith(f"../{name}/")), "")
