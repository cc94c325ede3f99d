"""The stage ranking → circuits: what feeds the chosen units, and what they feed.

`trace_circuits` is the way in. As with masks, nothing of a unit depends on which others share its
block.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack

from ..attribution.circuits import IMAGES, tracing
from ..errors import InputError
from ..files.digests import fingerprint
from ..files.files import require_free
from ..images.tensors import to_tensor
from ..models.selection import class_layer
from ..network import tuning
from ..network.network import Network
from ..records.circuits import KINDS, Circuit
from ..records.network import CLASSES, LayerInfo
from ..records.statistics import LayerStats
from ..shapes import Picture
from .attribution import (
    Part,
    examples_mark,
    explain_part,
    explaining,
    guarded,
    missing_parts,
)
from .run import Work

CIRCUITS_VERSION = 1
"""Raised whenever the same settings would give other circuits."""

CIRCUIT_BYTES = 10_000
"""Room that the circuit of one unit takes."""

TAIL_PASSES = 5
"""Forward passes of what is behind a layer, for one image: derivatives of it take four."""

Trace = Callable[[LayerInfo, int, Mapping[int, Picture]], Circuit]
"""Layer, channel and its best images by index → its circuit."""


def circuits_marks(work: Work, stats: Mapping[str, LayerStats]) -> dict[str, str]:
    """Layer → what its circuits depend on beside the key; {} with --circuits off.

    Classes have none. Those of a layer depend on which others are looked at.
    """
    if work.config.circuits == "off":
        return {}
    marks = {}
    for name in (one for one in stats if one != CLASSES):
        looked_at = [*looked_at_with(work, name, stats)]
        parts = ["circuits", CIRCUITS_VERSION, looked_at, examples_mark(stats[name])]
        dictionary = work.store.dictionary_mark(name)
        marks[name] = fingerprint([*parts, dictionary] if dictionary else parts)
    return marks


def looked_at_with(
    work: Work, layer: str, stats: Mapping[str, LayerStats]
) -> dict[str, LayerStats]:
    """The layers among which a unit's circuit is sought, in forward order.

    They are those of the network; a dictionary stands in the place of the layer that it reads.
    """
    parents = {one.name: one.parent for one in work.dictionaries}
    return {
        name: one
        for name, one in stats.items()
        if name == layer or not (name == CLASSES or name in parents or name == parents.get(layer))
    }


def trace_circuits(
    work: Work,
    layers: Sequence[LayerInfo],
    stats: Mapping[str, LayerStats],
    chosen: Mapping[str, Sequence[int]],
) -> int:
    """Find out what surrounds every chosen unit, where the cache does not say.

    Whatever goes wrong with it, the renderings are there and get their pages.

    Returns:
        How many units failed; their pages show the rest, and they are tried again next time.

    Raises:
        CacheError: the cache cannot be written.
    """
    return guarded(work, "circuits", lambda: trace_missing(work, layers, stats, chosen))


def trace_missing(
    work: Work,
    layers: Sequence[LayerInfo],
    stats: Mapping[str, LayerStats],
    chosen: Mapping[str, Sequence[int]],
) -> int:
    """The same, part by part, for those that the cache does not hold."""
    marks, costs = circuits_marks(work, stats), unit_costs(work, layers)
    todo = missing_circuits(work, layers, marks, chosen)
    if not todo:
        return 0
    units = sum(len(part.channels) for part in todo)
    require_free(work.store.folder, units * CIRCUIT_BYTES)
    network = network_for(work, layers)
    cost, failed = sum(len(part.channels) * costs[part.layer.name] for part in todo), 0
    with work.progress.attribution("circuits", units, cost) as traced:
        for _, parts in itertools.groupby(sorted(todo, key=dictionary_of), dictionary_of):
            some = list(parts)
            looked_at = looked_at_with(work, some[0].layer.name, stats)
            with ExitStack() as stack:
                trace = find_tracer(work, network, looked_at, stack)
                explained = stack.enter_context(explaining(work, network, trace))
                for part in some:
                    name = part.layer.name
                    found = explain_part(
                        work, network, part, stats[name], "its circuit", explained, IMAGES
                    )
                    if found:
                        work.store.write_circuits(name, marks[name], found)
                    failed += len(part.channels) - len(found)
                    traced(len(part.channels) * costs[name])
    return failed


def dictionary_of(part: Part) -> str:
    """The dictionary whose directions the units of a part are; "" for channels."""
    return part.layer.name if part.layer.parent else ""


def missing_circuits(
    work: Work,
    layers: Sequence[LayerInfo],
    marks: Mapping[str, str],
    chosen: Mapping[str, Sequence[int]],
) -> list[Part]:
    """The units of this shard whose circuits the cache does not hold, a few at a time."""
    costs = unit_costs(work, layers)
    return missing_parts(work, layers, marks, chosen, costs, work.store.circuits)


def network_for(work: Work, layers: Sequence[LayerInfo]) -> Network:
    """The network with taps for all layers of the atlas and for its class scores."""
    names = [layer.name for layer in layers if layer.name != CLASSES]
    scores = class_layer(work.store.read_network()[1])
    device = tuning.choose_device(work.config.device)
    return Network(work.model(), [*names, scores.name] if scores else names, device)


def find_tracer(
    work: Work, network: Network, stats: Mapping[str, LayerStats], stack: ExitStack
) -> Trace:
    """What traces the circuit of a unit; on a network that cannot be run in parts, says why not."""
    try:
        circuits = stack.enter_context(tracing(network, stats))
    except InputError as error:
        reason = str(error)
        work.progress.say(f"no circuits: {reason}")
        return lambda _layer, channel, shown: Circuit(
            channel=channel,
            images=tuple(shown),
            activation=math.nan,
            error=math.nan,
            links={},
            reasons=dict.fromkeys(KINDS, reason),
        )

    def trace(layer: LayerInfo, channel: int, shown: Mapping[int, Picture]) -> Circuit:
        scenes = {image: circuits.scene(to_tensor([one])) for image, one in shown.items()}
        return circuits.of_unit(layer.name, channel, scenes)

    return trace


def unit_costs(work: Work, layers: Sequence[LayerInfo]) -> dict[str, float]:
    """Layer → relative time of a unit: one pass of the whole network, several of what is behind."""
    whole = max(layer.multiply_adds for layer in work.store.read_network()[1])
    return {
        layer.name: whole + TAIL_PASSES * (whole - layer.multiply_adds) + 60e6 for layer in layers
    }
