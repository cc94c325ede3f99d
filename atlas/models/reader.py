"""The meaning of each axis of an output, read from its answers. Start at `Reader`."""

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from .answer import BANDS, CLEAR, Answer, Array, Pair, moved, orders, shares, spread
from .layouts import CHANNELS_LAST, MAPS, TOKENS, TOKENS_LAST, UNKNOWN, UPRIGHT, Layout

SURE = 0.5
"""As `CLEAR`, for what is unusual: mirrored or turned maps, matrices over places, new tokens."""

BETTER = 0.15
"""By so much must an unusual reading be clearer than the usual one."""

NEARLY = 0.05
"""By so much tokens must be clearer than as those before them lay: to lie one further on along a
grid of 14 costs .3, of 56 .08."""

SHARP = 0.8
"""Share of the answer that tells the bands apart, from which on their order cannot be by chance."""

IN_PLACE = 0.7
"""Of that share so much moves as it should, unless the map is rolled or shuffled; blurred maps of
ResNet-50 have .8 to 1, one rolled by a tenth of its side has .7."""

STILL = 0.02
"""A place answers to a band if this is its share."""

OTHERS = 8
"""Tokens without a place that are looked for, in front and behind together: class tokens, one for
distillation, four or eight registers."""

ROUNDING = 0.05
"""A grid in proportion to the picture is so at least to this share."""

