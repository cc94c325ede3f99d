"""Labels that people give to units, and the units that they belong to."""

from collections.abc import Mapping, Sequence

from ..records.atlas import ModelAtlas
from ..records.units import Unit


def tags_of(label: str) -> tuple[str, ...]:
    """The tags of a label, which are separated by commas, each once."""
    tags = (" ".join(part.split()) for part in label.split(","))
    return tuple(dict.fromkeys(filter(None, tags)))


def chosen_units(atlas: ModelAtlas) -> set[Unit]:
    """The units that have a page."""
    return {
        Unit(layer=layer.info.name, channel=channel)
        for layer in atlas.layers
        for channel in layer.chosen
    }


def known_labels(atlas: ModelAtlas, labels: Mapping[str, str]) -> dict[Unit, str]:
    """Labels of the units of this model that have a page."""
    keyed = {f"{atlas.model.name}/{unit}": unit for unit in chosen_units(atlas)}
    return {keyed[key]: text for key, text in labels.items() if key in keyed}


def unknown_labels(atlas: ModelAtlas, labels: Mapping[str, str]) -> tuple[str, ...]:
    """Keys of labels that name no unit of this model; they may belong to another one."""
    keyed = {f"{atlas.model.name}/{unit}" for unit in chosen_units(atlas)}
    return tuple(key for key in sorted(labels) if key not in keyed)


def of_no_model(keys: Sequence[str], model: str, others: Sequence[str]) -> tuple[str, ...]:
    """Those of the keys, which name no unit of a model, that do not belong to other ones either."""
    ours, elsewhere = f"{model}/", tuple(f"{name}/" for name in others)
    return tuple(key for key in keys if key.startswith(ours) or not key.startswith(elsewhere))
