"""REACH, SELECT, ROBUST and HF: how far a finished 8-bit picture can be trusted.

`score_images` measures, `judge` turns scores into a status and says why. The formulas and gates are
this project's own; they are explained to readers on every site's about page.
"""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..images.tensors import CPU, fit, to_tensor
from ..network.network import Network, spatial_mean
from ..ranking.classes import compete, probabilities
from ..records.network import CLASSES, Outputs
from ..records.statistics import LayerStats
from ..records.units import Scores, Status
from ..shapes import Picture, white_of
from .objectives import standardise
from .pixels import places_of
from .transforms import affine, apply_geometry

LEAST_REACH = 1.0
LARGEST_SELECT = 3
LEAST_ROBUST = 0.6
LARGEST_HF = 3.0
"""The gates of status "ok"."""

LEAST_CONFIDENCE = 0.5
"""The gate of a class with a probability of its own, instead of SELECT: more likely than not."""

GEOMETRIES = (
    (1.0, 0.0, 16 / 224, 16 / 224),
    (1.0, 0.0, -16 / 224, -16 / 224),
    (0.9, 0.0, 0.0, 0.0),
    (1.1, 0.0, 0.0, 0.0),
    (1.0, 10.0, 0.0, 0.0),
    (1.0, -10.0, 0.0, 0.0),
)
"""Scale, degrees, shift down and right as shares of the side; blur and JPEG make it eight."""


THREADS = 8
"""That blur and compress for a GPU, which would wait for one; each of a cluster's CPUs has one."""


def high_frequency(images: Picture, device: torch.device = CPU) -> NDArray[np.float32]:
    """Share of the energy above .25 cycles per pixel, DC removed, Hann window: (N,).

    Args:
        images: (N, H, W, C); the mean over the channels counts.
        device: that computes it, in double precision.
    """
    numbers = images if images.dtype == np.uint8 else images.astype(np.float64)
    grey = torch.from_numpy(numbers).to(device).double().mean(3) / white_of(images)
    grey -= grey.mean((1, 2), keepdim=True)
    window, counted, high = frequencies(grey.shape[1:])
    power = torch.fft.rfft2(grey * window.to(device)).abs().square() * counted.to(device)
    total = power.sum((1, 2))
    share = (power * high.to(device)).sum((1, 2)) / torch.where(total > 0, total, 1)
    return np.asarray(torch.where(total > 0, share, 0).cpu().numpy(), np.float32)


def frequencies(shape: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    """A periodic Hann window (H, W), and of the half spectrum how often each column counts in the
    whole one, and which frequencies (H, W//2+1) are high."""
    height, width = shape
    down, across = (torch.hann_window(side, dtype=torch.float64) for side in shape)
    rows = torch.fft.fftfreq(height, dtype=torch.float64)[:, None]
    columns = torch.fft.rfftfreq(width, dtype=torch.float64)
    counted = torch.where((columns == 0) | (columns == 0.5), 1.0, 2.0)
    return down[:, None] * across, counted, torch.hypot(rows, columns) > 0.25


@torch.no_grad()
def score_images(
    network: Network,
    layer: str,
    channels: Sequence[int],
    pictures: Sequence[NDArray[np.uint8]],
    stats: LayerStats,
    natural_hf: float,
    sign: int = 1,
) -> list[Scores]:
    """Score the picture of each unit.

    Args:
        network: the one that was rendered.
        layer: of all the units.
        channels: one a picture.
        pictures: (H, W, C) uint8, of any one size in the proportion of the input.
        stats: natural statistics of the layer.
        natural_hf: median share of high-frequency energy of natural images at the input size.
        sign: −1 for pictures of what units dislike: REACH then runs from the natural mean to the
            natural minimum, SELECT counts from the least active channel.
    """
    fitted = [fit(picture, network.info.shape) for picture in pictures]
    rows, columns = places_of(channels, network.device)
    images = to_tensor(fitted, network.device)
    with network.tap({layer: spatial_mean}) as run:
        views = (run(one)[layer] for one in (images, *transformed(images, fitted)))
        means = torch.stack(list(views))  # (1 + 8, N, C)
    own = means[:, rows, columns]
    distances = sign * (means if layer == CLASSES else standardise(means, stats))
    ranks = (distances > distances[:, rows, columns, None]).sum(2) + 1  # (1 + 8, N), from 1
    mean, end = sign * stats.mean[list(channels)], sign * natural_end(stats, channels, sign)
    activation, *copies = own.cpu().numpy()
    reach = reach_of(sign * activation, mean, end)
    kept = np.stack([reach_of(sign * copy, mean, end) for copy in copies])  # (8, N)
    share = kept.astype(np.float64) / np.where(reach > 0, reach, 1)
    robust = np.median(np.where(reach > 0, share, 0), 0)  # (N,)
    selects, *others = ranks.tolist()
    confidence = class_confidence(layer, means[0], channels, network.info.outputs)
    hf = high_frequency(np.stack(fitted), network.device) / max(natural_hf, 1e-9)
    return [
        Scores(
            activation=float(activation[i]),
            reach=float(reach[i]),
            select=selects[i],
            robust=float(robust[i]),
            hf=float(hf[i]),
            ranks=tuple(one[i] for one in others),
            confidence=confidence[i],
        )
        for i in range(len(channels))
    ]


def class_confidence(
    layer: str, scores: Tensor, channels: Sequence[int], outputs: Outputs
) -> list[float]:
    """Probability of each picture's own class; NaN for layers that are no class scores."""
    if layer != CLASSES:
        return [math.nan] * len(channels)
    shares = probabilities(scores.cpu().numpy(), outputs)[np.arange(len(channels)), channels]
    return [float(share) for share in shares]


def natural_end(stats: LayerStats, channels: Sequence[int], sign: int) -> NDArray[np.float32]:
    """The natural maximum of each channel, or its minimum where sign is −1."""
    if sign > 0:
        return stats.max[list(channels)]
    return np.array([stats.over_images(channel).min() for channel in channels], np.float32)


def reach_of(
    activation: NDArray[np.float32], mean: NDArray[np.float32], top: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(a − mean) / (max − mean) over the sample images; a tiny distance where max = mean."""
    distance = np.maximum(top - mean, 1e-6 * np.maximum(np.abs(top), 1e-6))
    reach: NDArray[np.float64] = (activation.astype(np.float64) - mean) / distance
    largest = np.finfo(np.float32).max  # where an activation overflows
    return np.asarray(reach.clip(-largest, largest), np.float32)


def transformed(images: Tensor, pictures: Sequence[NDArray[np.uint8]]) -> list[Tensor]:
    """The eight fixed transforms of ROBUST, each applied to all images (N, C, H, W)."""
    copies = []
    for scale, degrees, down, right in GEOMETRIES:
        one = affine(
            torch.tensor(scale),
            torch.tensor(math.radians(degrees)),
            2 * torch.tensor([right, down]),
        )
        maps = one.to(images.device).expand(len(images), 2, 3)
        copies.append(apply_geometry(images, maps))
    with ThreadPoolExecutor(1 if images.device.type == "cpu" else THREADS) as pool:
        for change in (blurred, jpeg_copy):
            copies.append(to_tensor(list(pool.map(change, pictures)), images.device))
    return copies


def blurred(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture (H, W, C) smoothed by a Gaussian of 1 px."""
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 1.0), np.uint8)


