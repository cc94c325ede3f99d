"""Draw the meanings of a unit: the picture of each, and where the unit peaks on its images."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..images.pixels import encode, to_pixels
from ..records.atlas import LayerAtlas, ModelAtlas, Pictures
from ..records.units import Rendering
from . import addresses
from .circuit_views import PatchView
from .draw_spectrum import peak_boxes
from .draw_units import Files
from .meaning_views import MeaningImage, MeaningsView, MeaningView
from .views import Shot


@dataclass(frozen=True, slots=True, kw_only=True)
class MeaningSource:
    """What the meanings of a layer's units are drawn from.

    Attributes:
        atlas, layer: whose.
        pictures: where pixels come from.
        whole: sample index → the square of the whole image.
    """

    atlas: ModelAtlas
    layer: LayerAtlas
    pictures: Pictures
    whole: Callable[[int], Shot]

    def draw(self, channel: int) -> tuple[MeaningsView | None, Files]:
        """The meanings of a unit and the files of their pictures; None where none were looked for.

        Images are shown of units that have several.
        """
        found = self.layer.meanings.get(channel)
        if found is None:
            return None, {}
        made = [one for one in self.layer.meaning_pictures if one.unit.channel == channel]
        files = {self.file(one): encode(self.pixels(one)) for one in made}
        images = self.images(channel, found.images)
        meanings = []
        for number in range(found.count):
            own = next((one for one in made if one.recipe.endswith(f"-{number + 1}")), None)
            view = MeaningView(
                number=number + 1,
                rendering=own,
                file=self.file(own) if own else "",
                images=tuple(images[image] for image in found.images_of(number)),
            )
            meanings.append(view)
        return MeaningsView(chance=found.chance, meanings=tuple(meanings)), files

    def file(self, rendering: Rendering) -> str:
        """Address of a picture, seen from the folder of its layer."""
        return addresses.picture(rendering.unit.channel, f".{rendering.recipe}")

    def pixels(self, rendering: Rendering) -> np.ndarray:
        """The picture of a meaning as pages show it."""
        made = self.pictures.rendering(rendering.unit, rendering.recipe)
        return to_pixels(made.image, self.atlas.shown)

    def images(self, channel: int, images: tuple[int, ...]) -> dict[int, MeaningImage]:
        """Sample image → the patch around the unit's peak there."""
        rows = np.searchsorted(self.layer.stats.rows, images)
        boxes = peak_boxes(self.layer, self.atlas.model.shape, rows, channel)
        samples = self.atlas.samples.samples
        return {
            image: MeaningImage(
                image=image,
                name=samples[image].name,
                patch=PatchView(file=self.whole(image).file, box=box),
            )
            for image, box in zip(images, boxes, strict=True)
        }
