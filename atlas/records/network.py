"""A network and its layers, as pages and cache know them."""

from dataclasses import dataclass
from typing import Literal

from ..shapes import Shape, Size

Outputs = Literal[
    "logits",
    "probabilities",
    "log-probabilities",
    "multilabel",
    "multilabel-logits",
    "embedding",
    "none",
]
"""Kinds of network output: scores for a softmax; their probabilities or log probabilities; a
probability for each class by itself, or the score whose sigmoid it is; an embedding, which is no
list of classes; none of these."""

CLASSES = "class scores"
"""Name of the classifier's output as a layer: one channel a class, a map of one position."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerInfo:
    """One row of a model's layer table.

    Attributes:
        name: module path as torch prints it, e.g. `blocks.4.2`.
        index: position in forward order, from 0; of a dictionary that of its layer.
        type: class name of the module.
        channels, height, width: shape of its output at the model's input size.
        receptive_field: side in input pixels that one position sees; 0 where it cannot be derived.
        stride: input pixels between neighbouring positions; 0 where it cannot be derived.
        multiply_adds: multiply-adds of one image from the input up to and including this layer.
        groups: the selections it belongs to, of "blocks", "children", "all"; besides them "readout"
            for the layer whose spatial means the classifier reads, "classes" for its output alone
            and "dictionary" for a dictionary alone.
            () for modules whose output is no map: such rows come last, without a shape, and are
            there only to be refused by name.
        layout: of the output in memory: "NCHW" for maps, "NHWC" for maps with channels last,
            "NLC" for tokens row by row, "NLC+1" with one token in front that has no place, "NLC-1"
            with one behind; "@Hw" after it for places that run down the picture and to the left
            (see `layouts.Layout`). What consumers see is (N, C, H, W), upright, always. For rows
            without groups, the output in words.
        places: of the positions: pixels of the input down and across to the middle of the first,
            then down and across to the next; () where they are spread evenly over the input.
        parent: of a dictionary, the layer whose activations it reads; "" for the network's own.
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
    parent: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """Description of a network on the pages; it also identifies the network in the cache key.

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