LARGEST_PROPORTION = 2.0
"""A grid is at most so many times longer than the picture, in proportion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    """One way to read an output.

    Attributes:
        layout: which axis is what; its order is "" where the answer is too weak to tell.
        shape: channels, and height and width of the grid, upright.
        clear: the share of the answer that moves as this reading says, along the lesser axis; 0
            where there was none, and it was read as others before it.
        everywhere: whether every place answers to every part of the picture.
    """

    layout: Layout
    shape: tuple[int, int, int]
    clear: float
    everywhere: bool = False


class Reader:
    """Reads one answer after the other; what is weak is read as what was clear before it.

    Attributes:
        proportion: height of the picture over its width.
        tokens: (axis, length) → how the last clear tokens of this length lay.
        shapes: of the clear tokens.
        grids: heights and widths of the maps.
        dims: which axis was what in the last map.
    """

    def __init__(self, proportion: float) -> None:
        self.proportion = proportion
        self.tokens: dict[tuple[int, int], Axes] = {}
        self.shapes: set[tuple[int, ...]] = set()
        self.grids: set[tuple[int, int]] = set()
        self.dims = MAPS

    @property
    def lengths(self) -> set[int]:
        """The lengths that an axis over a whole grid can have."""
        return {length for _, length in self.tokens} | {math.prod(grid) for grid in self.grids}

    def read(self, answer: Answer) -> Axes | None:
        """Return the meaning of an output's axes; None where it is neither maps nor tokens."""
        return self.read_tokens(answer) if len(answer.shape) == 2 else self.read_map(answer)

    def read_map(self, answer: Answer) -> Axes | None:
        """Of an output of three axes; where it says nothing, as the maps before it lay."""
        usual = self.usual_map(answer.shape)
        best = best_map(answer, usual) if answer.complete else usual
        if math.prod(best.shape[1:]) < 2 or (answer.complete and self.is_matrix(answer, best)):
            return None
        if best.clear < CLEAR and not self.likely_grid(best.shape[1:]):
            return None
        self.grids.add(best.shape[1:])
        self.dims = best.layout.dims if best.layout.dims == CHANNELS_LAST else MAPS
        if not answer.complete:
            return best
        pairs = place_axes(answer, best.layout.dims)
        order = best.layout.order if best.clear >= CLEAR else ""
        if shuffled(best.layout.order, *pairs):
            order = UNKNOWN
        layout = replace(best.layout, order=order)
        return replace(best, layout=layout, everywhere=is_everywhere(pairs))

    def usual_map(self, shape: tuple[int, ...]) -> Axes:
        """By which two axes are a grid that was there before, or else as the map before it."""
        first, last = shape[1:] in self.grids, shape[:2] in self.grids
        dims = self.dims if first == last else MAPS if first else CHANNELS_LAST
        return read_map_as(shape, dims, "", 0.0)

    def likely_grid(self, grid: tuple[int, int]) -> bool:
        """Return whether there was such a grid before, or it is in proportion to the picture."""
        height, width = grid[0], grid[1] * self.proportion
        return grid in self.grids or abs(height - width) <= 1 + ROUNDING * (height + width)

    def is_matrix(self, answer: Answer, best: Axes) -> bool:
        """Return whether one axis alone holds a whole grid: a matrix over places is no map."""
        grid = answer.shape[1:]
        if best.clear < CLEAR and grid not in self.grids and {*grid} <= self.lengths:
            return True
        return any(
            self.best_tokens(answer, axis).clear >= max(SURE, best.clear)
            for axis, length in enumerate(answer.shape)
            if length in self.lengths or best.clear < CLEAR
        )

    def read_tokens(self, answer: Answer) -> Axes | None:
        """Of an output of two axes: which of them is that of the tokens, and of which grid."""
        if not answer.complete:
            return self.known_tokens(answer)
        found = [self.best_tokens(answer, axis) for axis in (0, 1)]
        axis = max((0, 1), key=lambda one: found[one].clear)
        best, key = found[axis], (axis, answer.shape[axis])
        if best.clear < (CLEAR if key in self.tokens else SURE):
            return self.known_tokens(answer)
        pairs = fold(answer, axis, best)
        if found[1 - axis].clear >= SURE or shuffled(best.layout.order, *pairs, answer.axis(axis)):
            return None
        self.tokens[key] = best
        self.shapes.add(answer.shape)
        return best

    def known_tokens(self, answer: Answer) -> Axes | None:
        """The reading of earlier tokens of this length, or of an earlier map's places, which the
        answer is too weak to tell, unless it says otherwise."""
        length, channels = answer.shape
        grids = [grid for grid in sorted(self.grids) if math.prod(grid) == length]
        known = self.tokens.get((0, length))
        if known is None and grids:
            known = Axes(layout=Layout(dims=TOKENS, order=""), shape=(0, *grids[0]), clear=0.0)
        matrix = channels in self.lengths and answer.shape not in self.shapes
        if known is None or matrix:
            return None
        known = replace(known, shape=(channels, *known.shape[1:]), clear=0.0, everywhere=False)
        if not answer.complete:
            return known
        pairs = fold(answer, 0, known)
        if shuffled(known.layout.order or UPRIGHT, *pairs, answer.axis(0)):
            return None
        return replace(known, everywhere=is_everywhere(pairs))

    def best_tokens(self, answer: Answer, axis: int) -> Axes:
        """The clearest reading of one axis as tokens of a grid."""
        dims = TOKENS if axis == 0 else TOKENS_LAST
        length, channels = answer.shape[axis], answer.shape[1 - axis]
        known = self.tokens.get((axis, length))
        best = Axes(layout=Layout(dims=dims), shape=(channels, 0, 0), clear=0.0)
        for before, behind, grid in self.token_grids(axis, length):
            layout = Layout(dims=dims, before=before, behind=behind)
            if best.clear >= SURE and before + behind > best.layout.before + best.layout.behind:
                break
            pairs = fold(answer, axis, replace(best, layout=layout, shape=(channels, *grid)))
            order, clear = max(orders(*pairs).items(), key=lambda one: one[1])
            lead = NEARLY if known and best.layout == known.layout else 0
            if clear > best.clear + lead:
                layout = replace(layout, order=order)
                shape = (channels, *(grid[::-1] if layout.turned else grid))
                everywhere = is_everywhere(pairs)
                best = Axes(layout=layout, shape=shape, clear=clear, everywhere=everywhere)
        return best

    def token_grids(self, axis: int, length: int) -> Iterator[tuple[int, int, tuple[int, int]]]:
        """Tokens before, behind, and grid: all that so many tokens could be, those known
        before and those with few others first."""
        known = self.tokens.get((axis, length))
        if known is not None:
            layout = known.layout
            grid = known.shape[:0:-1] if layout.turned else known.shape[1:]
            yield layout.before, layout.behind, grid
        for others in range(OTHERS + 1):
            for grid in grids_of(length - others, self.proportion):
                if known is None or grid in (known.shape[1:], known.shape[:0:-1]):
                    for before in range(others, -1, -1):
                        yield before, others - before, grid


