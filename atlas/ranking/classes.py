"""The classes of a classifier: which are meant, which are likely, which image is which.

Class scores are a layer like any other (`records.CLASSES`), one channel a class; what is special
about them is that they turn into probabilities. `probabilities` alone knows how: of what a network
puts out `outputs.to_scores` has made scores before.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError, closest
from ..records.network import Outputs
from ..records.samples import Sample
from ..records.statistics import LayerStats

LEAST_EVIDENCE = 0.05
"""Probability below which an image is no evidence for a class."""

VOTERS = 6
"""Channels behind each class that its page lists and that get a page of their own."""


def class_name(names: Sequence[str], index: int) -> str:
    """Return the name of a class, or its number where the model has no names."""
    return names[index] if index < len(names) else f"class {index}"


def find_classes(
    option: str, wanted: Sequence[str], names: Sequence[str], count: int
) -> tuple[int, ...]:
    """Indices of classes given by name or by index, in the order given; no class twice.

    A name that several classes share (`crane` is a bird and a machine) means all of them; capital
    letters do not count. A number that is itself a name (of digits, of folders) is the name.

    Args:
        option: for the message.
        wanted: names and indices.
        names: of the classes; () where the model has none.
        count: number of classes.

    Raises:
        UsageError: there is no such class; names the closest ones.
    """
    lower = [name.lower() for name in names]
    found: list[int] = []
    for word in wanted:
        same = [index for index, name in enumerate(lower) if name == word.lower()]
        if not same and word.isdecimal() and int(word) < count:
            same = [int(word)]
        if not same:
            hint, allowed = closest(word.lower(), lower), "names, or " if names else ""
            raise UsageError(
                f"{option}: there is no class {word!r}{hint}; allowed: {allowed}0 to {count - 1}"
            )
        found += same
    return tuple(dict.fromkeys(found))


def compete(outputs: Outputs) -> bool:
    """Return whether the probabilities of all classes add up to 1; else each has its own."""
    return not outputs.startswith("multilabel")


def probabilities(scores: NDArray[np.floating], outputs: Outputs) -> NDArray[np.float64]:
    """Return the probability of each class: softmax of the scores, or sigmoid where none compete.

    Args:
        scores: (N, K); those that are not finite count as least.
        outputs: what the network puts out.

    Returns:
        (N, K), each from 0 to 1.
    """
    known = np.where(np.isfinite(scores), scores, -np.inf).astype(np.float64)
    if not compete(outputs):
        return np.asarray(np.exp(-np.logaddexp(0, -known)))
    top = known.max(1, keepdims=True)
    shares = np.exp(known - np.where(np.isfinite(top), top, 0))
    total = shares.sum(1, keepdims=True)
    return np.asarray(shares / np.where(total > 0, total, 1))


def class_probabilities(scores: LayerStats, outputs: Outputs) -> NDArray[np.float64]:
    """(N, K) what every sample image is given; classes that are not finite have nothing.

    Args:
        scores: statistics of the layer of class scores.
        outputs: what the network puts out.
    """
    values = scores.activations.astype(np.float64) * scores.scale
    return probabilities(np.where(scores.finite, values, np.nan), outputs)


def likely_classes(scores: LayerStats, outputs: Outputs) -> NDArray[np.int32]:
    """(K,) classes by the largest probability that any sample image is given, ties by index."""
    order = np.argsort(-class_probabilities(scores, outputs).max(0), kind="stable")
    return order[scores.finite[order]].astype(np.int32)


def spread_classes(count: int, number: int = 10) -> tuple[int, ...]:
    """A fixed list of classes, evenly spread over all `count`: first and last among them."""
    return tuple(sorted({round(at * (count - 1) / max(number - 1, 1)) for at in range(number)}))


def varied_samples(samples: Sequence[Sample], count: int) -> tuple[int, ...]:
    """`count` sample images that differ most in where they come from, in order of their index.

    First one crop of every distinct file, of which first one of every folder, then a second one of
    each, and so on; then a second crop of every file. Where more folders are left than pages, the
    pages are spread evenly over them.
    """
    rounds: dict[tuple[int, int], list[int]] = {}
    crops: Counter[str] = Counter()
    files: Counter[tuple[int, str]] = Counter()
    for sample in samples:
        crop, folder = crops[sample.sha256], sample.name.rpartition("/")[0]
        rounds.setdefault((crop, files[crop, folder]), []).append(sample.index)
        crops[sample.sha256] += 1
        files[crop, folder] += 1
    chosen: list[int] = []
    for _, found in sorted(rounds.items()):
        left = min(count - len(chosen), len(found))
        chosen += [found[at * len(found) // left] for at in range(left)]
    return tuple(sorted(chosen))
