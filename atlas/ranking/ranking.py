"""From activations over the images to statistics, dataset examples and ordered units. numpy only.

`channel_statistics` is what the pass over the images ends in; `rank_channels` orders a layer.
"""

import numpy as np
from numpy.typing import NDArray

from ..records.network import LayerInfo
from ..records.statistics import EXAMPLES, NEIGHBOURS, LayerStats
from ..shapes import Shape, Size, pair
from .sampling import Sampling, each_by_itself

SMALLEST_PATCH = 1 / 7
"""Least sides of a dataset example as shares of the input's: smaller ones cannot be read by eye."""

LARGEST_PATCH = 1 / 2
"""Largest sides: theoretical receptive fields of deep layers span the image, what drives a unit
rarely does (Luo et al. 2016, effective receptive fields)."""


def channel_statistics(
    info: LayerInfo,
    input_size: Size,
    means: NDArray[np.float32],
    peaks: NDArray[np.float32],
    places: NDArray[np.int32],
    deviations: NDArray[np.float32],
    sampling: Sampling | None = None,
) -> LayerStats:
    """Summarise one pass over N images.

    Args:
        info: the layer.
        input_size: of the network's input in pixels.
        means: (N, C) spatial mean of every channel on every image.
        peaks: (N, C) spatial maximum.
        places: (N, C) flat index of the maximum in the H × W map.
        deviations: (N, C) spatial standard deviation.
        sampling: which images are one file, and whose peaks are kept; None for each, all.
    """
    sampling = sampling or each_by_itself(len(means))
    finite = np.asarray(np.isfinite(means).all(0) & np.isfinite(peaks).all(0))
    kept = [np.where(finite, matrix, 0) for matrix in (means, deviations, peaks)]
    clean = kept[0]
    largest = np.abs(np.stack(kept)).max((0, 1))
    scale = np.maximum(largest, np.finfo(np.float32).tiny).astype(np.float32)
    matrices = [(matrix / scale).astype(np.float16) for matrix in kept]
    image = best_images(clean, kept[2], finite, sampling.files)
    activation, box = patches(info, input_size, peaks, places, image)
    neighbours, correlation = correlated_channels(clean, finite)
    wide = clean.astype(np.float64)
    return LayerStats(
        layer=info.name,
        activations=matrices[0],
        deviations=matrices[1],
        peaks=matrices[2][sampling.rows],
        places=places[sampling.rows].astype(np.min_scalar_type(info.height * info.width - 1)),
        rows=sampling.rows,
        scale=scale,
        mean=wide.mean(0).astype(np.float32),
        std=wide.std(0).astype(np.float32),
        max=wide.max(0).astype(np.float32),
        p99=np.percentile(wide, 99, axis=0).astype(np.float32),
        active=(np.where(finite, peaks, 0) > 0).mean(0).astype(np.float32),
        finite=finite,
        example_image=image,
        example_activation=activation,
        example_box=box,
        neighbours=neighbours,
        correlation=correlation,
    )


def best_images(
    means: NDArray[np.float32],
    peaks: NDArray[np.float32],
    finite: NDArray[np.bool_],
    files: NDArray[np.int64],
) -> NDArray[np.int32]:
    """(C, K) the images that excite each channel most, best first, one of each file.

    Ordered by the spatial maximum; where a channel saturates, ties go by its mean, then by image.
    −1 where there are fewer files, or the channel is not finite.

    Args:
        means, peaks: (N, C) of every channel on every image.
        finite: (C,) channels that count.
        files: (N,) equal for images that are parts of one file.
    """
    found = np.full((peaks.shape[1], EXAMPLES), -1, np.int32)
    for channel in np.flatnonzero(finite).tolist():
        order = np.lexsort((-means[:, channel], -peaks[:, channel]))  # stable
        first = np.unique(files[order], return_index=True)[1]
        best = order[np.sort(first)[:EXAMPLES]]
        found[channel, : len(best)] = best
    return found


