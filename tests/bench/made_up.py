"""A made-up network of any number of units, and workers whose rendering is a wait.

`lay` writes what a run finds in its cache before it renders, `open_run` opens it, and `render_all`
is the real driver over all units: with `Waiting` in Ray's processes, or by the `Clock`.
"""

import heapq
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from atlas.cache.store import Store
from atlas.config import Config
from atlas.images.imageset import ImageItem, ImageSet
from atlas.progress import Progress
from atlas.records.network import LayerInfo, ModelInfo
from atlas.records.samples import Sample, SampleSet
from atlas.records.statistics import EXAMPLES, NEIGHBOURS, LayerStats
from atlas.records.units import Rendering, Scores
from atlas.rendering.recipes import find_recipes
from atlas.stages import render
from atlas.stages.run import Work
from atlas.workers.renderer import Rendered
from atlas.workers.schedule import BlockGroup, UnitBlock
from tests.synthetic import generator, texture

CHANNELS = 2000
IMAGES = 32
PICTURES = 64
"""Different pictures in all; drawing a million would take longer than anything else."""

SECONDS = 1.0
"""Of a worker for a unit: `octaves` on a CPU takes about this, an H100 0.015 to 0.05."""

MODEL = "million"
KEY = {"made": "up"}


# --- a network that is not there ------------------------------------------------------------------