def fold(answer: Answer, axis: int, tokens: Axes) -> tuple[Pair, Pair]:
    """The two axes of places of tokens, upright or not."""
    layout, grid = tokens.layout, tokens.shape[1:]
    if layout.turned:
        grid = grid[::-1]
    maps = [
        bands[:, layout.before : bands.shape[1] - layout.behind].reshape(BANDS, *grid)
        for bands in answer.axis(axis)
    ]
    return (maps[0].sum(2), maps[1].sum(2)), (maps[0].sum(1), maps[1].sum(1))


def best_map(answer: Answer, usual: Axes) -> Axes:
    """The clearest reading as channels and two axes of places; the usual one where in doubt."""
    found = [
        read_map_as(answer.shape, dims, order, clear)
        for dims in (MAPS, CHANNELS_LAST, "NHCW")
        for order, clear in orders(*place_axes(answer, dims)).items()
    ]
    upright = {one.layout.dims: one for one in found if one.layout.order == UPRIGHT}
    likely = upright[usual.layout.dims]
    other = upright[CHANNELS_LAST if likely.layout.dims == MAPS else MAPS]
    if other.clear >= max(CLEAR, likely.clear + BETTER):
        likely = other
    sure = max(found, key=lambda one: one.clear)
    return sure if sure.clear >= max(SURE, likely.clear + BETTER) else likely


def place_axes(answer: Answer, dims: str) -> tuple[Pair, Pair]:
    """The two axes of places if the axes are those of `dims`."""
    return answer.axis(dims.index("H") - 1), answer.axis(dims.index("W") - 1)


def read_map_as(shape: tuple[int, ...], dims: str, order: str, clear: float) -> Axes:
    """An output of three axes, read as `dims`."""
    layout = Layout(dims=dims, order=order)
    channels, height, width = (shape[dims.index(axis) - 1] for axis in "CHW")
    grid = (width, height) if layout.turned else (height, width)
    return Axes(layout=layout, shape=(channels, *grid), clear=clear)


def is_everywhere(pairs: tuple[Pair, Pair]) -> bool:
    """Return whether every place answers to every band."""
    return bool(min(shares(bands).min() for pair in pairs for bands in pair) > STILL)


def shuffled(order: str, first: Pair, second: Pair, places: Sequence[Array] = ()) -> bool:
    """Return whether places tell the bands apart, but elsewhere: rolled, or in no order.

    Args:
        order: as a layout has it, never unknown.
        first, second: the answers of the two axes of places.
        places: answers of the places themselves to the bands down and across, where they are on one
            axis; else those of the axes.
    """
    down, across = sorted(zip(order, (first, second), strict=True), key=lambda one: one[0].upper())
    pairs = ((down[1][0], down[0] == "h"), (across[1][1], across[0] == "w"))
    return any(
        spread(one, bands.shape[1]) >= max(SHARP, moved(bands, back) / IN_PLACE)
        for one, (bands, back) in zip(places or [pair[0] for pair in pairs], pairs, strict=True)
    )


@functools.cache
def grids_of(places: int, proportion: float) -> tuple[tuple[int, int], ...]:
    """Heights and widths whose product is `places`, about in proportion to the picture."""
    return tuple(
        (height, places // height)
        for height in range(2, places // 2 + 1)
        if places % height == 0
        and 1 / LARGEST_PROPORTION <= height**2 / places / proportion <= LARGEST_PROPORTION
    )
