"""The sample images: what was seen, what was skipped, how squares were cut."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One sample image: a crop (usually the central one) of one image file.

    Attributes:
        index: its row in every per-image array, from 0, in order.
        name: relative path of the file inside the image folder, with `#y,x,side` for further crops.
        sha256: of the bytes of the file; files with the same digest count as one distinct image.
        box: (y0, x0, y1, x1) in pixels of the decoded file: the part that the network sees.
    """

    index: int
    name: str
    sha256: str
    box: tuple[int, int, int, int]


USUAL_SHARE = 224 / 256
"""Side of the usual evaluation crop over the side that the picture was resized to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CentralCrop:
    """The part of a picture that the network sees, unless another part is chosen.

    Attributes:
        share: side of the central square over the shorter side of the picture; for an input that
            is no square, of the largest rectangle in its proportion over what fits.
        squash: the central part has the shape of the picture, and is squashed into a square.
        prepared: a picture whose shorter side the usual resize has made for this input (256 px for
            224) is cut at exactly the input size instead.
    """

    share: float
    squash: bool = False
    prepared: bool = False


USUAL_CROP = CentralCrop(share=USUAL_SHARE)


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedFile:
    """A file of the image folder that is not a sample image, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSet:
    """The sample images of one pass, in order, as the cache remembers them.

    Attributes:
        title: what the pages call the set, e.g. `photographs of scikit-image` or the folder's name.
        sha256: identifies names, bytes and crops of the whole set.
        samples: the images the network saw.
        skipped: the files that could not be used.
        hf_median, hf_p05, hf_p95: share of energy above .25 cycles per pixel of the samples at the
            input size (the natural reference of HF).
        credits: one line of origin and licence for each photograph, where known.
        crop: how the squares were cut; None where each was chosen, or where it was not noted.
    """

    title: str
    sha256: str
    samples: tuple[Sample, ...]
    skipped: tuple[SkippedFile, ...]
    hf_median: float
    hf_p05: float
    hf_p95: float
    credits: tuple[str, ...] = ()
    crop: CentralCrop | None = field(default=None, compare=False)  # older caches do not note it

    @property
    def distinct(self) -> int:
        """Number of distinct image files behind the samples."""
        return len({sample.sha256 for sample in self.samples})


JUDGING_SHARE = 3
"""One of so many images judges; the others may make pictures."""


def judging_images(samples: SampleSet) -> NDArray[np.bool_]:
    """(N,) which images only judge: about a third of the files, by their digests."""
    return np.array([judges(sample.sha256) for sample in samples.samples], np.bool_)


def judges(sha256: str) -> bool:
    """Return whether the image of a file with this digest only judges."""
    return int(sha256[:8], 16) % JUDGING_SHARE == 0
