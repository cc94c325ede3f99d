"""Draw the units of a layer: values for their pages, and pictures as bytes.

`Illustrator.draw` is the way in. It reads a few units at a time, a pool of threads draws them
(OpenCV releases Python's lock), and their files go into the tree before the next ones are read.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ..images.pixels import Pixels, encode
from ..ranking.classes import class_name
from ..ranking.grid import arrange_alike
from ..ranking.matching import Counterpart
from ..ranking.similar import order_alike
from ..records.atlas import LayerAtlas, ModelAtlas, Pictures
from ..records.attribution import NO_MASKS, median, no_masks
from ..records.network import CLASSES
from ..records.units import Rendering, Unit
from . import addresses, sheets
from .circuit_views import CircuitView, PatchView, circuit_view
from .direction_views import direction_view
from .draw_maps import draw_map, view_map
from .draw_meanings import MeaningSource
from .draw_spectrum import SpectrumSource
from .draw_units import (
    SHEET_UNITS,
    Box,
    Drawing,
    Files,
    Pair,
    Source,
    Tiles,
    draw_mosaics,
    draw_overview,
    draw_sheets,
    draw_unit,
    shot,
)
from .parts import WHOLE, Part
from .tree import Tree
from .views import Example, LayerView, Neighbour, Picture, Shot, UnitView, judged

BATCH = 16
"""Units whose pixels are in memory at a time."""

CARD_PAIRS = 9
"""Units whose pictures are kept for a layer's card."""


