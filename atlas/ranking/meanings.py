"""How many meanings a unit has: do the images that excite it most fall into groups? numpy only.

The images are compared by what an observer makes of them. They are cut into two, three and four
groups; how well these are apart is compared with what the same procedure makes of images drawn at
random, the null. `Null` holds those, `Null.split` is the way in.

Sources: the silhouette, Rousseeuw 1987; the smallest p-value of several tests that depend on one
another, against its own distribution under the null, Westfall and Young 1993.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..records.evidence import Observation
from ..records.statistics import LayerStats
from .evidence import looks, of_length_one

Views = NDArray[np.float64]

DEPTHS = 2
"""Depths of the observer that count, the deepest: of 190 unions of two units of blocks.5.3 of
EfficientNet-Lite0 they split 68, the deepest alone 56, all five 39. Crops around the peaks instead
of whole images split fewer than 10: the observer knows things, not details."""

BEST = 32
"""Images of a unit that are looked at, each of another file."""

COUNTS = (2, 3, 4)
"""Numbers of groups that are tried."""

LEAST_GROUP = 5
"""Images of the smallest group that counts as a meaning; fewer are exceptions."""

CHANCE = 0.05
"""Largest chance of a split where there is none."""

SETS = 999
"""Sets of images that the null consists of."""

STARTS = 4
"""Images from which the groups of a set are begun; the clearest ones count."""

ROUNDS = 12
"""Rounds in which images move to the nearest group; nearly all stay from the eighth on."""


LEAST_POOL = 2 * BEST
"""Fewest images for a null: sets of fewer would be nearly the same ones."""


def deep_views(seen: Observation, natural: Observation) -> Views:
    """(N, D) what the deepest depths of an observer make of images, rows of length 1.

    Args:
        seen: of the images.
        natural: of those that say what is usual.
    """
    return looks(deepest(seen).features, deepest(natural))


def deepest(seen: Observation) -> Observation:
    """The last depths of an observation."""
    widths = seen.widths[-DEPTHS:]
    return replace(seen, widths=widths, features=seen.features[:, -sum(widths) :])


def first_of_files(images: Sequence[int], files: Sequence[str]) -> list[int]:
    """Images in their order, without those of a file that was there before.

    Args:
        images: some images.
        files: of every image, the same text where two are parts of one file.
    """
    first: dict[str, int] = {}
    for image in images:
        first.setdefault(files[image], image)
    return list(first.values())


def best_images(
    stats: LayerStats, channel: int, usable: NDArray[np.bool_], files: Sequence[str]
) -> list[int]:
    """The images on which a channel peaks highest, best first, each of another file.

    Args:
        stats: of its layer.
        channel: which.
        usable: (N,) images that may be looked at.
        files: of every image.
    """
    rows = np.flatnonzero(usable[stats.rows])
    images = stats.rows[rows]
    means, peaks = stats.over_images(channel)[images], stats.peaks_over_rows(channel)[rows]
    order = np.lexsort((images, -means, -peaks))
    return first_of_files(images[order].tolist(), files)[:BEST]


def others_of(
    views: Views, groups: Sequence[int], number: int, natural: Views
) -> NDArray[np.bool_]:
    """(T,) images that are more like another meaning of a unit than like the one of a number.

    Args:
        views: (N, D) of the images that excite it most.
        groups: (N,) number of the meaning of each.
        number: from 0.
        natural: (T, D) of the images in question.
    """
    member = np.array(groups)[:, None] == np.arange(max(groups) + 1)  # (N, K)
    means = of_length_one(member.T.astype(np.float64) @ views)
    return np.asarray((natural @ means.T).argmax(1) != number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """What a unit's images fall into.

    Attributes:
        groups: (N,) number of the group of each image, from 0, the largest group first.
        chance: share of sets of the null that are split as well as these images or better.
    """

    groups: NDArray[np.int64]
    chance: float

    @property
    def meanings(self) -> int:
        """Number of groups."""
        return int(self.groups.max(initial=0)) + 1


class Null:
    """Sets of random images, and how well sets of them can be split.

    Args:
        pool: (P, D) rows of length 1: what the observer makes of them, one of each file.
        size: images of a set.
        random: draws the sets.
    """

    def __init__(self, pool: Views, size: int, random: np.random.Generator) -> None:
        self.size = size
        sets = np.stack([random.permutation(len(pool))[:size] for _ in range(SETS)])
        table = pool @ pool.T
        grams = table[sets[:, :, None], sets[:, None, :]]  # (S, N, N)
        self.scores = np.stack([split_sets(grams, count)[1] for count in COUNTS])  # (K, S)
        own = [shares(row, row) - 1 / (1 + SETS) for row in self.scores]  # not against itself
        self.smallest = np.min(own, 0)

    def split(self, views: Views) -> Split:
        """Split the images of a unit, (N, D) rows of length 1, if they can be split so well that
        at most `CHANCE` of the sets of the null can."""
        gram = (views @ views.T)[None]
        found = [split_sets(gram, count) for count in COUNTS]
        scores = np.array([score[0] for _, score in found])
        ps = np.array(
            [shares(row, score)[0] for row, (_, score) in zip(self.scores, found, strict=True)]
        )
        chance = float((1 + (self.smallest <= ps.min()).sum()) / (1 + SETS))
        if chance > CHANCE:
            return Split(groups=np.zeros(len(views), np.int64), chance=chance)
        best = int(np.where(ps <= CHANCE, scores, -np.inf).argmax())
        return Split(groups=by_size(found[best][0][0]), chance=chance)


def shares(null: Views, scores: Views) -> Views:
    """The share of a null and a score of its own that is at least as high as that score."""
    above = len(null) - np.searchsorted(np.sort(null), scores, "left")
    return np.asarray((1 + above) / (1 + len(null)))


def split_sets(grams: Views, count: int) -> tuple[NDArray[np.int64], Views]:
    """Split sets of images into `count` groups each.

    Args:
        grams: (S, N, N) products of every two views of a set.

    Returns:
        (S, N) the group of each, and (S,) the mean silhouette of the clearest ones found; −1 where
        a group is too small.
    """
    order = grams.mean(2).argsort(1, kind="stable")  # farthest from the mean of the set first
    best, highest = np.zeros(order.shape, np.int64), np.full(len(grams), -2.0)
    for start in range(0, order.shape[1], max(1, order.shape[1] // STARTS)):
        groups = first_groups(grams, order[:, start], count)
        for _ in range(ROUNDS):
            groups = nearest_groups(grams, groups, count)
        scores = silhouettes(1 - grams, groups, count)
        best = np.where((scores > highest)[:, None], groups, best)
        highest = np.maximum(scores, highest)
    return best, highest


def first_groups(grams: Views, seed: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """(S, N) the nearest of `count` seeds, each the image that is farthest from those before.

    Args:
        seed: (S,) the first one.
    """
    sets, seeds = np.arange(len(grams)), [seed]
    while len(seeds) < count:
        nearest = np.max([grams[sets, seed] for seed in seeds], 0)
        seeds.append(nearest.argmin(1))
    return np.asarray(np.stack([grams[sets, seed] for seed in seeds]).argmax(0))


def nearest_groups(grams: Views, groups: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """(S, N) the group whose mean is nearest to each image: one round of k-means."""
    member, sizes = members(groups, count)
    share = member / np.maximum(sizes, 1)[:, None]  # (S, N, K)
    towards = grams @ share  # (S, N, K) product with the mean of each group
    lengths = (share * towards).sum(1)  # (S, K) squared length of the means
    distances = lengths[:, None] - 2 * towards
    return np.asarray(np.where(sizes[:, None] > 0, distances, np.inf).argmin(2))


def members(groups: NDArray[np.int64], count: int) -> tuple[Views, Views]:
    """(S, N, K) 1 for members of a group, and (S, K) how many there are."""
    member = (groups[..., None] == np.arange(count)).astype(np.float64)
    return member, member.sum(1)


def silhouettes(distances: Views, groups: NDArray[np.int64], count: int) -> Views:
    """(S,) mean silhouette of each set; −1 where a group has fewer than `LEAST_GROUP` images."""
    member, sizes = members(groups, count)
    sums = distances @ member  # (S, N, K)
    own = np.take_along_axis(sums, groups[..., None], 2)[..., 0]
    others = np.take_along_axis(sizes, groups, 1) - 1
    inside = own / np.maximum(others, 1)
    means = np.where(member > 0, np.inf, sums / np.maximum(sizes, 1)[:, None])
    outside = np.where(sizes[:, None] > 0, means, np.inf).min(2)
    larger = np.maximum(np.maximum(inside, outside), np.finfo(np.float64).tiny)
    score = ((outside - inside) / larger).mean(1)
    return np.where(sizes.min(1) >= LEAST_GROUP, score, -1)


def by_size(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """The groups numbered anew, the largest first, ties by their first image."""
    names, first, sizes = np.unique(groups, return_index=True, return_counts=True)
    order = sorted(range(len(names)), key=lambda at: (-sizes[at], first[at]))
    rank = np.empty(len(names), np.int64)
    rank[order] = np.arange(len(names))
    return rank[np.searchsorted(names, groups)]
