"""The worker that renders blocks: the same in this process and in those of a cluster."""

import itertools
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from ..config import Config
from ..errors import AtlasError, InputError, one_line
from ..models.load import load_model, with_dictionaries
from ..network import tuning
from ..network.network import Network
from ..records.dictionary import Dictionary
from ..records.units import Rendering
from ..rendering.attempts import render_best
from ..rendering.job import Job, Nature
from ..rendering.kinds import Recipe
from .schedule import UnitBlock, merge_blocks

NO_GRADIENT = (
    "no gradient of this layer reaches the image (detach(), integers or rounding in front of it), "
    "so nothing can be optimised"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """Result of a worker on a block: renderings, where, and in what time.

    Attributes:
        notes: lines that people should read once.
    """

    renderings: tuple[Rendering, ...]
    device: str
    seconds: float
    notes: tuple[str, ...] = ()


class Renderer:
    """A network and what its units are held against: renders blocks, in whatever process it is."""

    def __init__(self, config: Config, network: Network, nature: Nature) -> None:
        self.config = config
        self.network = network
        self.nature = nature
        self._settings: dict[tuple[str, str], tuple[int, str]] = {}

    def render(self, blocks: Sequence[UnitBlock]) -> list[Rendered]:
        """Render blocks of one layer and recipe together; one result a block."""
        began = time.perf_counter()
        made = self.render_guarded(blocks)
        seconds = (time.perf_counter() - began) / sum(map(len, made))
        device = tuning.describe_device(self.network.device)
        return [
            Rendered(
                renderings=renderings,
                device=device,
                seconds=seconds * len(renderings),
                notes=self.network.notes,
            )
            for renderings in made
        ]

    def render_guarded(self, blocks: Sequence[UnitBlock]) -> list[tuple[Rendering, ...]]:
        """Render blocks; if that fails, each alone, and then each unit, so that none takes another
        with it."""
        if self.network.lacks_gradient(blocks[0].layer.name):
            return [block.failed(NO_GRADIENT) for block in blocks]
        try:
            made = iter(render_best(self.network, self.make_job(merge_blocks(blocks))))
            return [tuple(itertools.islice(made, len(block.channels))) for block in blocks]
        except AtlasError:
            raise
        except Exception as error:  # whatever it is, it is the unit's; the others go on
            if self.network.uncompile():
                return self.render_guarded(blocks)
            if self.config.strict:
                raise
            if sum(len(block.channels) for block in blocks) == 1:
                return [block.failed(one_line(error)) for block in blocks]
        if len(blocks) > 1:
            return [one for block in blocks for one in self.render_guarded([block])]
        alone = [replace(blocks[0], channels=(channel,)) for channel in blocks[0].channels]
        return [tuple(one for unit in alone for (one,) in self.render_guarded([unit]))]

    def settings(self, layer: str, asked: str) -> tuple[int, str]:
        """Batch and precision for a layer, found out once."""
        if (layer, asked) not in self._settings:
            config, network = self.config, self.network
            batch = tuning.choose_batch(config.batch, network, layer, config.size)
            precision = tuning.choose_precision(asked, network.device)
            runs = network.runs_in(precision, layer)
            self._settings[layer, asked] = batch, precision if runs else "fp32"
        return self._settings[layer, asked]

    def make_job(self, block: UnitBlock) -> Job[Recipe]:
        """The request for a block: as asked for, and what "auto" means for its layer here."""
        config, network, layer = self.config, self.network, block.layer.name
        asked = "fp32" if block.recipe.repeated else config.precision
        batch, precision = self.settings(layer, asked)
        if config.batch == "auto":
            batch = tuning.suited_batch(batch, len(block.channels), network.device)
        return Job(
            recipe=block.recipe.suited_to(block.layer),
            layer=layer,
            parent=block.layer.parent,
            channels=block.channels,
            size=config.size,
            seed=config.seed,
            weights=network.weights_sha256,
            batch=batch,
            precision=precision,
            nature=self.nature,
            examples=block.examples,
            earlier=block.earlier,
            aside=block.aside,
            snapshots=config.snapshots,
        )


def load_renderer(
    config: Config,
    device: str,
    taps: Sequence[str],
    nature: Nature,
    weights_sha256: str,
    dictionaries: Sequence[Dictionary] = (),
) -> Renderer:
    """Build the renderer once in each process of a cluster.

    Args:
        config, device, taps, nature: of the renderer.
        weights_sha256: that the model has to have.
        dictionaries: that are layers of it.

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
    model = with_dictionaries(model, dictionaries)
    return Renderer(config, Network(model, taps, torch.device(device), config.compile), nature)
