"""The key of a run, and the one that the cache has for it already.

A key holds what one's own network computes as numbers, which machines round differently; so a key
that differs from a known one by rounding only is that one. Start at `known_key`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import CacheError
from .folder import read_key

BEHAVIOUR = "forward"
"""Field of a key: what the network computes, see `behaviour.describe_behaviour`."""

TOLERANCE = 1e-4
"""Largest difference of outputs, over their mean size, that is rounding: between processors with
other instructions it is below 1e-5, and an edit that matters changes more."""


def known_key(folder: Path, key: Mapping[str, Any]) -> dict[str, Any]:
    """The key in a model's folder that means the same, or else `key` itself."""
    for path in sorted(folder.glob("*/key.json")) if BEHAVIOUR in key else ():
        try:
            other = read_key(path.parent)
        except CacheError:  # whoever opens that folder will say so
            continue
        if means_the_same(other, key):
            return other
    return dict(key)


def means_the_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two keys differ in nothing but rounding."""
    first, second = ({**key, BEHAVIOUR: None} for key in (one, other))
    return first == second and behaves_alike(one.get(BEHAVIOUR, ()), other.get(BEHAVIOUR, ()))


def behaves_alike(one: Sequence[float], other: Sequence[float]) -> bool:
    """Return whether two descriptions are of the same network: pairs of a size and a mean."""
    if len(one) != len(other):
        return False
    pairs = zip(one[::2], one[1::2], other[::2], other[1::2], strict=True)
    return all(
        max(abs(size - size_too), abs(mean - mean_too)) <= TOLERANCE * max(size, size_too)
        for size, mean, size_too, mean_too in pairs
    )
