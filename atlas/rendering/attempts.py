"""Who renders which block, and the rules a picture has to pass before it is kept.

`render_block` takes the units of one block through optimisation, scoring, retries and judgement;
`plan_blocks` cuts a layer's ranking into blocks whose borders never depend on where a run stopped.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ..config import fingerprint
from ..images.tensors import fit, to_pixels
from ..network.network import Network
from ..records import LayerStats, Rendering, Scores, Start, Status, Unit
from ..shapes import Picture, Size, in_proportion, resize
from .engine import render
from .job import Draft, Job
from .recipes import FourierRecipe, Recipe, digest, sign_of
from .scoring import judge, score_images, select_gate

BLOCK_UNITS = 32
"""Units committed together: half a minute on two cores, the most that an interruption can lose."""

NO_SNAPSHOTS = np.zeros((0, 3, 0, 0), np.float16)
SNAPSHOT_SIDE = 112
"""Longer side of the pictures of `--snapshots`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Units of one layer that are committed together.

    Attributes:
        layer: their layer.
        first, last: ranks of the first and the last of them, from 0.
        channels: those still to be rendered, in order of rank.
    """

    layer: str
    first: int
    last: int
    channels: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is the same for all blocks of a run.

    Attributes:
        recipe: how units are rendered.
        size: longer side of a picture.
        seed: of the whole atlas.
        batch: largest number of units optimised together.
        precision: arithmetic of the network, e.g. "fp32".
        natural_hf: median share of high-frequency energy of the natural images.
        snapshots: keep the picture after each octave.
    """

    recipe: Recipe
    size: int
    seed: int
    batch: int
    precision: str
    natural_hf: float
    snapshots: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What rendering and scoring take from nature and from earlier pictures.

    Attributes:
        natural: statistics of the block's layer, and of the layers before it for `company`.
        best_image: channel → (H, W, C), the sample image that excites it most.
        earlier: channel → pictures (H, W, C) uint8 that a facet is to differ from.
        magnitude: (C, H, W//2+1) float32, mean magnitude of the sample images' spectra at the size
            of the pictures; empty where no recipe needs it.
    """

    natural: Mapping[str, LayerStats]
    best_image: Callable[[int], Picture]
    earlier: Callable[[int], Sequence[NDArray[np.uint8]]]
    magnitude: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    draft: Draft
    scores: Scores
    status: Status
    reason: str
    seed: int
    start: Start
    seconds: float


Place = tuple[str, int]
"""Layer and first rank of a block, whatever of it is finished."""


def plan_blocks(
    layer: str,
    chosen: Sequence[int],
    finished: Sequence[int],
    ours: Set[Place] | None = None,
) -> Iterator[Block]:
    """Cut the chosen channels (in order of rank) into blocks, leaving out what is finished.

    Args:
        layer: of the channels.
        chosen: in order of rank.
        finished: channels that are rendered already.
        ours: where our blocks are, if not all are ours.
    """
    done = set(finished)
    for first in range(0, len(chosen), BLOCK_UNITS):
        ranks = range(first, min(first + BLOCK_UNITS, len(chosen)))
        missing = [rank for rank in ranks if chosen[rank] not in done]
        if missing and (ours is None or (layer, first) in ours):
            channels = tuple(chosen[rank] for rank in missing)
            yield Block(layer=layer, first=missing[0], last=missing[-1], channels=channels)


def shard_blocks(
    chosen: Mapping[str, Sequence[int]], costs: Mapping[str, float], shard: tuple[int, int]
) -> set[Place]:
    """The blocks that are the I-th of N shards'.

    The dearest block goes to the shard that has least to do so far, and so on. What is finished
    does not count, nor does the recipe: pictures of a unit that build on one another stay together.

    Args:
        chosen: layer → channels, in order of rank.
        costs: layer → relative time of a unit.
        shard: I and N, counted from 1.

    Returns:
        Where they are.
    """
    blocks = [
        (costs[layer] * min(BLOCK_UNITS, len(channels) - first), (layer, first))
        for layer, channels in chosen.items()
        for first in range(0, len(channels), BLOCK_UNITS)
    ]
    loads, parts = [0.0] * shard[1], [set[Place]() for _ in range(shard[1])]
    for cost, place in sorted(blocks, key=lambda block: -block[0]):
        least = loads.index(min(loads))
        loads[least] += cost
        parts[least].add(place)
    return parts[shard[0] - 1]


def unit_seed(network: Network, unit: Unit, settings: Settings, attempt: int) -> int:
    """63 bits from (weights, unit, recipe, size, seed, attempt): nothing else moves a picture."""
    parts = [
        network.weights_sha256,
        str(unit),
        digest(settings.recipe),
        settings.size,
        settings.seed,
        attempt,
    ]
    return int(fingerprint(parts)[:16], 16) >> 1


def render_block(
    network: Network,
    block: Block,
    settings: Settings,
    material: Material,
) -> tuple[Rendering, ...]:
    """Render, score and judge the units of a block.

    A unit whose picture is not "ok" is tried again from other seeds, and if real images still
    excite it more, once from its best dataset example; the best attempt is kept.

    Args:
        network: ready to run.
        block: the units.
        settings: of the run.
        material: from nature and earlier pictures.

    Returns:
        One rendering per channel of the block, in its order.
    """
    tries: dict[int, list[_Attempt]] = {channel: [] for channel in block.channels}
    for attempt in range(settings.recipe.seeds):
        pending = [c for c in block.channels if not any(map(settled, tries[c]))]
        run_attempt(network, block.layer, pending, settings, material, attempt, "noise", tries)
    if can_start_from_example(settings.recipe):
        below = [c for c in block.channels if all(unreached(one) for one in tries[c])]
        attempt = settings.recipe.seeds
        run_attempt(network, block.layer, below, settings, material, attempt, "example", tries)
    return tuple(
        finish(Unit(layer=block.layer, channel=c), tries[c], settings) for c in block.channels
    )


def can_start_from_example(recipe: Recipe) -> bool:
    """Whether the best dataset example is a start that this recipe can take."""
    return (
        isinstance(recipe, FourierRecipe)
        and recipe.parameterization == "spectrum"
        and recipe.sign > 0
    )


def settled(attempt: _Attempt) -> bool:
    """Whether more attempts cannot help."""
    return attempt.status in ("ok", "dead", "nonfinite")


def unreached(attempt: _Attempt) -> bool:
    """Whether real images excite the unit more than this picture does."""
    return attempt.status == "weak" and attempt.scores.reach < 1


def run_attempt(
    network: Network,
    layer: str,
    channels: Sequence[int],
    settings: Settings,
    material: Material,
    attempt: int,
    start: Start,
    tries: dict[int, list[_Attempt]],
) -> None:
    """Render `channels` once and add the result to `tries`."""
    gate = select_gate(layer, network.info.outputs)
    for chunk in even_chunks(channels, settings.batch):
        began = time.perf_counter()
        job = Job(
            layer=layer,
            channels=tuple(chunk),
            seeds=tuple(
                unit_seed(network, Unit(layer=layer, channel=c), settings, attempt) for c in chunk
            ),
            size=settings.size,
            natural=material.natural,
            start=None
            if start == "noise"
            else start_images(chunk, network.picture_shape(settings.size), material),
            rate=1.0,
            precision=settings.precision,
            magnitude=material.magnitude,
            others=earlier_pictures(chunk, settings.recipe, material),
            attempt=attempt,
        )
        drafts = render_finite(network, settings.recipe, job)
        scores = score_images(
            network,
            layer,
            chunk,
            [to_pixels(draft.image.astype(np.float16)) for draft in drafts],
            material.natural[layer],
            settings.natural_hf,
            sign_of(settings.recipe),
        )
        seconds = (time.perf_counter() - began) / len(chunk)
        for channel, seed, draft, score in zip(chunk, job.seeds, drafts, scores, strict=True):
            silent = draft.silent and bool(material.natural[layer].std[channel] == 0)
            status, reason = judge(score, draft.finite, silent, gate)
            tries[channel].append(
                _Attempt(
                    draft=draft,
                    scores=score,
                    status=status,
                    reason=reason,
                    seed=seed,
                    start=start,
                    seconds=seconds,
                )
            )


def even_chunks(channels: Sequence[int], largest: int) -> list[list[int]]:
    """Split into as few lists as `largest` allows, of sizes as equal as possible."""
    if not channels:
        return []
    count = -(-len(channels) // largest)
    return [part.tolist() for part in np.array_split(np.array(channels), count)]


def start_images(channels: Sequence[int], size: Size, material: Material) -> Picture:
    """(N, H, W, C): the best sample image of each channel."""
    return np.stack([fit(material.best_image(channel), size) for channel in channels])


def earlier_pictures(
    channels: Sequence[int], recipe: Recipe, material: Material
) -> tuple[NDArray[np.uint8], ...]:
    """Facet by facet, the earlier pictures (N, H, W, C) of the channels; () for other recipes."""
    if not (isinstance(recipe, FourierRecipe) and recipe.objective == "facet"):
        return ()
    known = [material.earlier(channel) for channel in channels]
    return tuple(np.stack(pictures) for pictures in zip(*known, strict=True))


def render_finite(network: Network, recipe: Recipe, job: Job) -> list[Draft]:
    """Render; units that met values that are not finite once more at half the learning rate."""
    drafts = render_in_memory(network, recipe, job)
    broken = [i for i, draft in enumerate(drafts) if not draft.finite]
    if broken:
        again = render_in_memory(network, recipe, replace(part_of(job, broken), rate=job.rate / 2))
        for i, draft in zip(broken, again, strict=True):
            drafts[i] = draft
    return drafts


def render_in_memory(network: Network, recipe: Recipe, job: Job) -> list[Draft]:
    """Render; where the batch does not fit in memory, in halves.

    Raises:
        torch.OutOfMemoryError: even one unit does not fit.
    """
    try:
        return render(network, recipe, job)
    except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
        if len(job.channels) == 1 or not is_out_of_memory(error):
            raise
    if network.device.type == "cuda":
        torch.cuda.empty_cache()
    half = len(job.channels) // 2
    indices = list(range(len(job.channels)))
    return [
        *render_in_memory(network, recipe, part_of(job, indices[:half])),
        *render_in_memory(network, recipe, part_of(job, indices[half:])),
    ]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed, on the host or on the device."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return "DefaultCPUAllocator" in str(error) or "out of memory" in str(error)


def part_of(job: Job, indices: Sequence[int]) -> Job:
    """The job of some of its units."""
    return replace(
        job,
        channels=tuple(job.channels[i] for i in indices),
        seeds=tuple(job.seeds[i] for i in indices),
        start=None if job.start is None else job.start[list(indices)],
        others=tuple(pictures[list(indices)] for pictures in job.others),
    )


def failed_rendering(unit: Unit, recipe: str, reason: str) -> Rendering:
    """The record of a unit that could not be rendered: no pixels, and why."""
    nothing = float("nan")
    return Rendering(
        unit=unit,
        recipe=recipe,
        image=np.zeros((3, 0, 0), np.float16),
        snapshots=NO_SNAPSHOTS,
        status="failed",
        reason=reason,
        scores=Scores(activation=nothing, reach=nothing, select=0, robust=nothing, hf=nothing),
        objective=np.zeros(0, np.float32),
        octave_steps=(),
        seed=0,
        start="noise",
        attempts=1,
        seconds=0.0,
        precision="",
    )


def finish(unit: Unit, tries: Sequence[_Attempt], settings: Settings) -> Rendering:
    """The best attempt as a rendering."""
    order: dict[Status, int] = {"ok": 2, "weak": 1, "dead": 0, "nonfinite": 0, "failed": 0}
    best = max(tries, key=lambda one: (order[one.status], one.scores.reach))
    return Rendering(
        unit=unit,
        recipe=settings.recipe.name,
        image=best.draft.image.astype(np.float16),
        snapshots=snapshots_of(best.draft) if settings.snapshots else NO_SNAPSHOTS,
        status=best.status,
        reason=best.reason,
        scores=best.scores,
        objective=best.draft.objective,
        octave_steps=best.draft.octave_steps,
        seed=best.seed,
        start=best.start,
        attempts=len(tries),
        seconds=sum(one.seconds for one in tries),
        precision=settings.precision,
    )


def snapshots_of(draft: Draft) -> NDArray[np.float16]:
    """(O, C, h, w): the picture after each octave, all at one small size."""
    shape = in_proportion(SNAPSHOT_SIDE, draft.image.shape[1:])
    small = [resize(image.transpose(1, 2, 0), shape, cv2.INTER_AREA) for image in draft.snapshots]
    return np.stack(small).transpose(0, 3, 1, 2).astype(np.float16)
