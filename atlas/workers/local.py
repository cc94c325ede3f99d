"""Blocks rendered on this machine, by one process or by several side by side: `render_here`."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch

from ..config import Config
from .forks import how_many, spread
from .renderer import Rendered, Renderer
from .schedule import BlockGroup


def how_many_work(config: Config, device: torch.device) -> int:
    """Processes that work side by side; torch.compile has threads that do not survive a fork."""
    return 1 if config.compile == "on" else how_many(device)


Done = tuple[BlockGroup, list[Rendered]]
"""A group and what became of each of its blocks."""


def render_here(
    renderer: Renderer, processes: int, warn: Callable[[str], None], groups: Iterator[BlockGroup]
) -> Iterator[Done]:
    """Render groups of blocks in so many processes; fewer groups than these are shared out.

    A process has as many threads in either case, so that no picture depends on it.
    """

    def render(group: BlockGroup) -> Any:
        return group.run(renderer)

    def render_all(some: Iterable[BlockGroup]) -> Iterator[Done]:
        return spread(render, some, processes, warn)

    first = list(itertools.islice(groups, processes))
    if len(first) == processes:
        yield from render_all(itertools.chain(first, groups))
    elif first:
        yield from render_shared(render_all, first, -(-processes // len(first)))


def render_shared(
    render: Callable[[Iterable[BlockGroup]], Iterator[Done]], groups: Sequence[BlockGroup], by: int
) -> Iterator[Done]:
    """Render each group in so many parts, and put together what becomes of its blocks."""
    shares = [group.parts(by) for group in groups]
    made = {id(part): results for part, results in render([one for some in shares for one in some])}
    for group, parts in zip(groups, shares, strict=True):
        pieces = [one for part in parts for one in zip(part.blocks, made[id(part)], strict=True)]
        ranks = [block.first for block in group.blocks]
        yield group, [joined(one for block, one in pieces if block.first == at) for at in ranks]


def joined(parts: Iterable[Rendered]) -> Rendered:
    """The result of a block that was rendered in parts, in their order."""
    some = list(parts)
    return Rendered(
        renderings=tuple(one for part in some for one in part.renderings),
        device=some[0].device,
        seconds=sum(part.seconds for part in some),
        notes=tuple(dict.fromkeys(note for part in some for note in part.notes)),
    )
