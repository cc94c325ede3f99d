"""The values that cross from one stage to the next: frozen, numpy and plain types only.

Words (see docs): a *layer* is a module path as torch prints it, a *channel* an index in dimension 1
of its output, a *unit* one channel of one layer. The *activation* of a unit on an image is the
spatial mean of its channel; *mean activation* is the mean of that over the sample images.
"""

import math
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from .shapes import Picture, Shape, Size, in_proportion

Status = Literal["ok", "weak", "dead", "nonfinite", "failed"]
Start = Literal["noise", "example"]

Outputs = Literal[
    "logits",
    "probabilities",
    "log-probabilities",
    "multilabel",
    "multilabel-logits",
    "embedding",
    "none",
]
"""What a network puts out: scores of which softmax makes probabilities; these themselves, or their
logarithms; a probability for each class by itself, or the score that a sigmoid makes one of; an
embedding, which is no list of classes; nothing that could be one."""

EXAMPLES = 9
"""Dataset examples kept per unit (a 3 × 3 sheet, as in most published atlases)."""

NEIGHBOURS = 5
"""Most correlated channels of the same layer kept per unit."""

CLASSES = "class scores"
"""Name of the classifier's output as a layer: one channel a class, a map of one position."""

CHANGES = 8
"""Fixed transforms under which every picture is scored again."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Unit:
    """One channel of one layer, written `inception4a:225`."""

    layer: str
    channel: int

    def __str__(self) -> str:
        return f"{self.layer}:{self.channel}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerInfo:
    """One row of a model's layer table.

    Attributes:
        name: module path as torch prints it, e.g. `blocks.4.2`.
        index: position in forward order, from 0.
        type: class name of the module.
        channels, height, width: shape of its output at the model's input size.
        receptive_field: side in input pixels that one position sees; 0 where it cannot be derived.
        stride: input pixels between neighbouring positions; 0 where it cannot be derived.
        multiply_adds: multiply-adds of one image from the input up to and including this layer.
        groups: the selections it belongs to, of "blocks", "children", "all"; besides them "readout"
            for the layer whose spatial means the classifier reads, "classes" for its output alone.
            () for modules whose output is no map: such rows come last, without a shape, and are
            there only to be refused by name.
        layout: how the output lies in memory: "NCHW" for maps, "NHWC" for maps with channels last,
            "NLC" for tokens row by row, "NLC+1" with one token in front that has no place, "NLC-1"
            with one behind; "@Hw" after it for places that run down the picture and to the left
            (see `layouts.Layout`). What consumers see is (N, C, H, W), upright, always. For rows
            without groups, the output in words.
        places: where positions lie: pixels of the input down and across to the middle of the first,
            then down and across to the next; () where they are spread evenly over the input.
    """

    name: str
    index: int
    type: str
    channels: int
    height: int
    width: int
    receptive_field: int
    stride: int
    multiply_adds: int
    groups: tuple[str, ...]
    layout: str = "NCHW"
    places: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """What the pages say of a network; also what identifies it in the cache key.

    Attributes:
        name: as given to --model.
        title: the name for people, e.g. `EfficientNet-Lite0`.
        source: where the weights come from, in words.
        weights_sha256: of the weights file, or of the tensors where there is no file.
        licence: of the weights, or "" where unknown.
        parameters: number of weights.
        input_size: side in pixels of the square input, or the longer side of one that is none.
        mean, std: normalisation of each input channel.
        class_names: of the classifier's outputs; () where there are none.
        outputs: what the network puts out; "logits" in what older versions wrote.
        input_shape: height and width of an input that is no square; () where it is one.
    """

    name: str
    title: str
    source: str
    weights_sha256: str
    licence: str
    parameters: int
    input_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    class_names: tuple[str, ...]
    outputs: Outputs = "logits"
    input_shape: Shape | tuple[()] = ()

    @property
    def size(self) -> Size:
        """Side of the square input, or height and width of one that is none."""
        return self.input_shape or self.input_size

    @property
    def shape(self) -> Shape:
        """Height and width of the input."""
        return self.input_shape or (self.input_size, self.input_size)

    @property
    def channels(self) -> int:
        """Channels of the input."""
        return len(self.mean)

    @property
    def planes(self) -> int:
        """Channels of a picture: three colours, also for a network of one channel, else its own."""
        return 3 if self.channels == 1 else self.channels


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
    """Which part of a picture the network sees, where nothing else is said of the picture.

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


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerStats:
    """Statistics of every channel of one layer over the sample images (N images, C channels).

    Attributes:
        layer: its name.
        activations: (N, C) float16, activation of each channel on each image, over `scale`.
        scale: (C,) float32, so that float16 neither overflows nor loses precision.
        mean, std, max, p99: (C,) float32, of the activation over the images (population std).
        active: (C,) float32, share of images where the channel is above zero anywhere.
        finite: (C,) bool, False where any activation was NaN or infinite; never ranked.
        example_image: (C, K) int32, sample indices of the K best dataset examples, best first; -1
            where there are fewer than K images.
        example_activation: (C, K) float32, the channel's spatial maximum on that image.
        example_box: (C, K, 4) int32, y0, x0, y1, x1 in pixels of the network's input.
        neighbours: (C, 5) int32, the channels whose activations correlate most; -1 where none.
        correlation: (C, 5) float32, their correlation coefficients.
    """

    layer: str
    activations: NDArray[np.float16]
    scale: NDArray[np.float32]
    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    max: NDArray[np.float32]
    p99: NDArray[np.float32]
    active: NDArray[np.float32]
    finite: NDArray[np.bool_]
    example_image: NDArray[np.int32]
    example_activation: NDArray[np.float32]
    example_box: NDArray[np.int32]
    neighbours: NDArray[np.int32]
    correlation: NDArray[np.float32]

    @property
    def channels(self) -> int:
        return len(self.mean)

    @property
    def contrast(self) -> NDArray[np.float32]:
        """(C,) (p99 − mean) / std: high for units that are selective, 0 where std is 0."""
        spread = np.where(self.std > 0, self.std, 1).astype(np.float32)
        return np.where(self.std > 0, (self.p99 - self.mean) / spread, 0).astype(np.float32)

    def over_images(self, channel: int) -> NDArray[np.float32]:
        """The (N,) activations of one channel in the network's own units."""
        values: NDArray[np.float32] = self.activations[:, channel].astype(np.float32)
        values *= self.scale[channel]
        return values


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetExample:
    """A patch of a sample image that excites a unit.

    Attributes:
        image: index of the sample.
        activation: spatial maximum of the channel on that image.
        box: y0, x0, y1, x1 in pixels of the network's input.
    """

    image: int
    activation: float
    box: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """How far to trust a rendering, measured on its finished 8-bit image.

    Attributes:
        activation: spatial mean of the unit on the rendering.
        reach: (activation − mean) / (max − mean) over the sample images; 1 = as good as the best.
        select: rank of the unit among its layer's channels by standardised activation, from 1.
        robust: median over 8 fixed transforms of reach(transformed) / reach.
        hf: share of energy above .25 cycles per pixel, over the natural median.
        ranks: `select` under each of the eight transforms; zeros where not measured.
        confidence: probability that the classifier gives the picture; NaN but for classes.

    For classes `select` and `ranks` go by the score itself: 1 is top-1, up to 5 is top-5.
    """

    activation: float
    reach: float
    select: int
    robust: float
    hf: float
    ranks: tuple[int, ...] = (0,) * CHANGES
    confidence: float = math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendering:
    """The finished image of a unit by one recipe, and how it came about.

    Attributes:
        unit: what it shows.
        recipe: the recipe's name, with its variant where there is one.
        image: (3, H, W) float16 RGB in [0, 1]; (C, H, W) for networks of 2 or more than 3 channels.
        snapshots: (O, C, h, w) float16, the image after each octave; O = 0 where not kept.
        status: see `scoring.judge`; `reason` says in words why it is not "ok" ("" when it is).
        scores: measured on the 8-bit rounding of `image`.
        objective: (T,) float32, value of the objective at evenly spaced steps, first to last.
        octave_steps: steps of each octave, so that the curve can be divided.
        seed: of this rendering's generator, derived from unit, weights, recipe and --seed.
        start: what the optimisation started from.
        attempts: renderings tried for this unit until this one was kept.
        seconds: wall time per unit of the batch it was rendered in.
        precision: arithmetic of the network during optimisation, e.g. "fp32".
    """

    unit: Unit
    recipe: str
    image: NDArray[np.float16]
    snapshots: NDArray[np.float16]
    status: Status
    reason: str
    scores: Scores
    objective: NDArray[np.float32]
    octave_steps: tuple[int, ...]
    seed: int
    start: Start
    attempts: int
    seconds: float
    precision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Readout:
    """What each channel of the layer that the classifier reads adds to the score of each class.

    Attributes:
        layer: its spatial means are the input of the last linear map.
        channels: (K, V) int32, for each class the V channels that raise its score most.
        contributions: (K, V) float32, weight × mean activation over the sample images.
    """

    layer: str
    channels: NDArray[np.int32]
    contributions: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """A class that a classifier gives an image: its index and its probability."""

    index: int
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FoolingImage:
    """A sample image changed a little until the network takes it for another class.

    Attributes:
        image: (H, W, C) uint8, or uint16 for networks of 2 or more than 3 channels: the changed
            image as it is saved.
        target: class that it was pushed to.
        fooled: whether the saved image is given that class.
        steps: gradient steps taken.
        l2, linf: Euclidean and largest size of the saved difference, pixels in [0, 1].
        predictions: of the saved image, most likely first.
        original: what it was changed from, as the network sees it; empty in older caches.
    """

    image: Picture
    target: int
    fooled: bool
    steps: int
    l2: float
    linf: float
    predictions: tuple[Prediction, ...]
    original: Picture = field(default_factory=lambda: np.zeros((0, 0, 3), np.uint8))


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureMaps:
    """The most active channels of one layer on one image.

    Attributes:
        layer: its name.
        channels: (M,) int32, most active first.
        means: (M,) float32, spatial mean of each.
        peaks: (M,) float32, largest absolute value of each.
        maps: (M, h, w) float16, activations over `peaks`.
    """

    layer: str
    channels: NDArray[np.int32]
    means: NDArray[np.float32]
    peaks: NDArray[np.float32]
    maps: NDArray[np.float16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lens:
    """What a network makes of one sample image, seen through all lenses.

    Attributes:
        image: index of the sample image.
        predictions: most likely first; () where the network has no classifier.
        saliency, smoothgrad: (H, W) float16, largest absolute derivative of the predicted class's
            score over the colours, over its maximum; (0, 0) without a classifier.
        fooling: None without a classifier.
        maps: of each layer of the atlas, in forward order.
    """

    image: int
    predictions: tuple[Prediction, ...]
    saliency: NDArray[np.float16]
    smoothgrad: NDArray[np.float16]
    fooling: FoolingImage | None
    maps: tuple[FeatureMaps, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """What is recorded of a run but does not change its result's identity.

    Attributes:
        versions: (name, version) of this package, Python and the libraries that compute.
        device: e.g. `cpu (AMD EPYC, 2 threads)` or `cuda (NVIDIA H100)`.
        command: the command that reproduces it.
        created: ISO date and time, UTC, or that of SOURCE_DATE_EPOCH.
    """

    versions: tuple[tuple[str, str], ...]
    device: str
    command: str
    created: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerAtlas:
    """Everything the pages show of one layer, without the pictures' pixels.

    Attributes:
        info: the row of the layer table.
        stats: statistics of all its channels over the sample images.
        natural: the statistics that scores are measured against: those of a reference set, or
            `stats` itself.
        ranking: (C',) int32, channels by descending score; non-finite channels are left out.
        chosen: channels that this atlas is to show, in order of rank.
        renderings: those finished; a chosen channel may have several recipes, or none yet. Their
            `image` is (3, 0, 0): pixels are read through `Pictures`.
    """

    info: LayerInfo
    stats: LayerStats
    natural: LayerStats
    ranking: NDArray[np.int32]
    chosen: tuple[int, ...]
    renderings: tuple[Rendering, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAtlas:
    """Everything the site shows of one model, without the pictures' pixels.

    Attributes:
        model: the network.
        samples: the sample images.
        natural: the images behind the statistics that scores are measured against: a reference
            set, or `samples` itself.
        layers: in forward order.
        classes: the classifier's output as a layer, its chosen channels are the classes to show;
            None where the network has none or no class was asked for.
        class_recipes, class_recipe_digests: the recipes that classes are rendered by.
        readout: which channels raise each class; None where the classifier reads no layer's means.
        lenses: sample images that have a page of their own.
        recipes: names of the recipes asked for, the first one is the default picture.
        recipe_digests: SHA-256 of the constants of each recipe, in the same order.
        rank: how units are ranked: "mean", "max" or "contrast".
        size: longer side of the renderings in pixels.
        seed: the seed of the whole atlas.
        key: the 16 hexadecimal digits of the cache key.
        run: versions, device, command, date.
        shown: the channels that pages show, counted from 0; () where they are colours.
    """

    model: ModelInfo
    samples: SampleSet
    natural: SampleSet
    layers: tuple[LayerAtlas, ...]
    recipes: tuple[str, ...]
    recipe_digests: tuple[str, ...]
    rank: str
    size: int
    seed: int
    key: str
    run: RunInfo
    classes: LayerAtlas | None = None
    class_recipes: tuple[str, ...] = ()
    class_recipe_digests: tuple[str, ...] = ()
    readout: Readout | None = None
    lenses: tuple[int, ...] = ()
    shown: tuple[int, ...] = ()

    @property
    def shape(self) -> Shape:
        """Height and width of a rendering."""
        return in_proportion(self.size, self.model.shape)

    @property
    def digests(self) -> dict[str, str]:
        """Recipe → SHA-256 of its constants, of units and classes."""
        classes = zip(self.class_recipes, self.class_recipe_digests, strict=True)
        return dict(zip(self.recipes, self.recipe_digests, strict=True)) | dict(classes)


class Pictures(Protocol):
    """Where the gallery reads pixels from; `store.Store` is one."""

    def rendering(self, unit: Unit, recipe: str) -> Rendering:
        """The rendering of a unit with its pixels."""
        ...

    def sample(self, index: int) -> bytes:
        """The view of a sample image, a JPEG of the part the network sees."""
        ...

    def lens(self, image: int) -> Lens:
        """What the network makes of a sample image."""
        ...
