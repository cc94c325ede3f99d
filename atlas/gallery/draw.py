"""Turn a layer of the atlas into what its pages show, and write the pictures on the way.

`Studio.layer` is the way in. Pixels are read a few units at a time, encoded by a small pool of
threads (OpenCV releases Python's lock) and dropped; only thumbnails stay until the layer is done.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field

from ..ranking.classes import class_name
from ..records import CLASSES, LayerAtlas, ModelAtlas, Pictures, Rendering, Unit
from ..shapes import Size
from . import addresses, sheets
from .sheets import Pixels
from .tree import Tree
from .views import Example, LayerView, Neighbour, Picture, Shot, UnitView

BATCH = 16
"""Units whose pixels are in memory at a time."""

CARD_PAIRS = 9
"""Units whose pictures are kept for a layer's card."""

Pair = tuple[Pixels, Pixels]
"""A rendering and the real patch beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A rendering as files: whole, small, after each octave; `pixels` is None where it has none."""

    pixels: Pixels | None
    small: Pixels | None
    image: bytes
    thumb: bytes
    snapshots: tuple[tuple[bytes, int, int], ...]


def draw(rendering: Rendering, shown: Sequence[int] = ()) -> Drawn:
    """Encode a rendering and what led to it, see `sheets.to_pixels`."""
    if not rendering.image.size:
        return Drawn(pixels=None, small=None, image=b"", thumb=b"", snapshots=())
    pixels = sheets.to_pixels(rendering.image, shown)
    small = sheets.thumbnail(pixels)
    steps = [sheets.to_pixels(snapshot, shown) for snapshot in rendering.snapshots]
    return Drawn(
        pixels=pixels,
        small=small,
        image=sheets.encode(pixels),
        thumb=sheets.encode(small),
        snapshots=tuple((sheets.encode(step), *step.shape[:2]) for step in steps),
    )


@dataclass(slots=True, kw_only=True)
class Wall:
    """What one layer keeps while it is drawn: thumbnails for its sheets, pairs for its card."""

    renderings: dict[str, list[Pixels | None]]
    patches: list[Pixels | None] = field(default_factory=list)
    mosaics: list[Pixels | None] = field(default_factory=list)
    mosaic_sheets: list[bytes] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)

    @property
    def recipes(self) -> tuple[str, ...]:
        """The recipes whose pictures it holds, the default one first."""
        return tuple(self.renderings)

    def add_mosaic(self, patches: Sequence[Pixels]) -> None:
        """Take in the best patches of a unit; a sheet that is full is kept as a JPEG only."""
        self.mosaics.append(sheets.mosaic(patches))
        if len(self.mosaics) == addresses.TILES**2:
            self.finish_mosaics()

    def finish_mosaics(self) -> None:
        """Turn the mosaics that wait into a sheet."""
        for sheet in sheets.contact_sheets(self.mosaics, addresses.TILES, sheets.MOSAIC):
            self.mosaic_sheets.append(sheets.encode(sheet, sheets.SMALLER))
        self.mosaics.clear()

    def add_pair(self, rendering: Pixels | None, patch: Pixels | None, trusted: bool) -> None:
        """Keep a rendering and its real patch for the card while there is room."""
        if rendering is not None and patch is not None and trusted:
            self.pairs = [*self.pairs, (rendering, patch)][:CARD_PAIRS]


