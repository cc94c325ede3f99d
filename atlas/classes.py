"""The classes of a classifier: which are meant, which are likely, which image is which.

Class scores are a layer like any other (`records.CLASSES`), one channel a class; what is special
about them is that they compete, so that scores turn into probabilities.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .errors import UsageError, closest
from .records import LayerStats, Sample


def class_name(names: Sequence[str], index: int) -> str:
    """What people call a class: its name, or its number where the model has no names."""
    return names[index] if index < len(names) else f"class {index}"


def find_classes(
    option: str, wanted: Sequence[str], names: Sequence[str], count: int
) -> tuple[int, ...]:
    """Indices of classes given by name or by index, in the order given; no class twice.

    A name that several classes share (`crane` is a bird and a machine) means all of them; capital
    letters do not count.

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
        if word.isdecimal() and int(word) < count:
            found.append(int(word))
            continue
        same = [index for index, name in enumerate(lower) if name == word.lower()]
        if not same:
            hint, allowed = closest(word.lower(), lower), "names, or " if names else ""
            raise UsageError(
                f"{option}: there is no class {word!r}{hint}; allowed: {allowed}0 to {count - 1}"
            )
        found += same
    return tuple(dict.fromkeys(found))


def class_probabilities(scores: LayerStats) -> NDArray[np.float64]:
    """(N, K) softmax of the class scores of every sample image; scores not finite count as least.

    Args:
        scores: statistics of the layer of class scores.
    """
    logits = scores.activations.astype(np.float64) * scores.scale
    logits[:, ~scores.finite] = -np.inf
    shares = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(shares / shares.sum(1, keepdims=True))


def likely_classes(scores: LayerStats) -> NDArray[np.int32]:
    """(K,) classes by the largest probability that any sample image is given, ties by index."""
    order = np.argsort(-class_probabilities(scores).max(0), kind="stable")
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