def patches(
    info: LayerInfo,
    input_size: Size,
    peaks: NDArray[np.float32],
    places: NDArray[np.int32],
    images: NDArray[np.int32],
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """The maxima (C, K) of channels on some images (C, K), and the boxes (C, K, 4) around them.

    0 and an empty box where the image is −1.
    """
    column, there = np.arange(len(images))[:, None], images >= 0
    box = patch_boxes(info, input_size, places[images, column])
    box[~there] = 0
    return np.where(there, peaks[images, column], 0).astype(np.float32), box


def patch_boxes(info: LayerInfo, input_size: Size, places: NDArray[np.int32]) -> NDArray[np.int32]:
    """Boxes around positions of a layer's map, in pixels of the network's input: (…, 4)."""
    height, width = pair(input_size)
    even = height / info.height, width / info.width
    first_y, first_x, step_y, step_x = info.places or (even[0] / 2, even[1] / 2, *even)
    centre_y = first_y + places // info.width * step_y
    centre_x = first_x + places % info.width * step_x
    return boxes_around(info, input_size, centre_y, centre_x)


def boxes_around(
    info: LayerInfo,
    input_size: Size,
    centre_y: NDArray[np.floating],
    centre_x: NDArray[np.floating],
) -> NDArray[np.int32]:
    """Boxes around pixels, moved inside the image: y0, x0, y1, x1."""
    (height, width), (down, across) = pair(input_size), patch_shape(info, input_size)
    y0 = np.clip(np.round(centre_y - down / 2), 0, height - down)
    x0 = np.clip(np.round(centre_x - across / 2), 0, width - across)
    return np.stack([y0, x0, y0 + down, x0 + across], -1).astype(np.int32)


def patch_shape(info: LayerInfo, input_size: Size) -> Shape:
    """The receptive field between `SMALLEST_PATCH` and `LARGEST_PATCH` of each side, in pixels."""
    height, width = (
        int(
            np.clip(
                info.receptive_field or length,
                round(SMALLEST_PATCH * length),
                round(LARGEST_PATCH * length),
            )
        )
        for length in pair(input_size)
    )
    return height, width


def correlated_channels(
    means: NDArray[np.float32], finite: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The channels whose activations over the images correlate most with each channel's.

    Returns:
        Channels (C, 5), −1 where there are none, and Pearson correlations (C, 5).
    """
    channels = means.shape[1]
    centred = means.astype(np.float64) - means.mean(0, dtype=np.float64)
    length = np.sqrt((centred**2).sum(0))
    alive = finite & (length > 0)
    unit = np.where(alive, centred / np.where(alive, length, 1), 0)
    table = unit.T @ unit  # (C, C)
    table[~alive] = table[:, ~alive] = -np.inf
    np.fill_diagonal(table, -np.inf)
    kept = min(NEIGHBOURS, channels)
    best = np.argsort(-table, axis=1, kind="stable")[:, :kept]
    value = np.take_along_axis(table, best, 1)
    neighbours = np.full((channels, NEIGHBOURS), -1, np.int32)
    correlation = np.zeros((channels, NEIGHBOURS), np.float32)
    neighbours[:, :kept] = np.where(np.isfinite(value), best, -1)
    correlation[:, :kept] = np.where(np.isfinite(value), value, 0)
    return neighbours, correlation


def rank_channels(stats: LayerStats, rank: str) -> NDArray[np.int32]:
    """Channels by descending score, ties by channel; channels that were not finite are left out.

    Args:
        stats: of the layer.
        rank: "mean" (as the sources), "max", or "contrast" = (p99 − mean) / std.
    """
    score = {"mean": stats.mean, "max": stats.max, "contrast": stats.contrast}[rank]
    order = np.argsort(-np.where(stats.finite, score, -np.inf), kind="stable")
    return order[stats.finite[order]].astype(np.int32)
