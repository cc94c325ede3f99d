"""Further attempts at a unit, and the rules a picture has to pass before it is kept.

`render_best` takes the units of a job through optimisation, scoring, judgement and
further attempts.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ..images.pixels import to_pixels
from ..network.network import Network
from ..records.units import Rendering, Scores, Status, Unit
from ..shapes import in_proportion, resize
from .engine import render_finite
from .job import Draft, Job
from .kinds import Recipe
from .scoring import LARGEST_HF, judge, score_images, select_gate

NO_SNAPSHOTS = np.zeros((0, 3, 0, 0), np.float16)
SNAPSHOT_SIDE = 112
"""Longer side of the pictures of `--snapshots`."""


def render_best(network: Network, job: Job[Recipe]) -> tuple[Rendering, ...]:
    """Render, score and judge the units of a job; of each, the best attempt is kept.

    A unit whose picture is not "ok" is tried again from other seeds, and if real images still
    excite it more, once from its best dataset example.

    Returns:
        One rendering per channel, in their order.
    """
    tries: dict[int, list[Rendering]] = {channel: [] for channel in job.channels}
    recipe = job.recipe
    for attempt in range(recipe.seeds):
        pending = [c for c in job.channels if not any(map(settled, tries[c]))]
        missed = {c: sum(map(unreached, tries[c])) for c in pending}
        for loosened in sorted({*missed.values()}):
            part = tuple(c for c in pending if missed[c] == loosened)
            again = replace(job, channels=part, attempt=attempt, loosened=loosened)
            for one in attempt_units(network, again):
                tries[one.unit.channel].append(one)
    if recipe.takes_example:
        below = tuple(c for c in job.channels if all(map(unreached, tries[c])))
        last = replace(
            job, channels=below, attempt=recipe.seeds, loosened=recipe.seeds, start="example"
        )
        for one in attempt_units(network, last):
            tries[one.unit.channel].append(one)
    return tuple(choose_best(tries[channel]) for channel in job.channels)


def settled(attempt: Rendering) -> bool:
    """Return whether more attempts cannot help."""
    return attempt.status in ("ok", "dead", "nonfinite")


def unreached(attempt: Rendering) -> bool:
    """Return whether real images excite the unit more than this picture does."""
    return attempt.status == "weak" and attempt.scores.reach < 1


def choose_best(attempts: Sequence[Rendering]) -> Rendering:
    """The best attempt at a unit, with the number and the time of all."""
    best = max(attempts, key=quality)
    seconds = sum(one.seconds for one in attempts)
    return replace(best, attempts=len(attempts), seconds=seconds)


def quality(attempt: Rendering) -> tuple[int, bool, float]:
    """Sort attempts, best last: by status, then those that reach, the smoothest of them."""
    order: dict[Status, int] = {"ok": 2, "weak": 1, "dead": 0, "nonfinite": 0, "failed": 0}
    scores, rank = attempt.scores, order[attempt.status]
    if attempt.status == "weak" and scores.reach >= 1 and scores.hf > LARGEST_HF:
        return rank, True, -scores.hf
    return rank, attempt.status == "weak" and scores.reach >= 1, scores.reach


def attempt_units(network: Network, job: Job[Recipe]) -> Iterator[Rendering]:
    """Render every unit of a job once, in batches."""
    for channels in even_chunks(job.channels, job.batch):
        yield from attempt_batch(network, replace(job, channels=tuple(channels)))


def even_chunks(channels: Sequence[int], largest: int) -> list[list[int]]:
    """Split into as few lists as `largest` allows, of sizes as equal as possible."""
    if not channels:
        return []
    count = -(-len(channels) // largest)
    return [part.tolist() for part in np.array_split(np.array(channels), count)]


def attempt_batch(network: Network, job: Job[Recipe]) -> list[Rendering]:
    """Render the units of a job once, in one batch, and judge the pictures."""
    began = time.perf_counter()
    drafts = render_finite(network, job)
    images = [torch.from_numpy(draft.image).half().numpy() for draft in drafts]
    scores = score_images(
        network,
        job.layer,
        list(job.channels),
        [to_pixels(image) for image in images],
        job.stats,
        job.nature.hf,
        job.recipe.sign,
    )
    seconds = (time.perf_counter() - began) / len(drafts)
    gate = select_gate(job.layer, network.info.outputs)
    made = []
    for unit, seed, draft, image, score in zip(
        job.units, job.seeds, drafts, images, scores, strict=True
    ):
        silent = draft.silent and bool(job.stats.std[unit.channel] == 0)
        status, reason = judge(score, draft.finite, silent, gate)
        rendering = Rendering(
            unit=unit,
            recipe=job.recipe.name,
            image=image,
            snapshots=shrink_snapshots(draft) if job.snapshots else NO_SNAPSHOTS,
            status=status,
            reason=reason,
            scores=score,
            objective=draft.objective,
            octave_steps=draft.octave_steps,
            seed=seed,
            start=job.start,
            attempts=1,
            seconds=seconds,
            precision=job.precision,
        )
        made.append(rendering)
    return made


def shrink_snapshots(draft: Draft) -> NDArray[np.float16]:
    """(O, C, h, w): the picture after each octave, all at one small size."""
    shape = in_proportion(SNAPSHOT_SIDE, draft.image.shape[1:])
    small = [resize(image.transpose(1, 2, 0), shape, cv2.INTER_AREA) for image in draft.snapshots]
    return np.stack(small).transpose(0, 3, 1, 2).astype(np.float16)


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
