"""The stage stimuli → tuning: what every layer answers to pictures of which everything is known.

It is part of the pass that ranks, and of no other: `tune_layers` runs the stimuli once, for all
layers whose responses the cache does not hold. `Tuner` reads them again.
"""

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..cache.store import Store
from ..errors import InputError
from ..files.digests import fingerprint
from ..network.network import Network
from ..ranking.activations import observe
from ..ranking.stimuli import STIMULI_VERSION, draw, make_stimuli
from ..ranking.tuning import analyse
from ..records.network import CLASSES, LayerInfo, ModelInfo
from ..records.tuning import Responses, Tuning
from .run import Work


class Tuner:
    """The stimuli of a model, and the tuning that a cache holds of its layers.

    Attributes:
        stimuli: those for its input.
        mark: identifies them in the cache.
    """

    def __init__(self, model: ModelInfo) -> None:
        self.shape = model.shape
        self.stimuli = make_stimuli(model.shape, model.channels)
        self.mark = fingerprint(
            {
                "stimuli": STIMULI_VERSION,
                "shape": list(model.shape),
                "channels": model.channels,
            }
        )

    def read(self, store: Store, layer: str) -> Tuning | None:
        """The tuning of a layer; None where its responses to these stimuli are not there."""
        responses = store.responses(layer, self.mark)
        return analyse(responses, self.stimuli, self.shape) if responses else None


def untuned_layers(work: Work, layers: Sequence[LayerInfo]) -> list[LayerInfo]:
    """Those of the layers, but for the class scores, whose responses the cache does not hold."""
    mark, store = Tuner(work.store.read_network()[0]).mark, work.store
    return [
        one for one in layers if one.name != CLASSES and store.responses(one.name, mark) is None
    ]


def tune_layers(work: Work, network: Network, layers: Sequence[LayerInfo]) -> None:
    """Run all stimuli once and keep what `layers` answer; a network that takes none has none.

    Raises:
        InputError: with --strict, where the network fails on them.
    """
    if not layers:
        return
    tuner, began = Tuner(network.info), time.perf_counter()
    pictures = (draw(one, tuner.shape, network.info.planes) for one in tuner.stimuli)
    stream = work.progress.images(pictures, len(tuner.stimuli), "stimuli")
    try:
        tables = observe(network, layers, stream).tables
    except InputError as error:
        if work.config.strict:
            raise
        work.progress.warn(f"no tuning curves: {error}")
        return
    for layer in layers:
        work.store.write_responses(summed_up(layer.name, tables[layer.name]), tuner.mark)
    spent = time.perf_counter() - began
    work.progress.say(f"tuned over {len(tuner.stimuli)} synthetic stimuli in {spent:.1f} s")


def summed_up(layer: str, table: NDArray[np.float32]) -> Responses:
    """The responses of a layer from the table (S, C, 4) of a pass."""
    kept = table[..., [0, 3]]  # means and deviations
    finite = np.asarray(np.isfinite(kept).all((0, 2)))
    kept = np.where(finite[:, None], kept, 0)  # (S, C, 2)
    scale = np.maximum(np.abs(kept).max((0, 2)), np.finfo(np.float32).tiny).astype(np.float32)
    means, deviations = np.moveaxis((kept / scale[:, None]).astype(np.float16), 2, 0)
    return Responses(
        layer=layer,
        means=np.ascontiguousarray(means),
        deviations=np.ascontiguousarray(deviations),
        scale=scale,
    )