@dataclass(slots=True, kw_only=True)
class Illustrator:
    """Draws the layers of one model.

    Attributes:
        atlas: the model.
        pictures: where pixels come from; read from this thread only.
        tree: where files go; its pool draws.
        labels: unit → what people call it.
        squares: decoded sample images.
        across: chosen unit → the channels of other layers that correlate most with it.
        wholes: sample images that pages show, by index; their addresses seen from a layer's folder.
        part: the site, where several show the model.
    """

    atlas: ModelAtlas
    pictures: Pictures
    tree: Tree
    labels: Mapping[Unit, str]
    squares: sheets.Squares
    across: Mapping[Unit, tuple[Counterpart, ...]] = field(default_factory=dict)
    wholes: dict[int, Shot] = field(default_factory=dict)
    part: Part = WHOLE

    def draw(self, layer: LayerAtlas, folder: str) -> tuple[LayerView, list[Pair]]:
        """Draw every unit of a layer and take the files into the tree.

        Args:
            layer: its record; it may be the layer of class scores, which has recipes of its own.
            folder: its folder inside the model's.

        Returns:
            The layer for its pages, and a pair for the model's card if there is a good one. All
            other pixels are dropped, so that memory does not grow with the layers.
        """
        is_classes = layer.info.name == CLASSES
        recipes = self.atlas.class_recipes if is_classes else self.atlas.recipes
        order = self.atlas.recipes_of(layer)
        units: list[UnitView] = []
        tiles: list[Tiles] = []
        dots: list[Pixels] = []
        grid = arrange_alike(layer.stats, () if is_classes else layer.chosen)
        pairs: list[Pair] = []
        alike = {one: place for place, one in enumerate(order_alike(layer.stats, layer.chosen), 1)}
        spectra = SpectrumSource.read(self.atlas, layer, self.whole)
        groups = MeaningSource(
            atlas=self.atlas, layer=layer, pictures=self.pictures, whole=self.whole
        )
        for source, drawing in self.draw_units(layer, recipes, order):
            self.put(folder, drawing.files)
            unit = self.drawn_view(layer, source, drawing)
            spectrum = spectra.draw(source.channel)
            meanings, drawn = groups.draw(source.channel)
            self.put(folder, drawn)
            place = alike[source.channel]
            units.append(replace(unit, similar=place, spectrum=spectrum, meanings=meanings))
            tiles.append(drawing.tiles)
            dots.append(sheets.dot(drawing.tiles.thumbs.get(order[0])))
            pairs = [*pairs, *drawing.pair][:CARD_PAIRS]
            if len(tiles) == SHEET_UNITS or len(units) == len(layer.chosen):
                number = (len(units) - 1) // SHEET_UNITS
                self.put(folder, draw_sheets(number, tiles, recipes))
                self.put(folder, {} if is_classes else draw_mosaics(number, tiles))
                tiles.clear()
        if grid.size:
            self.put(folder, draw_overview(grid, dots))
        self.put(folder, {"card.jpg": encode(sheets.card(pairs))})
        mapped = view_map(self.atlas, layer, self.whole)
        for files in draw_map(self.atlas, layer, mapped, self.pictures) if mapped else ():
            self.put(folder, files)
        view = LayerView(
            atlas=layer, folder=folder, units=tuple(units), grid=grid.tolist(), map=mapped
        )
        return view, pairs[:1]

    def put(self, folder: str, files: Files) -> None:
        """Take files of a layer into the tree."""
        for file, data in files.items():
            self.tree.put(f"{folder}/{file}", data)

    def draw_units(
        self, layer: LayerAtlas, recipes: tuple[str, ...], order: Sequence[str]
    ) -> Iterator[tuple[Source, Drawing]]:
        """Every unit of a layer as it is read, and drawn.

        Args:
            layer: of the units.
            recipes: as asked for: the first has the plain file names.
            order: in which pictures are shown.
        """
        draw = partial(
            draw_unit, recipes=recipes, shown=self.atlas.shown, size=self.atlas.model.shape
        )
        records = {(one.unit.channel, one.recipe): one for one in layer.renderings}
        for start in range(0, len(layer.chosen), BATCH):
            sources = [
                self.read(layer, channel, [records.get((channel, name)) for name in order])
                for channel in layer.chosen[start : start + BATCH]
            ]
            yield from zip(sources, self.tree.pool.map(draw, sources), strict=True)

    def read(self, layer: LayerAtlas, channel: int, records: Sequence[Rendering | None]) -> Source:
        """Read the pixels of a unit; `records` are its renderings, None where there is none."""
        images = tuple(int(index) for index in layer.stats.example_image[channel] if index >= 0)
        return Source(
            channel=channel,
            renderings=tuple((record, self.with_pixels(record)) for record in records if record),
            images=images,
            boxes=tuple(box_of(layer, channel, place) for place in range(len(images))),
            squares=tuple(self.squares[image] for image in images),
            masks=self.read_masks(layer, channel),
        )

    def read_masks(self, layer: LayerAtlas, channel: int) -> NDArray[np.uint8]:
        """Read the masks of a unit, where they are shown."""
        unit = Unit(layer=layer.info.name, channel=channel)
        return self.pictures.masks(unit).masks if channel in layer.masks else NO_MASKS

    def with_pixels(self, record: Rendering) -> Rendering:
        """The rendering with its pixels; one that failed has none and is not in the cache."""
        failed = record.status == "failed"
        return record if failed else self.pictures.rendering(record.unit, record.recipe)

    def drawn_view(self, layer: LayerAtlas, source: Source, drawing: Drawing) -> UnitView:
        """Return the values that the page of a unit shows that was drawn."""
        examples = self.examples(layer, source, drawing.patches)
        return self.unit_view(layer, source.channel, drawing.pictures, examples, drawing.masks)

    def unit_view(
        self,
        layer: LayerAtlas,
        channel: int,
        pictures: Sequence[Picture],
        examples: tuple[Example, ...],
        masks: Shot | None,
    ) -> UnitView:
        """Return the values that the page of a unit shows."""
        stats = layer.stats
        places, known = layer.ranking.tolist(), layer.masks.get(channel, no_masks(channel))
        return UnitView(
            layer=layer.info.name,
            channel=channel,
            rank=places.index(channel) + 1 if channel in places else 0,
            label=self.labels.get(Unit(layer=layer.info.name, channel=channel), ""),
            class_name=self.class_name(layer, channel),
            mean=float(stats.mean[channel]),
            std=float(stats.std[channel]),
            max=float(stats.max[channel]),
            p99=float(stats.p99[channel]),
            contrast=float(stats.contrast[channel]),
            active=float(stats.active[channel]),
            natural_mean=float(layer.natural.mean[channel]),
            natural_max=float(layer.natural.max[channel]),
            pictures=tuple(judged(one, layer.evidence) for one in pictures),
            photographs=layer.evidence.photographs.get(channel) if layer.evidence else None,
            examples=examples,
            neighbours=neighbours(layer, channel),
            neighbours_across=self.neighbours_across(layer, channel),
            page=addresses.unit_page(channel),
            masks=masks,
            patch=median(known.patch),
            keep=median(known.keep),
            circuit=self.circuit(layer, channel),
            tuning=layer.tuning.of(channel) if layer.tuning else None,
            direction=direction_view(layer.dictionary, channel, self.patch),
        )

    def neighbours_across(self, layer: LayerAtlas, channel: int) -> tuple[Neighbour, ...]:
        """The most correlated channels of other layers, as far as there are any."""
        return tuple(
            Neighbour(layer=one.unit.layer, channel=one.unit.channel, correlation=one.correlation)
            for one in self.across.get(Unit(layer=layer.info.name, channel=channel), ())
        )

    def circuit(self, layer: LayerAtlas, channel: int) -> CircuitView | None:
        """What surrounds a unit; None where that is not shown."""
        found = layer.circuits.get(channel)
        return circuit_view(found, self.atlas.model.class_names, self.patch) if found else None

    def patch(self, name: str, channel: int) -> PatchView | None:
        """Where a unit without a page is excited most; None where it has one, or no example."""
        layer = next((one for one in self.atlas.layers if one.info.name == name), None)
        image = int(layer.stats.example_image[channel, 0]) if layer else -1
        if layer is None or channel in layer.chosen or image < 0:
            return None
        return PatchView(file=self.whole(image).file, box=box_of(layer, channel, 0))

    def examples(
        self, layer: LayerAtlas, source: Source, patches: Sequence[Shot]
    ) -> tuple[Example, ...]:
        """The dataset examples of a unit, best first."""
        return tuple(
            Example(
                image=image,
                name=self.atlas.samples.samples[image].name,
                activation=float(layer.stats.example_activation[source.channel, place]),
                box=source.boxes[place],
                patch=patch,
                whole=self.whole(image),
            )
            for place, (image, patch) in enumerate(zip(source.images, patches, strict=True))
        )

    def whole(self, image: int) -> Shot:
        """The square of a sample image; its address is seen from a layer's folder."""
        if image not in self.wholes:
            self.wholes[image] = shot(f"../{addresses.sample_image(image)}", self.squares[image])
        return self.wholes[image]

    def class_name(self, layer: LayerAtlas, channel: int) -> str:
        """Name of the class to which a channel of the classifier's output belongs."""
        names = self.atlas.model.class_names
        if layer.info.name == CLASSES:
            return class_name(names, channel)
        is_output = layer is self.atlas.layers[-1] and layer.stats.channels == len(names)
        return names[channel] if is_output else ""


def box_of(layer: LayerAtlas, channel: int, place: int) -> Box:
    """Return the box of a dataset example: y0, x0, y1, x1 in pixels of the network's input."""
    y0, x0, y1, x1 = layer.stats.example_box[channel, place].tolist()
    return y0, x0, y1, x1


def neighbours(layer: LayerAtlas, channel: int) -> tuple[Neighbour, ...]:
    """The most correlated channels, as far as there are any."""
    stats = layer.stats
    pairs = zip(
        stats.neighbours[channel].tolist(), stats.correlation[channel].tolist(), strict=True
    )
    return tuple(
        Neighbour(layer=stats.layer, channel=other, correlation=value)
        for other, value in pairs
        if other >= 0
    )
