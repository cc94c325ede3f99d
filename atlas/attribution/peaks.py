"""Find the peak of a unit on its dataset examples, and the pixels that can reach it."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..network.tapping import Reduce
from ..ranking.ranking import patch_boxes
from ..records.network import LayerInfo
from ..shapes import Shape


def pick(channel: int) -> Reduce:
    """A reduction that takes one channel: (N, C, H, W) → (N, H · W)."""
    return lambda maps: maps[:, channel].flatten(1)


def find_places(
    layer: LayerInfo, shape: Shape, maps: Tensor, boxes: NDArray[np.int32]
) -> NDArray[np.int64]:
    """Flat positions of the peaks of some images.

    The picture is seen again as pages keep it, and the maximum may move to a position that is
    nearly as high; so it is looked for only where it gives the box that pages show.

    Args:
        layer: its row in the layer table.
        shape: of the network's input.
        maps: (K, H · W) of one channel.
        boxes: (K, 4) of the dataset examples.
    """
    values = maps.detach().float().cpu().numpy()
    known = patch_boxes(layer, shape, np.arange(values.shape[1], dtype=np.int32))  # (H · W, 4)
    here = np.asarray((known[None] == boxes[:, None]).all(2))  # (K, H · W)
    here[~here.any(1)] = True
    return np.asarray(np.where(here, values, -np.inf).argmax(1))


def at_places(maps: Tensor, places: NDArray[np.int64]) -> Tensor:
    """(K,) the values of maps (K, H · W) at a position of each."""
    return maps[torch.arange(len(places)), torch.from_numpy(places)]


def receptive_fields(
    layer: LayerInfo, shape: Shape, places: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """(K, H, W) true for the pixels that a position can see; for all where that is not known."""
    if not layer.places or not layer.receptive_field:
        return np.ones((len(places), *shape), np.bool_)
    first_y, first_x, step_y, step_x = layer.places
    rows = near(first_y + places // layer.width * step_y, layer.receptive_field, shape[0])
    columns = near(first_x + places % layer.width * step_x, layer.receptive_field, shape[1])
    return rows[:, :, None] & columns[:, None, :]


def near(centres: NDArray[np.floating], field: int, side: int) -> NDArray[np.bool_]:
    """(K, side) true for the pixels within half a field of each centre."""
    pixels = np.arange(side) + 0.5
    return np.asarray(np.abs(pixels - centres[:, None]) <= field / 2)
