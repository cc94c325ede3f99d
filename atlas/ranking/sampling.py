"""Rows of the matrices that are kept of a pass, and images that are one file.

A pass over very many images keeps where and how far each channel peaked on some of them only, the
same for all layers; several crops of a photograph are one file, of which a unit shows one patch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..records.samples import Sample

LARGEST_ROWS = 5000
"""Images of which peaks and their places are kept: 4 bytes an image and channel."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the N images of a pass are counted.

    Attributes:
        files: (N,) int, equal for images that are parts of one file.
        rows: (M,) int32, ascending, the images whose peaks are kept.
    """

    files: NDArray[np.int64]
    rows: NDArray[np.int32]


def each_by_itself(count: int) -> Sampling:
    """Every image is a file of its own, and all are kept."""
    return Sampling(np.arange(count), np.arange(count, dtype=np.int32))


def sampling_of(samples: Sequence[Sample], largest: int = LARGEST_ROWS) -> Sampling:
    """The sampling of a set: files by their bytes; the rows are those of the smallest digests.

    Which images are kept does not depend on the order of the files, and hardly on the others.

    Args:
        samples: all images of the pass.
        largest: number of rows.
    """
    first: dict[str, int] = {}
    files = [first.setdefault(one.sha256, at) for at, one in enumerate(samples)]
    order = sorted(range(len(samples)), key=lambda at: (samples[at].sha256, samples[at].name))
    return Sampling(np.array(files, np.int64), np.array(sorted(order[:largest]), np.int32))
