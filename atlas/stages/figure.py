"""The stage cache → one sheet of chosen units, for papers and slides; loads no model."""

from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError, UsageError, closest
from ..files.files import atomic_write
from ..files.names import shown
from ..gallery.figure import SUFFIXES, draw_figure, encode_figure
from ..gallery.labels import chosen_units, known_labels
from ..records.atlas import LayerAtlas, ModelAtlas
from ..records.units import Unit
from .labels import all_labels
from .site import LABEL_FOLDERS, gather, open_atlas, pictures_of

NEAR = 3
"""Units that a message names in place of one that is not there."""


def write_figure(path: Path, out: Path, names: Sequence[str]) -> tuple[int, int]:
    """Write the sheet of some units of an atlas, whole or not at all.

    Args:
        path: of the selection of the atlas.
        out: the file, as `figure_path` has it.
        names: `layer:channel`, several of them separated by commas or apart.

    Returns:
        How many units it shows, and its bytes.

    Raises:
        CacheError, InputError: something cannot be read or written, or is not rendered yet.
        UsageError: a name means no unit of the atlas, or there are too many.
    """
    with open_atlas(path) as (store, selection):
        atlas, pictures = gather(store, selection, ()), pictures_of(store, selection)
        labels = known_labels(atlas, all_labels(LABEL_FOLDERS))
        parts = [part.strip() for name in names for part in name.split(",") if part.strip()]
        units = {unit: labels.get(unit, "") for unit in (find_unit(atlas, one) for one in parts)}
        if not units:
            raise UsageError(f"figure names no unit; write layer:channel{example(atlas)}")
        data = encode_figure(draw_figure(atlas, pictures, units), out.suffix.lower(), atlas)
    atomic_write(out, data)
    return len(units), len(data)


def figure_path(out: str) -> Path:
    """The file of a figure, whose ending says what it is.

    Raises:
        UsageError: it is missing, or another one.
    """
    if Path(out).suffix.lower() not in SUFFIXES:
        got = f"--out is {shown(out)!r}; " if out else ""
        raise UsageError(f"{got}figure needs --out FILE.png or --out FILE.pdf")
    return Path(out)


def find_unit(atlas: ModelAtlas, name: str) -> Unit:
    """The unit of a name, which has a picture.

    Raises:
        InputError: it has none yet.
        UsageError: it is not in the atlas.
    """
    layer_name, _, channel = name.removeprefix(f"{atlas.model.name}/").rpartition(":")
    if not layer_name or not (channel.isascii() and channel.isdecimal()):
        raise UsageError(f"{shown(name)!r} is no unit; write layer:channel{example(atlas)}")
    layers = {layer.info.name: layer for layer in atlas.layers}
    if layer_name not in layers:
        raise UsageError(
            f"layer {shown(layer_name)!r} is not in this atlas of {atlas.model.name}"
            f"{closest(layer_name, layers) or example(atlas)}"
        )
    unit = Unit(layer=layer_name, channel=int(channel))
    check_shown_unit(layers[layer_name], unit)
    return unit


def check_shown_unit(layer: LayerAtlas, unit: Unit) -> None:
    """Raise an error unless the atlas shows a unit of a layer, with a picture."""
    near = sorted(layer.chosen, key=lambda one: (abs(one - unit.channel), one))[:NEAR]
    if unit.channel not in layer.chosen:
        names = ", ".join(f"{unit.layer}:{channel}" for channel in near) or "none"
        raise UsageError(
            f"{unit} is not in this atlas, which shows {len(layer.chosen)} of the "
            f"{layer.info.channels} channels of {unit.layer}; closest: {names}"
        )
    if not any(one.unit == unit and one.status != "failed" for one in layer.renderings):
        raise InputError(f"{unit} has no picture in the cache; `build_atlas.py build` renders it")


def example(atlas: ModelAtlas) -> str:
    """`, such as …` with a unit of the atlas, or ""."""
    units = sorted(chosen_units(atlas), key=str)
    return f", such as {units[len(units) // 2]}" if units else ""
