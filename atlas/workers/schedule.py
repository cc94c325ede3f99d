"""The blocks that a run consists of: in what order, in which shard, at what cost.

`plan_blocks` cuts a layer's ranking into blocks whose borders never depend on where a run stopped.
"""

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..records.network import LayerInfo
from ..records.units import Rendering, Unit
from ..rendering.attempts import failed_rendering
from ..rendering.kinds import Recipe
from ..shapes import Picture

BLOCK_UNITS = 32
"""Units committed together: half a minute on two cores, the most that an interruption can lose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitBlock:
    """Units of one layer that are rendered by one recipe and committed together.

    It holds plain values only, so that it can be sent to a worker.

    Attributes:
        recipe: how they are rendered.
        layer: their layer.
        first, last: ranks of the first and the last of them, from 0.
        channels: those still to be rendered, in order of rank.
        examples, earlier, aside: what their `Job` needs of them; added when a worker is free.
    """

    recipe: Recipe
    layer: LayerInfo
    first: int
    last: int
    channels: tuple[int, ...]
    examples: Mapping[int, bytes | Picture] = field(default_factory=dict)
    earlier: Mapping[int, Sequence[NDArray[np.uint8]]] = field(default_factory=dict)
    aside: Mapping[int, NDArray[np.bool_]] = field(default_factory=dict)

    @property
    def cost(self) -> float:
        """Relative time that it takes."""
        return unit_cost(self.recipe, self.layer) * len(self.channels)

    @property
    def units(self) -> list[Unit]:
        """One a channel."""
        return [Unit(layer=self.layer.name, channel=channel) for channel in self.channels]

    def failed(self, reason: str) -> tuple[Rendering, ...]:
        """Its units where they could not be rendered, each of which says why."""
        return tuple(failed_rendering(unit, self.recipe.name, reason) for unit in self.units)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockGroup:
    """Blocks of one layer and recipe whose units are optimised together.

    Each of them is committed by itself, with the bytes that it would have alone.
    """

    blocks: tuple[UnitBlock, ...]

    def run(self, worker: Any) -> Any:
        """Let a worker render them; it gives one result a block."""
        return worker.render(self.blocks)

    def parts(self, count: int) -> list["BlockGroup"]:
        """Its units in so many groups or fewer, a share of every block in each."""
        shares = [even_parts(block, count) for block in self.blocks]
        grouped = itertools.zip_longest(*shares)
        return [BlockGroup(blocks=tuple(filter(None, blocks))) for blocks in grouped]


def even_parts(block: UnitBlock, count: int) -> list[UnitBlock]:
    """A block in so many parts or fewer, none of them empty."""
    parts = np.array_split(np.array(block.channels), min(count, len(block.channels)))
    return [replace(block, channels=tuple(part.tolist())) for part in parts]


def merge_blocks(blocks: Sequence[UnitBlock]) -> UnitBlock:
    """The units of blocks of one layer and recipe as one."""
    return replace(
        blocks[0],
        last=blocks[-1].last,
        channels=tuple(channel for block in blocks for channel in block.channels),
        examples={key: value for block in blocks for key, value in block.examples.items()},
        earlier={key: value for block in blocks for key, value in block.earlier.items()},
        aside={key: value for block in blocks for key, value in block.aside.items()},
    )


def group_blocks(blocks: Iterable[UnitBlock], units: int) -> Iterator[BlockGroup]:
    """Group neighbouring blocks of one layer and recipe, until so many units are together."""
    for _, alike in itertools.groupby(blocks, key=lambda one: (one.recipe, one.layer)):
        group: list[UnitBlock] = []
        for block in alike:
            group.append(block)
            if sum(len(one.channels) for one in group) >= units:
                yield BlockGroup(blocks=tuple(group))
                group = []
        if group:
            yield BlockGroup(blocks=tuple(group))


def unit_cost(recipe: Recipe, layer: LayerInfo) -> float:
    """Relative time of a unit: multiply-adds up to the layer, and what every picture costs."""
    overhead = 60e6  # measured: resampling and FFT are worth 60 M multiply-adds a step
    return recipe.suited_to(layer).steps_at_full_size() * (layer.multiply_adds + overhead)


def plan_blocks(
    recipe: Recipe,
    layer: LayerInfo,
    chosen: Sequence[int],
    finished: Collection[int],
    ours: Set[tuple[str, int]] | None = None,
) -> Iterator[UnitBlock]:
    """Cut the chosen channels (in order of rank) into blocks, leaving out what is finished.

    Args:
        recipe: of all of them.
        layer: of the channels.
        chosen: in order of rank.
        finished: channels that are rendered already.
        ours: layer and first rank of our blocks, if not all are ours.
    """
    done = set(finished)
    for first in range(0, len(chosen), BLOCK_UNITS):
        ranks = range(first, min(first + BLOCK_UNITS, len(chosen)))
        missing = [rank for rank in ranks if chosen[rank] not in done]
        if missing and (ours is None or (layer.name, first) in ours):
            channels = tuple(chosen[rank] for rank in missing)
            yield UnitBlock(
                recipe=recipe, layer=layer, first=missing[0], last=missing[-1], channels=channels
            )


def shard_blocks(
    chosen: Mapping[str, Sequence[int]], costs: Mapping[str, float], shard: tuple[int, int]
) -> set[tuple[str, int]]:
    """The blocks that are the I-th of N shards'.

    The dearest block goes to the shard that has least to do so far, and so on. What is finished
    does not count, nor does the recipe: pictures of a unit that build on one another stay together.

    Args:
        chosen: layer → channels, in order of rank.
        costs: layer → relative time of a unit.
        shard: I and N, counted from 1.

    Returns:
        Layer and first rank of each, whatever of it is finished.
    """
    blocks = [
        (costs[layer] * min(BLOCK_UNITS, len(channels) - first), (layer, first))
        for layer, channels in chosen.items()
        for first in range(0, len(channels), BLOCK_UNITS)
    ]
    loads, parts = [0.0] * shard[1], [set[tuple[str, int]]() for _ in range(shard[1])]
    for cost, block in sorted(blocks, key=lambda one: -one[0]):
        least = loads.index(min(loads))
        loads[least] += cost
        parts[least].add(block)
    return parts[shard[0] - 1]
