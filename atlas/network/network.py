"""The engine's view of a model: run up to the layers asked for, stop there, fast.

`Network` finds out what a network needs (`habits`) and which faster ways give the same
(`shortcuts`), and normalises images itself. `tap` is the one way to look inside; its hooks are
always removed, and whatever a layer puts out, what they show is maps (N, C, H, W).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..images.tensors import luminance
from ..models.calling import Habits
from ..models.layouts import MAPS, from_maps, to_maps
from ..models.load import Model
from ..models.probes import as_planes, probe_images
from ..models.scores import LastStep
from ..models.trace import changed_tensors, described, only_map
from ..records.network import CLASSES
from ..shapes import Shape, Size, in_proportion, pair
from .compiling import compile_blocks
from .encoding import Encoder
from .folding import shared_copy
from .habits import Answers, ask, differing, find_gradients, find_habits, refuses
from .intervening import Interventions, intervening
from .memory import keep_freed_memory
from .recording import Mode, Recorder
from .shortcuts import (
    AGREEMENT,
    OTHER_SIZES,
    Wanted,
    agrees,
    choose_way,
    describe_way,
    plain_answers,
    spare_copy,
)
from .tapping import Reduce, Way, checked, tapped


class Run(Protocol):
    """Runs a batch up to the last tapped layer."""

    def __call__(self, images: Tensor, normalised: bool = False) -> Mapping[str, Tensor]:
        """Images (N, C, H, W), in [0, 1] or already normalised → layer name → reduced output."""
        ...


UNCOMPILED = (
    "--compile on: blocks through torch.compile fail here or give other answers, so they run as "
    "they are"
)

AUTOCAST = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def spatial_mean(activations: Tensor) -> Tensor:
    """(N, C, H, W) → (N, C) float32."""
    return activations.float().mean((2, 3))


def keep(activations: Tensor) -> Tensor:
    """The activations as they are."""
    return activations


class Network:
    """A model ready to run: `with network.tap({layer: reduce}) as run: run(images)[layer]`.

    Args:
        model: as loaded; it is never changed but for where its weights lie in memory.
        layers: names of all layers that will ever be tapped.
        device: where it runs.
        compile: "on" to run the building blocks through torch.compile; other values of --compile
            only tell the recorder what to do.

    Attributes:
        without_gradient: those of the layers from which no gradient reaches the image.
        recorder: makes CUDA graphs of steps through it.

    Raises:
        InputError: the rows of a layer are not the images, or its answers depend on the calls
            before.
    """

    def __init__(
        self,
        model: Model,
        layers: Sequence[str],
        device: torch.device,
        compile: Mode = "auto",
    ) -> None:
        if device.type == "cpu":
            keep_freed_memory()
        self.info = model.info
        self.device = device
        self.weights_sha256 = model.info.weights_sha256
        self._mean = as_planes(model.info.mean).to(device)
        self._std = as_planes(model.info.std).to(device)
        self._accepted: dict[tuple[int, str], bool] = {}
        self.last_step = LastStep(model.info.outputs)
        self._trial: Way | None = None
        self._first: Answers = {}
        self._wanted: Wanted = ()
        self.rows = {layer.name: layer for layer in model.layers}
        self.order = {layer.name: layer.index for layer in model.layers}
        self.encoders = {name: Encoder(code, device) for name, code in model.dictionaries.items()}
        self.without_gradient: frozenset[str] = frozenset()
        self.uncompiled = ""
        self._eager: Way | None = None
        self.plain = model.network.to(device)
        read = [*dict.fromkeys(map(self.read_by, layers))]
        self.way = self._find_way(read)
        if compile == "on" and self._wanted:
            self.way = self._compiled(read)
        chance = self.way.habits.seeded  # a recording would draw its own
        self.recorder = Recorder(device, "off" if chance else compile)

    @property
    def network(self) -> nn.Module:
        """The module that runs: the model's own network, or a copy that is faster."""
        return self.way.network

    @property
    def needs(self) -> str:
        """Measures that give each image its own answer, in words; "" where none is needed."""
        alone, seeded = self.way.habits.alone, self.way.habits.seeded
        needs = {"one image at a time": alone, "with the same random numbers each time": seeded}
        parts = [text for text, needed in needs.items() if needed]
        reason = "chance" if seeded else "the batch (batch statistics and the like)"
        words = f"{self.info.title} is run {' and '.join(parts)}, because its answers depend on"
        return f"{words} {reason}" if parts else ""

    @property
    def notes(self) -> tuple[str, ...]:
        """What --compile could not do, in words."""
        return tuple(filter(None, (self.uncompiled, self.recorder.failure)))

    @property
    def fallback(self) -> str:
        """Shortcuts that are left out, in words; "" where none is."""
        return describe_way(self.way, self.plain)

    def read_by(self, layer: str) -> str:
        """The layer of the network that a layer is made of: of a dictionary the one it reads."""
        row = self.rows.get(layer)
        return (row.parent if row else "") or layer

    def lacks_gradient(self, layer: str) -> bool:
        """Return whether no gradient reaches the image from a layer."""
        return self.read_by(layer) in self.without_gradient

    def _find_way(self, layers: Sequence[str]) -> Way:
        """Find the conditions that the network needs, and the fastest way with equal answers."""
        plain = Way(network=self.plain.to(memory_format=torch.contiguous_format), stops=True)
        if not layers:
            return plain
        side, images = self.info.input_size, self.probe(self.info.shape)
        order = sorted(layers, key=lambda name: self.order.get(name, 0))
        plain = Way(
            network=self.plain,
            doubles=self.device.type == "cpu",
            fills=self.device.type == "cuda",
            last_step=self.last_step,
        )
        habits, answers = find_habits(plain, order, self.maps, images)
        plain = replace(plain, habits=habits, limits=self._find_limits(habits, images))
        habits, self.without_gradient = find_gradients(plain, order, self.maps, images[:1])
        others = [
            self.probe(self.picture_shape(max(8, round(share * side))))[:1] for share in OTHER_SIZES
        ]
        plain = replace(plain, habits=habits)
        self._wanted = [(images, answers), *plain_answers(plain, order, self.maps, others)]
        way = choose_way(plain, order, self.maps, self._wanted)
        self._first = ask(way, order, self.maps, images[:1])
        return way

    def _find_limits(self, habits: Habits, images: Tensor) -> tuple[Tensor, Tensor] | None:
        """The pixels 0 and 1, where the network refuses what is darker or brighter."""
        low, high = -self._mean / self._std, (1 - self._mean) / self._std
        beyond = torch.where(images > (low + high) / 2, images + 1, images - 1)
        return (low, high) if refuses(spare_copy(self.plain), habits, beyond[:1]) else None

    def _compiled(self, layers: Sequence[str]) -> Way:
        """The way with compiled building blocks, where it gives the same."""
        network = shared_copy(self.network)
        compile_blocks(network, self.rows.values(), layers)
        way = replace(self.way, network=network)
        if agrees(way, layers, self.maps, self._wanted[:1]):
            self._eager = self.way
            return way
        self.uncompiled = UNCOMPILED
        return self.way

    def uncompile(self) -> bool:
        """Go back to the blocks as they are, after a failure; returns whether that may help."""
        if self._eager is None:
            return False
        self.way, self._eager, self.uncompiled = self._eager, None, UNCOMPILED
        return True

    def drifted(self, layers: Sequence[str]) -> str:
        """The first of the layers that says something else by now than at the beginning, or ""."""
        order = [name for name in layers if name in self._first]
        now = ask(self.way, order, self.maps, self.probe(self.info.shape)[:1])
        return differing({name: self._first[name] for name in order}, now, AGREEMENT)

    def probe(self, size: Size) -> Tensor:
        """(3, C, H, W): photographs as the network expects them."""
        return probe_images(*pair(size), self.info.mean, self.info.std).to(self.device)

    def picture_shape(self, side: int) -> Shape:
        """Height and width of a picture in the proportion of the input, its longer side `side`."""
        return in_proportion(side, self.info.shape)

    @contextmanager
    def tap(self, reduce: Mapping[str, Reduce], precision: str = "fp32") -> Iterator[Run]:
        """Hook layers for the time of the context.

        Args:
            reduce: layer name → what to make of its activations as soon as they are there, before
                a later in-place operation can overwrite them.
            precision: "fp32", "bf16" or "fp16", for the network itself.

        Yields:
            A function from images to layer name → reduced activations, which stops the forward
            pass after the last of the layers.

        Raises:
            InputError: a layer is not reached, or does not give (N, C, H, W).
        """
        with tapped(self.way, reduce, self.maps) as passed_on:

            def run(images: Tensor, normalised: bool = False) -> Mapping[str, Tensor]:
                prepared = images if normalised else self.normalise(images)
                return passed_on(prepared, AUTOCAST[precision])

            yield run

    def maps(self, name: str, output: object) -> Tensor:
        """The output of a layer as maps (N, C, H, W), by the layout in its row.

        Raises:
            InputError: it is no such thing.
            ValueError: its tokens are of no grid at this size of the images.
        """
        row = self.rows.get(name)
        if name == CLASSES:
            scores = self.last_step.scores(output)
            if scores is None:
                raise InputError(f"the network puts out {described(output)}, not class scores")
            classes = row.channels if row else scores.shape[-1:].numel()
            return scores.reshape(-1, classes, 1, 1)  # some squeeze what they put out
        if name in self.encoders:
            return self.encoders[name](self.maps(self.read_by(name), output))
        if row is None or row.layout == MAPS:
            return checked(name, output)
        found = only_map(output)
        if not isinstance(found, Tensor):
            raise InputError(f"layer {name} puts out {described(output)}, not {row.layout}")
        return to_maps(found, row.layout, (row.height, row.width))

    def output_of(self, name: str, output: object, maps: Tensor) -> object:
        """The inverse of `maps`: an output of a layer with other maps (N, C, H, W) in it.

        Where the layer is a dictionary, what it leaves out stays as it is.
        """
        if name in self.encoders:
            encoder, parent = self.encoders[name], self.read_by(name)
            before = self.maps(parent, output)
            return self.output_of(parent, output, before + encoder.change(maps - encoder(before)))
        row, old = self.rows.get(name), only_map(output)
        assert isinstance(old, Tensor), name
        new = from_maps(maps.to(old.dtype), old, row.layout if row else MAPS)
        channels_last = new.ndim == 4 and old.is_contiguous(memory_format=torch.channels_last)
        new = new.contiguous(
            memory_format=torch.channels_last if channels_last else torch.contiguous_format
        )
        return changed_tensors(output, lambda one: new if one is old else one)

    @contextmanager
    def intervene(self, layers: Sequence[str]) -> Iterator[Interventions]:
        """Hook layers for the time of the context, so that their outputs can be replaced.

        Raises:
            InputError: what lies between layers cannot be run by itself.
        """
        with intervening(self.way, layers, self.maps, self.output_of) as run:
            run.check(self.probe(self.info.shape)[:2])
            yield run

    @torch.no_grad()
    def accepts(self, side: int, layer: str) -> bool:
        """Return whether pictures of this longer side reach the layer with maps, a row each.

        Raises:
            torch.OutOfMemoryError: there is no room to find out.
        """
        if (side, layer) not in self._accepted:
            self._trial = self._trial or replace(self.way, network=spare_copy(self.network))
            with tapped(self._trial, {layer: spatial_mean}, self.maps) as run:
                try:
                    run(self.probe(self.picture_shape(side))[:1])
                    self._accepted[side, layer] = True
                except (torch.OutOfMemoryError, MemoryError):
                    raise
                except Exception:  # networks refuse a size by any of them
                    self._accepted[side, layer] = False
                    self._trial = None  # it may have left something behind
        return self._accepted[side, layer]

    def runs_in(self, precision: str, layer: str) -> bool:
        """Return whether a pass to a layer and back works so: code that mixes types needs fp32."""
        if precision == "fp32":
            return True
        images = self.probe(self.info.shape)[:1].requires_grad_()
        with self.tap({layer: spatial_mean}, precision) as run:
            try:
                torch.autograd.grad(run(images, normalised=True)[layer].sum(), images)
            except (torch.OutOfMemoryError, MemoryError):
                raise
            except Exception:  # anything may happen in somebody's network
                return False
        return True

    def seen_shape(self, side: int, layer: str) -> Shape:
        """Size at which pictures of the longer side `side` are shown: networks of one size, or of
        deep layers that need more than `side`, see them at the input's size."""
        return self.picture_shape(side) if self.accepts(side, layer) else self.info.shape

    def denormalise(self, images: Tensor) -> Tensor:
        """The inverse of `normalise`."""
        return images * self._std + self._mean

    def normalise(self, images: Tensor) -> Tensor:
        """Images in [0, 1] as the network expects them."""
        if images.shape[1] != len(self._mean):
            images = luminance(images)
        return (images - self._mean) / self._std
