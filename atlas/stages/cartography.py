"""The maker of a layer's map: positions on a grid, and pictures of its cells: `Cartographer`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..attribution.tint import Tinter
from ..images.pixels import to_pixels
from ..images.tensors import batches, fit, to_tensor
from ..network.network import Network, keep, spatial_mean
from ..ranking.maps import (
    LEAST_COUNT,
    POSITIONS,
    Scale,
    choose_places,
    grid_shape,
    lay_out,
    nearest_of_files,
    of_length_one,
    sums_of,
)
from ..ranking.ranking import patch_boxes
from ..records.maps import Directions, LayerMap, MapCell
from ..records.network import LayerInfo
from ..records.statistics import EXAMPLES, LayerStats
from ..rendering.attempts import even_chunks
from ..rendering.engine import render_finite
from ..rendering.job import Job, Nature
from ..rendering.kinds import Recipe
from ..rendering.recipes import MAP
from ..shapes import Shape
from ..workers.forks import spread
from ..workers.local import how_many_work
from ..workers.renderer import Renderer
from .rank import seen_pictures
from .render import usable_images
from .run import Work

BATCH = 16

TINTING = 5
"""Nearest images of a cell over which its classes are averaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """Activations at positions of the sample images, and the cell of each.

    Attributes:
        rows: (P, C) standardised activations.
        images, places: (P,) where each is from.
        cells: (P,) of the grid.
        scale: of the activations.
        shape: of the grid.
    """

    rows: NDArray[np.float64]
    images: NDArray[np.int64]
    places: NDArray[np.int64]
    cells: NDArray[np.int64]
    scale: Scale
    shape: Shape

    def counted(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(K, C) mean of each cell, and (K,) how many positions it has."""
        sums, counts = sums_of(self.rows, self.cells, self.shape[0] * self.shape[1])
        return sums / np.maximum(counts, 1)[:, None], counts


def places_each(layer: LayerInfo, images: int) -> int:
    """Positions of each image."""
    return min(layer.height * layer.width, -(-POSITIONS // images))


@torch.no_grad()
def sample_positions(work: Work, network: Network, layer: LayerInfo) -> Sampled:
    """Run the images that pictures may be made from, keep some positions of each, lay them out.

    Of very many images those of the smallest digests.
    """
    samples = work.store.read_samples().samples
    usable = sorted(usable_images(work).tolist(), key=lambda one: (samples[one].sha256, one))
    images = sorted(usable[:POSITIONS])
    each = places_each(layer, len(images))
    parts: list[NDArray[np.float32]] = []
    places = [
        choose_places(samples[one].sha256, one, each, layer.height * layer.width) for one in images
    ]
    pictures = (seen_pictures(work, [one], network.info.shape)[0] for one in images)
    stream = work.progress.images(pictures, len(images), f"map of {layer.name}")
    with network.tap({layer.name: keep}) as run:
        for some in batches(stream, BATCH):
            maps = run(to_tensor(some).to(network.device))[layer.name].flatten(2).float()
            for one in maps.cpu().numpy():
                parts.append(one[:, places[len(parts)]].T)
    activations = np.concatenate(parts)
    scale, shape = Scale.of(activations), grid_shape(len(activations))
    rows = scale.standardise(activations)
    return Sampled(
        rows=rows,
        images=np.repeat(images, each),
        places=np.concatenate(places),
        cells=lay_out(rows, shape),
        scale=scale,
        shape=shape,
    )


class Cartographer:
    """Makes the cells of the map of one layer.

    Attributes:
        shown: cells that are not empty.
    """

    def __init__(
        self, work: Work, network: Network, layer: LayerInfo, stats: LayerStats, tinter: Tinter
    ) -> None:
        self.work, self.network, self.layer, self.tinter = work, network, layer, tinter
        self.sampled = sample_positions(work, network, layer)
        means, self.counts = self.sampled.counted()
        self.means = means
        self.directions = of_length_one(means).astype(np.float32)
        self.shown = np.flatnonzero(self.counts >= LEAST_COUNT).tolist()
        self.files = [one.sha256 for one in work.store.read_samples().samples]
        nature = Nature(
            stats={layer.name: stats},
            companions=(),
            training=np.zeros(0, np.bool_),
            hf=1.0,
            magnitude=np.zeros((3, 0, 0), np.float32),
        )
        self.renderer = Renderer(work.config, network, nature)

    def draw(self, cells: Sequence[int]) -> LayerMap:
        """The map with some of its cells."""
        images = self.rendered(cells)
        agreement = self.agreements([to_pixels(image) for image in images])
        rows, columns = self.sampled.shape
        return LayerMap(
            rows=rows,
            columns=columns,
            positions=len(self.sampled.rows),
            total=len(self.shown),
            reason=self.tinter.reason,
            cells=[
                self.cell(cell, image, row)
                for cell, image, row in zip(cells, images, agreement, strict=True)
            ],
        )

    def rendered(self, cells: Sequence[int]) -> list[NDArray[np.float16]]:
        """The pictures of cells, in their order."""
        batch, _ = self.renderer.settings(self.layer.name, self.work.config.precision)
        parts = [tuple(some) for some in even_chunks(list(cells), batch)]
        processes = how_many_work(self.work.config, self.network.device)
        made = dict(spread(self.render, parts, processes, self.work.progress.warn))
        return [image for some in parts for image in made[some]]

    def render(self, cells: tuple[int, ...]) -> list[NDArray[np.float16]]:
        """The pictures of a batch of cells."""
        batch, precision = self.renderer.settings(self.layer.name, self.work.config.precision)
        scale = self.sampled.scale
        job: Job[Recipe] = Job(
            recipe=MAP,
            layer=self.layer.name,
            channels=cells,
            size=self.work.config.size,
            seed=self.work.config.seed,
            weights=self.network.weights_sha256,
            batch=batch,
            precision=precision,
            nature=self.renderer.nature,
            examples={},
            earlier={},
            directions=Directions(
                mean=scale.mean,
                spread=scale.spread,
                rows={cell: self.directions[cell] for cell in cells},
            ),
        )
        return [draft.image.astype(np.float16) for draft in render_finite(self.network, job)]

    @torch.no_grad()
    def agreements(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """(N, K) cosine of each picture with the direction of each cell."""
        fitted = [fit(picture, self.network.info.shape) for picture in pictures]
        parts = []
        with self.network.tap({self.layer.name: spatial_mean}) as run:
            for some in batches(fitted, BATCH):
                images = to_tensor(some).to(self.network.device)
                parts.append(run(images)[self.layer.name].float().cpu().numpy())
        rows = of_length_one(self.sampled.scale.standardise(np.concatenate(parts)))
        found = (rows @ self.directions.T).astype(np.float32)
        found[:, self.counts < LEAST_COUNT] = np.nan
        return found

    def cell(
        self, cell: int, image: NDArray[np.float16], agreement: NDArray[np.float32]
    ) -> MapCell:
        """A cell with its nearest positions and the classes that it raises."""
        own, sampled = np.flatnonzero(self.sampled.cells == cell), self.sampled
        files = [self.files[one] for one in sampled.images]
        best = nearest_of_files(sampled.rows, self.directions[cell], own, files, EXAMPLES)
        places = sampled.places[best].astype(np.int32)
        near = [int(sampled.images[one]) for one in best[:TINTING]]
        raised = self.tinter.raised(
            [to_tensor([one]) for one in seen_pictures(self.work, near, self.shape)],
            self.means[cell].astype(np.float32) * sampled.scale.spread,
        )
        return MapCell(
            cell=cell,
            count=len(own),
            direction=self.directions[cell],
            images=tuple(sampled.images[best].tolist()),
            boxes=patch_boxes(self.layer, self.shape, places),
            classes=tuple(raised),
            contributions=tuple(raised.values()),
            agreement=agreement,
            image=image,
        )

    @property
    def shape(self) -> Shape:
        """Of the network's input."""
        return self.network.info.shape
