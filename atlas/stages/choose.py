"""Choose the layers of a build, the images it is measured against, and the units it shows."""

from collections.abc import Mapping, Sequence

from ..models.selection import class_layer, readout_layer
from ..ranking.classes import VOTERS, find_classes, likely_classes
from ..ranking.ranking import rank_channels
from ..records.network import CLASSES, LayerInfo
from ..records.samples import SampleSet
from ..records.statistics import LayerStats
from ..rendering.kinds import COMPANY_MINIMUM
from .run import Work


def wanted_layers(work: Work, layers: Sequence[LayerInfo]) -> list[LayerInfo]:
    """The layers whose statistics a build needs, in forward order: those shown and some more."""
    parents = {layer.parent for layer in layers}
    read = [layer for layer in work.table if layer.name in parents]
    found = {one.name: one for one in (*companions(work), *classifier(work), *read, *layers)}
    return sorted(found.values(), key=lambda layer: layer.index)


def companions(work: Work) -> tuple[LayerInfo, ...]:
    """The layers whose natural company the recipe `company` keeps: all building blocks.

    They do not depend on --layers, so that a picture does not either. None where too few images
    are counted in the statistics.
    """
    if distinct_images(work) < COMPANY_MINIMUM:
        return ()
    blocks = [layer for layer in work.table if "blocks" in layer.groups]
    if work.reference is not None:
        blocks = [layer for layer in blocks if layer.name in work.reference.stats]
    return tuple(blocks)


def classifier(work: Work) -> tuple[LayerInfo, ...]:
    """The layer that the classifier reads and its class scores, as far as there are any."""
    table = work.table
    return tuple(layer for layer in (readout_layer(table), class_layer(table)) if layer)


def distinct_images(work: Work) -> int:
    """Number of distinct image files behind the statistics that scores are measured against."""
    if work.reference is not None:
        return work.reference.samples.distinct
    return len({item.sha256 for item in work.images.items})


def natural_samples(work: Work) -> SampleSet:
    """The images behind the statistics that scores are measured against."""
    return work.store.read_samples() if work.reference is None else work.reference.samples


def natural_stats(work: Work, stats: Mapping[str, LayerStats]) -> dict[str, LayerStats]:
    """The statistics that scores are measured against: of `stats`' layers, of all companions, and
    of the layers that dictionaries read."""
    others = [*(one.name for one in companions(work)), *(one.parent for one in work.dictionaries)]
    names = [*dict.fromkeys([*others, *stats])]
    order = {layer.name: layer.index for layer in work.table}
    names.sort(key=order.__getitem__)
    if work.reference is not None:  # an older one may not know the class scores
        known = work.reference.stats
        return {name: known[name] if name in known else stats[name] for name in names}
    return {name: stats.get(name) or work.store.read_stats(name) for name in names}


def choose_units(work: Work, stats: Mapping[str, LayerStats]) -> dict[str, tuple[int, ...]]:
    """Layer → channels to show, in order of rank; classes in the order they were asked for.

    Of the layer that the classifier reads also those that raise the chosen classes most, so that
    the pages of classes lead to pages of units.
    """
    count = None if work.config.units == "all" else work.config.units
    classes = choose_classes(work, stats[CLASSES]) if CLASSES in stats else ()
    voters = channels_behind(work, classes)
    chosen = {CLASSES: classes} if classes else {}
    for name, one in stats.items():
        if name != CLASSES:
            order = rank_channels(one, work.config.rank).tolist()
            first, others = order[:count], order[len(order[:count]) :]
            chosen[name] = (*first, *(one for one in others if one in voters.get(name, ())))
    return chosen


def choose_classes(work: Work, scores: LayerStats) -> tuple[int, ...]:
    """The classes that --classes means."""
    wanted, outputs = work.config.classes, work.store.read_network()[0].outputs
    if isinstance(wanted, tuple):
        return find_classes("--classes", wanted, work.class_names, scores.channels)
    return tuple(likely_classes(scores, outputs)[: None if wanted == "all" else wanted].tolist())


def channels_behind(work: Work, classes: Sequence[int]) -> dict[str, set[int]]:
    """Layer that the classifier reads → the channels that raise some classes most."""
    readout = work.store.read_readout()
    if readout is None or not classes:
        return {}
    return {readout.layer: set(readout.channels[list(classes), :VOTERS].flatten().tolist())}
