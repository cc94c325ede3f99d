"""What a worker is told and gives back, and the worker itself: the same here and on a cluster.

A `Task` is a block of units with all that rendering it takes, as plain values; a `Renderer` holds
the network and does tasks. `Alone` is the one worker of this process.
"""

import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ..config import Config
from ..errors import AtlasError, InputError, one_line
from ..images.tensors import decode_view
from ..models.load import load_model
from ..network import tuning
from ..network.network import Network
from ..records import LayerInfo, LayerStats, Rendering, Unit
from ..rendering.attempts import Block, Material, Settings, failed_rendering, render_block
from ..rendering.recipes import FourierRecipe, Recipe, steps_at_full_size
from ..shapes import Picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A block to be rendered by a recipe."""

    recipe: Recipe
    layer: LayerInfo
    block: Block

    @property
    def cost(self) -> float:
        """Relative time that it takes."""
        return unit_cost(self.recipe, self.layer) * len(self.block.channels)

    @property
    def wave(self) -> int:
        """See `wave_of`."""
        return wave_of(self.recipe)


def wave_of(recipe: Recipe) -> int:
    """Recipes of one wave need nothing of one another; a facet needs those of the waves before."""
    return recipe.facet if isinstance(recipe, FourierRecipe) else 0


def unit_cost(recipe: Recipe, layer: LayerInfo) -> float:
    """Relative time of a unit: multiply-adds up to the layer, and what every picture costs."""
    overhead = 60e6  # measured: resampling and FFT are worth 60 M multiply-adds a step
    return steps_at_full_size(recipe) * (layer.multiply_adds + overhead)


@dataclass(frozen=True, slots=True, kw_only=True)
class Nature:
    """What all blocks of a run take from real images.

    Attributes:
        stats: statistics of the layers to be rendered and of their companions, in forward order.
        hf: median share of high-frequency energy.
        magnitude: (C, H, W//2+1) float32, mean magnitude of the sample images' spectra; empty
            where no recipe needs it.
    """

    stats: Mapping[str, LayerStats]
    hf: float
    magnitude: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A block with all that rendering it takes, as plain values that can be sent to a worker.

    Attributes:
        item: what is to be rendered.
        best: channel → the sample image that excites it most: of colours a JPEG, else its pixels.
        earlier: channel → pictures (H, W, C) uint8 that a facet is to differ from; channels of
            which one has failed are left out.
    """

    item: Item
    best: Mapping[int, bytes | Picture]
    earlier: Mapping[int, Sequence[NDArray[np.uint8]]]

    def run(self, worker: "Renderer") -> "Rendered":
        """Render the block."""
        began = time.perf_counter()
        renderings = worker.guarded(self.item, worker.material(self))
        return Rendered(
            renderings=tuple(renderings),
            device=tuning.describe_device(worker.network.device),
            seconds=time.perf_counter() - began,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """What a worker made of a task: renderings, where, and in what time."""

    renderings: tuple[Rendering, ...]
    device: str
    seconds: float


class Renderer:
    """A network and what it is held against: renders blocks, in whatever process it lives."""

    def __init__(self, config: Config, network: Network, nature: Nature) -> None:
        self.config = config
        self.network = network
        self.nature = nature

    def settings(self, item: Item) -> Settings:
        """How a block is rendered: as asked for, and what "auto" means for its layer here."""
        config, network = self.config, self.network
        published = not isinstance(item.recipe, FourierRecipe)  # and repeated to the digit
        asked = "fp32" if published else config.precision
        precision = tuning.choose_precision(asked, network.device)
        return Settings(
            recipe=item.recipe,
            size=config.size,
            seed=config.seed,
            batch=tuning.choose_batch(config.batch, network, item.layer.name, config.size),
            precision=precision if network.runs_in(precision, item.layer.name) else "fp32",
            natural_hf=self.nature.hf,
            snapshots=config.snapshots,
        )

    def material(self, task: Task) -> Material:
        """What the units of a block take from nature and from their earlier pictures."""
        recipe, layer = task.item.recipe, task.item.layer.name
        company = isinstance(recipe, FourierRecipe) and recipe.objective == "company"
        names = list(self.nature.stats)
        before = names[: names.index(layer) + 1] if company else [layer]

        def earlier(channel: int) -> Sequence[NDArray[np.uint8]]:
            if channel not in task.earlier:
                raise ValueError("a picture that it is to differ from has failed")
            return task.earlier[channel]

        return Material(
            natural={name: self.nature.stats[name] for name in before},
            best_image=lambda channel: as_picture(task.best[channel]),
            earlier=earlier,
            magnitude=self.nature.magnitude,
        )

    def guarded(self, item: Item, material: Material) -> Sequence[Rendering]:
        """Render a block; if that fails, each unit alone, so that one takes no other with it."""
        block = item.block
        if block.layer in self.network.without_gradient:
            return self.failed(item, NO_GRADIENT)
        try:
            return render_block(self.network, block, self.settings(item), material)
        except AtlasError:
            raise
        except Exception as error:  # whatever it is, it is the unit's; the others go on
            if self.config.strict:
                raise
            if len(block.channels) == 1:
                return self.failed(item, one_line(error))
        alone = [replace(block, channels=(channel,)) for channel in block.channels]
        return [one for part in alone for one in self.guarded(replace(item, block=part), material)]

    def failed(self, item: Item, reason: str) -> list[Rendering]:
        """The units of a block that cannot be rendered, each of which says why."""
        units = [Unit(layer=item.layer.name, channel=channel) for channel in item.block.channels]
        return [failed_rendering(unit, item.recipe.name, reason) for unit in units]


def as_picture(image: bytes | Picture) -> Picture:
    """Pixels of a sample image."""
    return decode_view(image) if isinstance(image, bytes) else image


NO_GRADIENT = (
    "no gradient of this layer reaches the image (detach(), integers or rounding in front of it), "
    "so nothing can be optimised"
)


class Workers(Protocol):
    """Those who do tasks, on one kind of device."""

    device: str

    def map(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Any]]:
        """Do every task; yields (task, result) as they are done, in any order."""
        ...


class Alone:
    """One worker in this process: every task is made, done and its result used before the next."""

    def __init__(self, renderer: Renderer) -> None:
        self.renderer = renderer
        self.device = renderer.network.device.type

    def map(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Any]]:
        """Do every task; yields (task, result) in the order of the tasks."""
        for task in tasks:
            yield task, task.run(self.renderer)


def load_renderer(
    config: Config, device: str, taps: Sequence[str], nature: Nature, weights_sha256: str
) -> Renderer:
    """What a process of a cluster builds once.

    Raises:
        InputError: the model cannot be loaded there, or has other weights there.
    """
    torch.set_num_threads(1)  # the CPU that the process has asked for; the others have theirs
    model = load_model(config)
    if model.info.weights_sha256 != weights_sha256:
        raise InputError(
            f"{socket.gethostname()} has other weights of {config.model} "
            f"({model.info.weights_sha256[:12]}, not {weights_sha256[:12]}); give every node the "
            "same file"
        )
    return Renderer(config, Network(model, taps, torch.device(device), config.compile), nature)
