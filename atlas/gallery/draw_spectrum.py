"""Draw the spectrum of a unit: the values of its strips.

Their pictures are parts of whole images that pages share, so that strips add no files of their own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..ranking.ranking import patch_boxes
from ..ranking.spectrum import choose_strips, image_pool
from ..records.atlas import LayerAtlas, ModelAtlas
from ..records.network import CLASSES
from ..records.spectrum import Strip
from ..shapes import Shape
from .views import Shot, StripImage, StripView


@dataclass(frozen=True, slots=True, kw_only=True)
class SpectrumSource:
    """The images from which the spectra of a layer's units are drawn.

    Attributes:
        atlas, layer: whose.
        files: (N,) number of the file that the image of each row was cut from.
        pool: (N,) which rows strips may show.
        whole: sample index → the square of the whole image.
    """

    atlas: ModelAtlas
    layer: LayerAtlas
    files: NDArray[np.int64]
    pool: NDArray[np.bool_]
    whole: Callable[[int], Shot]

    @classmethod
    def read(cls, atlas: ModelAtlas, layer: LayerAtlas, whole: Callable[[int], Shot]) -> Self:
        """The images of a layer's rows."""
        digests = [atlas.samples.samples[image].sha256 for image in layer.stats.rows.tolist()]
        files = np.unique(digests, return_inverse=True)[1].astype(np.int64)
        return cls(atlas=atlas, layer=layer, files=files, pool=image_pool(len(files)), whole=whole)

    def draw(self, channel: int) -> tuple[StripView, ...]:
        """The strips of a unit, the strongest first; () for classes, and where it is not finite."""
        stats = self.layer.stats
        if self.layer.info.name == CLASSES or not stats.finite[channel]:
            return ()
        peaks = stats.peaks_over_rows(channel)
        pool = self.pool | np.isin(stats.rows, stats.example_image[channel])
        strips = choose_strips(peaks, self.files, pool)
        return tuple(self.strip(strip, channel, peaks) for strip in strips)

    def strip(self, strip: Strip, channel: int, peaks: NDArray[np.float32]) -> StripView:
        """A strip as the page of a unit shows it."""
        rows = np.array(strip.rows, np.int64)
        boxes = peak_boxes(self.layer, self.atlas.model.shape, rows, channel)
        found = zip(self.layer.stats.rows[rows].tolist(), peaks[rows].tolist(), boxes, strict=True)
        return StripView(
            percentile=strip.percentile,
            up_to=strip.up_to,
            value=strip.value,
            share=strip.share,
            images=tuple(
                StripImage(
                    image=image,
                    name=self.atlas.samples.samples[image].name,
                    peak=peak,
                    box=box,
                    whole=self.whole(image),
                )
                for image, peak, box in found
            ),
        )


def has_places(layer: LayerAtlas) -> bool:
    """Whether it is known where in the image a peak of a layer is."""
    unknown = "?" in layer.info.layout  # `layouts.UNKNOWN`, which only rooms with torch can import
    return len(layer.stats.places) > 0 and not unknown


def peak_boxes(
    layer: LayerAtlas, shape: Shape, rows: NDArray[np.int64], channel: int
) -> list[tuple[int, int, int, int]]:
    """Boxes around the peaks of a channel on the images of some rows, or these images whole."""
    if not has_places(layer):
        return [(0, 0, *shape)] * len(rows)
    places = layer.stats.places[rows, channel].astype(np.int32)
    boxes = patch_boxes(layer.info, shape, places).tolist()
    return [(y0, x0, y1, x1) for y0, x0, y1, x1 in boxes]