def jpeg_copy(picture: NDArray[np.uint8], quality: int = 75) -> NDArray[np.uint8]:
    """Return a picture (H, W, C) after JPEG compression, channel by channel unless in colours."""
    if picture.shape[2] == 3:
        return jpeg_part(picture[..., ::-1], quality)[..., ::-1]
    parts = [jpeg_part(plane, quality) for plane in picture.transpose(2, 0, 1)]
    return np.stack(parts, 2)


def jpeg_part(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Return (H, W, 3) in BGR order, or one channel (H, W), after JPEG compression."""
    done, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    kind = cv2.IMREAD_COLOR if pixels.ndim == 3 else cv2.IMREAD_GRAYSCALE
    return np.asarray(cv2.imdecode(data, kind), np.uint8)


def select_gate(layer: str, outputs: Outputs) -> int:
    """The gate of SELECT: 1 for classes that compete, which have to be the network's first guess;
    0, none at all, for classes that do not."""
    if layer != CLASSES:
        return LARGEST_SELECT
    return int(compete(outputs))


def judge(
    scores: Scores, finite: bool, silent: bool, largest_select: int = LARGEST_SELECT
) -> tuple[Status, str]:
    """Status of a rendering and, unless it is "ok", the reason in words.

    Args:
        scores: of the picture.
        largest_select: gate of SELECT; 0 where the class's own probability is the gate instead.
        finite: False if the optimisation met NaN or infinity and could not go on.
        silent: True if the unit is active on no image and never had a gradient.
    """
    if not finite:
        return "nonfinite", "the optimisation met values that are not finite, twice"
    if silent:
        return "dead", "no sample image activates this unit, and no picture gives it a gradient"
    failed = [
        text
        for gate, text in (
            (
                scores.reach >= LEAST_REACH,
                f"REACH {scores.reach:.2f} is below {LEAST_REACH:g}: real images excite it more",
            ),
            (
                scores.select <= largest_select or not largest_select,
                f"SELECT {scores.select} is above {largest_select}: others respond more",
            ),
            (
                scores.confidence >= LEAST_CONFIDENCE or bool(largest_select),
                f"CONFIDENCE {scores.confidence:.2f} is below {LEAST_CONFIDENCE:g}: the network "
                "does not find the class in it",
            ),
            (
                scores.robust >= LEAST_ROBUST,
                f"ROBUST {scores.robust:.2f} is below {LEAST_ROBUST:g}: small changes weaken it",
            ),
            (
                scores.hf <= LARGEST_HF,
                f"HF {scores.hf:.2f} is above {LARGEST_HF:g}: more fine noise than photographs",
            ),
        )
        if not gate
    ]
    return ("weak", "; ".join(failed)) if failed else ("ok", "")
