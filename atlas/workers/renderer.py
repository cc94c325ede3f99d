"""The worker that renders blocks: the same in this process and in those of a cluster."""

import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from ..config import Config
from ..errors import AtlasError, InputError, one_line
from ..models.load import load_model
from ..network import tuning
from ..network.network import Network
from ..records.units import Rendering
from ..rendering.attempts import render_best
from ..rendering.job import Job, Nature
from ..rendering.kinds import Recipe
from .schedule import UnitBlock

NO_GRADIENT = (
    "no gradient of this layer reaches the image (detach(), integers or rounding in front of it), "
    "so nothing can be optimised"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """Result of a worker on a block: renderings, where, and in what time."""

    renderings: tuple[Rendering, ...]
    device: str
    seconds: float


class Renderer:
    """A network and what its units are held against: renders blocks, in whatever process it is."""

    def __init__(self, config: Config, network: Network, nature: Nature) -> None:
        self.config = config
        self.network = network
        self.nature = nature

    def render(self, block: UnitBlock) -> Rendered:
        """Render a block."""
        began = time.perf_counter()
        return Rendered(
            renderings=self.render_guarded(block),
            device=tuning.describe_device(self.network.device),
            seconds=time.perf_counter() - began,
        )

    def render_guarded(self, block: UnitBlock) -> tuple[Rendering, ...]:
        """Render a block; if that fails, each unit alone, so that one takes no other with it."""
        if block.layer.name in self.network.without_gradient:
            return block.failed(NO_GRADIENT)
        try:
            return render_best(self.network, self.make_job(block))
        except AtlasError:
            raise
        except Exception as error:  # whatever it is, it is the unit's; the others go on
            if self.config.strict:
                raise
            if len(block.channels) == 1:
                return block.failed(one_line(error))
        alone = [replace(block, channels=(channel,)) for channel in block.channels]
        return tuple(one for unit in alone for one in self.render_guarded(unit))

    def make_job(self, block: UnitBlock) -> Job[Recipe]:
        """The request for a block: as asked for, and what "auto" means for its layer here."""
        config, network, layer = self.config, self.network, block.layer.name
        asked = "fp32" if block.recipe.repeated else config.precision
        precision = tuning.choose_precision(asked, network.device)
        return Job(
            recipe=block.recipe.suited_to(block.layer),
            layer=layer,
            channels=block.channels,
            size=config.size,
            seed=config.seed,
            weights=network.weights_sha256,
            batch=tuning.choose_batch(config.batch, network, layer, config.size),
            precision=precision if network.runs_in(precision, layer) else "fp32",
            nature=self.nature,
            examples=block.examples,
            earlier=block.earlier,
            snapshots=config.snapshots,
        )


def load_renderer(
    config: Config, device: str, taps: Sequence[str], nature: Nature, weights_sha256: str
) -> Renderer:
    """Build the renderer once in each process of a cluster.

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