@dataclass(slots=True, kw_only=True)
class Studio:
    """Draws the layers of one model.

    Attributes:
        atlas: the model.
        pictures: where pixels come from; read from this thread only.
        tree: where files go.
        labels: unit → what people call it.
        pool: encodes.
        views: decoded sample images.
        wholes: sample images that have been written, by index.
    """

    atlas: ModelAtlas
    pictures: Pictures
    tree: Tree
    labels: Mapping[Unit, str]
    pool: Executor
    views: sheets.Views
    wholes: dict[int, Shot] = field(default_factory=dict)

    def layer(self, layer: LayerAtlas, folder: str) -> tuple[LayerView, list[Pair]]:
        """Write every picture of a layer.

        Args:
            layer: its record.
            folder: its folder inside the model's.

        Returns:
            The layer for its pages, and a pair for the model's card if there is a good one. All
            other pixels are dropped, so that memory does not grow with the layers.
        """
        view, wall = self.hang(layer, folder, self.atlas.recipes)
        wall.finish_mosaics()
        for number, data in enumerate(wall.mosaic_sheets):
            self.tree.put(f"{folder}/{addresses.mosaic_sheet(number)}", data)
        return view, wall.pairs[:1]

    def classes(self, layer: LayerAtlas) -> LayerView:
        """Write every picture of the layer of class scores, which has recipes of its own."""
        return self.hang(layer, addresses.CLASSES, self.atlas.class_recipes)[0]

    def hang(
        self, layer: LayerAtlas, folder: str, recipes: tuple[str, ...]
    ) -> tuple[LayerView, Wall]:
        """Write every picture of a layer that these recipes made; the first is the default."""
        wall = Wall(renderings={recipe: [] for recipe in recipes})
        renderings: dict[int, list[Rendering]] = {}
        for rendering in layer.renderings:
            renderings.setdefault(rendering.unit.channel, []).append(rendering)
        ranks = {int(channel): rank for rank, channel in enumerate(layer.ranking, 1)}
        units: list[UnitView] = []
        for start in range(0, len(layer.chosen), BATCH):
            channels = layer.chosen[start : start + BATCH]
            jobs = [
                self.start(layer, channel, renderings.get(channel, []), wall.recipes)
                for channel in channels
            ]
            for channel, job in zip(channels, jobs, strict=True):
                units.append(self.unit(layer, folder, channel, ranks.get(channel, 0), job, wall))
        self.write_sheets(folder, wall)
        return LayerView(atlas=layer, folder=folder, units=tuple(units)), wall

    def start(
        self,
        layer: LayerAtlas,
        channel: int,
        renderings: Sequence[Rendering],
        recipes: tuple[str, ...],
    ) -> "Job":
        """Read the pixels of a unit and hand them to the pool."""
        by_recipe = {rendering.recipe: rendering for rendering in renderings}
        drawn = []
        for recipe in recipes:
            if recipe in by_recipe:
                record = by_recipe[recipe]
                drawn.append(
                    (record, self.pool.submit(draw, self.with_pixels(record), self.atlas.shown))
                )
        places = [int(index) for index in layer.stats.example_image[channel] if index >= 0]
        boxes = [box_of(layer, channel, place) for place in range(len(places))]
        size = self.atlas.model.shape
        views = [self.views[image] for image in places]
        patches = self.pool.submit(cut_patches, views, boxes, size)
        return Job(drawn=drawn, images=places, boxes=boxes, patches=patches)

    def with_pixels(self, record: Rendering) -> Rendering:
        """The rendering with its pixels; one that failed has none and is not in the cache."""
        failed = record.status == "failed"
        return record if failed else self.pictures.rendering(record.unit, record.recipe)

    def unit(
        self, layer: LayerAtlas, folder: str, channel: int, rank: int, job: "Job", wall: Wall
    ) -> UnitView:
        """Write the pictures of a unit and collect what its page shows."""
        examples = self.examples(layer, folder, channel, job)
        patch = next((pixels for pixels, _ in job.patches.result()), None)
        pictures, pixels = [], None
        done = {rendering.recipe: (rendering, future.result()) for rendering, future in job.drawn}
        for recipe in wall.recipes:
            rendering, drawn = done.get(recipe, (None, None))
            wall.renderings[recipe].append(drawn.small if drawn else None)
            if rendering and drawn:
                suffix = addresses.recipe_suffix(recipe, wall.recipes)
                pictures.append(self.picture(folder, rendering, drawn, suffix))
                pixels = drawn.pixels if pixels is None else pixels
        wall.patches.append(sheets.thumbnail(patch) if patch is not None else None)
        wall.add_mosaic([pixels for pixels, _ in job.patches.result()])
        trusted = bool(pictures) and pictures[0].rendering.status == "ok"
        wall.add_pair(pixels, patch, trusted)
        stats = layer.stats
        return UnitView(
            layer=layer.info.name,
            channel=channel,
            rank=rank,
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
            pictures=tuple(pictures),
            examples=examples,
            neighbours=neighbours(layer, channel),
            page=addresses.unit_page(channel),
        )

    def picture(self, folder: str, rendering: Rendering, drawn: Drawn, suffix: str) -> Picture:
        """Write the files of a rendering."""
        if drawn.pixels is None:
            return Picture(rendering=rendering, image=None, thumb=None, snapshots=())
        channel = rendering.unit.channel
        height, width = drawn.pixels.shape[:2]
        image = Shot(file=addresses.picture(channel, suffix), height=height, width=width)
        side = sheets.THUMBNAIL
        thumb = Shot(file=addresses.thumbnail(channel, suffix), height=side, width=side)
        self.tree.put(f"{folder}/{image.file}", drawn.image)
        self.tree.put(f"{folder}/{thumb.file}", drawn.thumb)
        snapshots = []
        for octave, (data, tall, wide) in enumerate(drawn.snapshots, 1):
            shot = Shot(file=addresses.snapshot(channel, suffix, octave), height=tall, width=wide)
            self.tree.put(f"{folder}/{shot.file}", data)
            snapshots.append(shot)
        return Picture(rendering=rendering, image=image, thumb=thumb, snapshots=tuple(snapshots))

    def examples(
        self, layer: LayerAtlas, folder: str, channel: int, job: "Job"
    ) -> tuple[Example, ...]:
        """Write the patches of a unit, and the whole images that are not there yet."""
        found = []
        patches = zip(job.images, job.patches.result(), strict=True)
        for place, (image, (pixels, data)) in enumerate(patches):
            height, width = pixels.shape[:2]
            patch = Shot(file=addresses.patch(channel, place + 1), height=height, width=width)
            self.tree.put(f"{folder}/{patch.file}", data)
            found.append(
                Example(
                    image=image,
                    name=self.atlas.samples.samples[image].name,
                    activation=float(layer.stats.example_activation[channel, place]),
                    box=job.boxes[place],
                    patch=patch,
                    whole=self.whole(image),
                )
            )
        return tuple(found)

    def whole(self, image: int) -> Shot:
        """Write the view of a sample image once; its address is seen from a layer's folder."""
        if image not in self.wholes:
            height, width = self.views[image].shape[:2]
            file = addresses.sample_image(image)
            self.tree.put(file, self.pictures.sample(image))
            self.wholes[image] = Shot(file=f"../{file}", height=height, width=width)
        return self.wholes[image]

    def class_name(self, layer: LayerAtlas, channel: int) -> str:
        """Name of the class that a channel of the classifier's output stands for."""
        names = self.atlas.model.class_names
        if layer.info.name == CLASSES:
            return class_name(names, channel)
        is_output = layer is self.atlas.layers[-1] and layer.stats.channels == len(names)
        return names[channel] if is_output else ""

    def write_sheets(self, folder: str, wall: Wall) -> None:
        """Write the contact sheets of a layer, and its card."""
        for recipe, tiles in wall.renderings.items():
            suffix = addresses.recipe_suffix(recipe, wall.recipes)
            for number, sheet in enumerate(sheets.contact_sheets(tiles, addresses.TILES)):
                self.tree.put(f"{folder}/{addresses.sheet(number, suffix)}", sheets.encode(sheet))
        for number, sheet in enumerate(sheets.contact_sheets(wall.patches, addresses.TILES)):
            data = sheets.encode(sheet, sheets.SMALL)
            self.tree.put(f"{folder}/{addresses.patch_sheet(number)}", data)
        self.tree.put(f"{folder}/card.jpg", sheets.encode(sheets.card(wall.pairs)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A unit whose pictures are being encoded."""

    drawn: list[tuple[Rendering, Future[Drawn]]]
    images: list[int]
    boxes: list[tuple[int, int, int, int]]
    patches: Future[list[tuple[Pixels, bytes]]]


def cut_patches(
    views: Sequence[Pixels], boxes: Sequence[tuple[int, int, int, int]], input_size: Size
) -> list[tuple[Pixels, bytes]]:
    """Pixels and JPEG of each dataset example."""
    cut = [sheets.cut_patch(view, box, input_size) for view, box in zip(views, boxes, strict=True)]
    return [(patch, sheets.encode(patch, sheets.SMALL)) for patch in cut]


def box_of(layer: LayerAtlas, channel: int, place: int) -> tuple[int, int, int, int]:
    """Where a dataset example lies: y0, x0, y1, x1 in pixels of the network's input."""
    y0, x0, y1, x1 = layer.stats.example_box[channel, place].tolist()
    return y0, x0, y1, x1


def neighbours(layer: LayerAtlas, channel: int) -> tuple[Neighbour, ...]:
    """The most correlated channels, as far as there are any."""
    stats = layer.stats
    pairs = zip(
        stats.neighbours[channel].tolist(), stats.correlation[channel].tolist(), strict=True
    )
    return tuple(
        Neighbour(channel=other, correlation=value) for other, value in pairs if other >= 0
    )
