"""The part of an atlas that a site shows: that it can be written, and which layers are in it."""

from collections.abc import Sequence

from ..cache.selection import Selection
from ..cache.store import Store
from ..config import Config
from ..gallery.parts import WHOLE, Part, cut, part_of, site_names
from ..models.directions import rows_of
from ..records.network import LayerInfo


def check_part(config: Config) -> None:
    """Refuse a site whose name does not lead to the other parts, before any work is done.

    Raises:
        UsageError: it does not.
    """
    if config.site_part[1] > 1:
        site_names(config.site, *config.site_part)


def check_layers(config: Config, layers: Sequence[LayerInfo]) -> None:
    """Refuse more parts than there are layers, before any unit is rendered.

    Raises:
        UsageError: there are fewer.
    """
    if config.site_part[1] > 1:
        cut({layer.name: 1 for layer in layers}, config.site_part[1])


def find_part(config: Config, store: Store, selection: Selection) -> Part:
    """The part of what a selection shows that the site of a run has.

    Raises:
        UsageError: the site has another name, or there are fewer layers than parts.
    """
    if config.site_part[1] == 1:
        return WHOLE
    table = rows_of(store.read_network()[1], store.dictionaries(selection.layers))
    names = [one.name for one in sorted(table, key=lambda one: one.index)]
    units = {name: len(selection.layers[name]) for name in names if name in selection.layers}
    return part_of(config.site, *config.site_part, units)