def layer_rows(units: int) -> tuple[LayerInfo, ...]:
    """Layers of 2,000 channels, so many that they have so many units."""
    return tuple(
        LayerInfo(
            name=f"stage.{index}",
            index=index,
            type="Conv2d",
            channels=min(CHANNELS, units - index * CHANNELS),
            height=7,
            width=7,
            receptive_field=0,
            stride=0,
            multiply_adds=1_000_000_000,
            groups=("all",),
        )
        for index in range(-(-units // CHANNELS))
    )


@cache
def numbers(channels: int) -> LayerStats:
    """Statistics of a layer; all have the same."""
    random = np.random.default_rng(0)

    def floats(*shape: int) -> NDArray[np.float32]:
        return random.random(shape, np.float32)

    def halves() -> NDArray[np.float16]:
        return floats(IMAGES, channels).astype(np.float16)

    return LayerStats(
        layer="",
        activations=halves(),
        deviations=halves(),
        peaks=halves(),
        places=random.integers(0, 49, (IMAGES, channels)).astype(np.uint8),
        rows=np.arange(IMAGES, dtype=np.int32),
        scale=floats(channels),
        mean=floats(channels),
        std=floats(channels),
        max=floats(channels),
        p99=floats(channels),
        active=floats(channels),
        finite=np.ones(channels, np.bool_),
        example_image=random.integers(0, IMAGES, (channels, EXAMPLES), np.int32),
        example_activation=floats(channels, EXAMPLES),
        example_box=random.integers(0, 224, (channels, EXAMPLES, 4), np.int32),
        neighbours=random.integers(0, channels, (channels, NEIGHBOURS), np.int32),
        correlation=floats(channels, NEIGHBOURS),
    )


def samples() -> SampleSet:
    """The list of the sample images."""
    rows = [
        Sample(index=index, name=f"{index}.png", sha256=f"{index:08x}" * 8, box=(0, 0, 224, 224))
        for index in range(IMAGES)
    ]
    return SampleSet(
        title="noise",
        sha256="0" * 64,
        samples=tuple(rows),
        skipped=(),
        hf_median=0.1,
        hf_p05=0.1,
        hf_p95=0.1,
    )


@cache
def pictures(side: int) -> tuple[NDArray[np.float16], ...]:
    """Pictures that do not compress better than those of a network."""
    drawn = (texture(generator(index, side), side, 0.5) for index in range(PICTURES))
    return tuple(np.ascontiguousarray(one.transpose(2, 0, 1), np.float16) for one in drawn)


def lay(cache_folder: Path, units: int) -> None:
    """Write what a run finds in its cache before it renders: a ranking of every layer."""
    model = ModelInfo(
        name=MODEL,
        title="A million",
        source="nowhere",
        weights_sha256="0" * 64,
        licence="",
        parameters=0,
        input_size=224,
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
        class_names=(),
    )
    noise = np.random.default_rng(0).integers(0, 256, (IMAGES, 336, 336, 3), np.uint8)
    with Store.open(cache_folder, MODEL, KEY) as store:
        store.write_network(model, layer_rows(units))
        store.write_samples(samples())
        squares = [cv2.blur(one, (9, 9)) for one in noise]
        store.write_squares(0, [cv2.imencode(".jpg", one)[1].tobytes() for one in squares])
        for layer in layer_rows(units):
            store.write_stats(replace(numbers(layer.channels), layer=layer.name))


# --- workers that wait ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Waiting:
    """Worker that has a picture of every unit at once; `seconds` a unit are waited for, if any."""

    side: int
    seconds: float = 0.0

    def render(self, blocks: Sequence[UnitBlock]) -> list[Rendered]:
        """As `Renderer.render`."""
        time.sleep(self.seconds * sum(len(block.channels) for block in blocks))
        return [self.rendered(block) for block in blocks]

    def rendered(self, block: UnitBlock) -> Rendered:
        """What a worker gives back; its device is the number of its process."""
        pool = pictures(self.side)
        made = tuple(
            picture(block, channel, pool[channel % PICTURES]) for channel in block.channels
        )
        return Rendered(renderings=made, device=str(os.getpid()), seconds=SECONDS * len(made))


def picture(block: UnitBlock, channel: int, image: NDArray[np.float16]) -> Rendering:
    """A record as a worker returns it."""
    unit = block.units[block.channels.index(channel)]
    scores = Scores(activation=channel / 7, reach=1.5, select=1, robust=0.9, hf=1.1)
    return Rendering(
        unit=unit,
        recipe=block.recipe.name,
        image=image,
        snapshots=np.zeros((0, 3, 0, 0), np.float16),
        status="ok",
        reason="",
        scores=scores,
        objective=np.linspace(0, channel, 32, dtype=np.float32),
        octave_steps=(24, 24, 24),
        seed=channel,
        start="noise",
        attempts=1,
        seconds=SECONDS,
        precision="fp32",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How late it is, and how long the driver has computed."""

    now: float
    computed: float


class Clock:
    """Workers whose time is counted and not waited for, while the driver's is real.

    Attributes:
        now: seconds of the run by this clock: those of the workers, and those in which the driver
            computed.
        wall, computed: seconds in which the driver worked, and in which it computed; the rest it
            waited for the disk or for other programs.
        marks: the state after each group.
    """

    def __init__(self, side: int, workers: int, seconds: float = SECONDS) -> None:
        self.worker, self.workers, self.seconds = Waiting(side), workers, seconds
        self.now = self.wall = self.computed = 0.0
        self.marks: list[Mark] = []
        self.start_lap()

    def start_lap(self) -> None:
        """What comes now is the driver's time."""
        self.lap = time.process_time(), time.perf_counter()

    def tick(self) -> None:
        """The driver has worked since the last look at the clock."""
        computed, began = self.lap
        self.start_lap()
        self.now += self.lap[0] - computed
        self.computed += self.lap[0] - computed
        self.wall += self.lap[1] - began

    def map(self, groups: Iterable[BlockGroup]) -> Iterator[tuple[BlockGroup, Any]]:
        """As `Pool.map`: gives tasks to who is idle, then gives results in order of time."""
        tasks = enumerate(groups)
        running: list[tuple[float, int, BlockGroup]] = []
        self.start_lap()
        self.fill(running, tasks)
        while running:
            ready, _, group = heapq.heappop(running)
            self.tick()
            self.now = max(self.now, ready)
            self.fill(running, tasks)
            result = group.run(self.worker)
            self.start_lap()  # making a picture is the worker's time
            yield group, result
            self.tick()
            self.marks.append(Mark(now=self.now, computed=self.computed))

    def fill(
        self,
        running: list[tuple[float, int, BlockGroup]],
        tasks: Iterator[tuple[int, BlockGroup]],
    ) -> None:
        """Give a task to each idle worker."""
        while len(running) < self.workers and (task := next(tasks, None)):
            self.tick()
            heapq.heappush(running, (self.now + self.takes(task[1]), *task))
        self.tick()

    def takes(self, group: BlockGroup) -> float:
        """Seconds of a worker for a group."""
        return self.seconds * sum(len(block.channels) for block in group.blocks)


# --- the driver -----------------------------------------------------------------------------------


@contextmanager
def open_run(folder: Path, side: int) -> Iterator[Work]:
    """The state of a run that has ranked."""
    config = Config(
        model=MODEL,
        cache=folder,
        size=max(side, 32),
        recipe=("octaves",),
        units="all",
        classes=0,
        engine="ray",
        device="cpu",
        reference="none",
        quiet=True,
    )
    items = [
        ImageItem(name=one.name, path=Path(one.name), sha256=one.sha256, crop="centre")
        for one in samples().samples
    ]
    with Store.open(folder, MODEL, KEY) as store:
        yield Work(
            config=config,
            images=ImageSet(title="noise", items=tuple(items), skipped=(), root=Path("/")),
            reference=None,
            store=store,
            class_names=(),
            model=cache(lambda: None),  # type: ignore[arg-type, return-value]
            progress=Progress(quiet=True),
        )


def render_all(work: Work, units: int) -> None:
    """`render_units` of every unit."""
    layers = layer_rows(units)
    stats = {layer.name: work.store.read_stats(layer.name) for layer in layers}
    chosen = {layer.name: range(layer.channels) for layer in layers}
    assert not render.render_units(work, find_recipes(("octaves",)), layers, stats, chosen)


@contextmanager
def by_clock(clock: Clock, together: int = 8) -> Iterator[None]:
    """Let `render_units` meet the workers of a clock instead of a cluster's."""

    @contextmanager
    def workers(*args: object) -> Iterator[render.RenderBlocks]:
        yield render.in_groups(clock.map, together)

    real = render.open_workers
    render.open_workers = workers  # type: ignore[assignment]
    try:
        yield
    finally:
        render.open_workers = real
