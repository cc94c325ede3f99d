"""The one way to look inside a network: hooks that are always removed. Start at `tapped`."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..models.calling import Habits, call
from ..models.hooks import hooked
from ..models.scores import LastStep
from ..models.trace import described, only_map
from ..records.network import CLASSES

Reduce = Callable[[Tensor], Tensor]
AsMaps = Callable[[str, object], Tensor]
"""Layer name and what the layer put out → maps (N, C, H, W)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A network, and how images are run through it.

    Attributes:
        network: the network itself.
        habits: what it needs.
        channels_last: whether images are channels-last in memory.
        stops: whether a pass ends behind the last layer that is looked at.
        doubles: whether one image runs as a batch of two: torch convolves one small image on the
            CPU by another kernel, which rounds otherwise, and a picture would depend on having
            neighbours (measured: 22 dB apart by `pyramid`).
        fills: whether batches are filled up to one of a few sizes, see `filled`.
        limits: darkest and brightest normalised pixel (C, 1, 1), where the network refuses others.
        last_step: sees what the last step of the network is given.
    """

    network: nn.Module
    habits: Habits = field(default_factory=Habits)
    channels_last: bool = False
    stops: bool = False
    doubles: bool = False
    fills: bool = False
    limits: tuple[Tensor, Tensor] | None = None
    last_step: LastStep = field(default_factory=LastStep)


class Stop(BaseException):
    """Ends a pass that has gone far enough; no network catches it by `except Exception`."""


class Taps:
    """Hooks on layers of a network; outside of a pass they are closed and see nothing.

    A call of it runs a batch of normalised images and says what the layers made of it.

    Args:
        way, reduce, as_maps: as of `tapped`.
    """

    def __init__(self, way: Way, reduce: Mapping[str, Reduce], as_maps: AsMaps) -> None:
        self.way, self.reduce, self.as_maps = way, reduce, as_maps
        self.layers = layers_by_call(way.network, reduce)
        self.calls: Counter[str] = Counter()
        self.outputs: dict[str, Tensor] = {}
        self.error: Exception | None = None
        self.open = self.gradients = False
        self.images = self.batch = 0

    def attached(self) -> AbstractContextManager[None]:
        """Hooks on the modules of the layers inside the block, none after it."""
        paths = dict.fromkeys(path for path, _ in self.layers)
        modules = [(path, self.way.network.get_submodule(path)) for path in paths]
        return hooked(modules, after=self.see)

    @property
    def reached(self) -> bool:
        """True if the last of the layers has put out."""
        return len(self.outputs) == len(self.reduce)

    def see(self, path: str, _module: nn.Module, _inputs: object, output: object) -> object | None:
        """Keep what a layer has put out, and end the pass behind the last of them."""
        if not self.open:
            return None
        names = self.layers.get((path, self.calls[path]), ())
        self.calls[path] += 1
        if not names or self.error or self.reached:
            return None
        try:
            for name in names:
                self.outputs[name] = self.reduced(name, output)
        except Exception as error:  # the network must not take it for one of its own
            self.error = error
            raise Stop from None
        if self.reached and self.way.stops:
            raise Stop
        return None

    def reduced(self, name: str, output: object) -> Tensor:
        """Return the reduced output of a layer, a row for each image."""
        maps = self.as_maps(name, output)
        if not self.gradients:
            maps = maps.detach()  # some networks make gradients of their own
        if maps.dtype == torch.float64:
            maps = maps.float()
        check_rows(name, maps, self.batch)
        rows = maps[: self.images]
        return self.reduce[name](rows if self.way.stops else rows.clone())

    def __call__(self, images: Tensor, autocast: torch.dtype | None = None) -> dict[str, Tensor]:
        """Normalised images (N, C, H, W) → layer name → reduced activations, N rows each."""
        if not self.way.habits.alone or len(images) == 1:
            return self.run_once(images, autocast)
        parts = [self.run_once(images[i : i + 1], autocast) for i in range(len(images))]
        return {name: torch.cat([part[name] for part in parts]) for name in self.reduce}

    def batch_of(self, images: Tensor) -> Tensor:
        """The images, and perhaps the first again and again behind them."""
        if self.way.doubles and len(images) == 1:
            return images.expand(2, -1, -1, -1)
        more = filled(images.shape) - len(images) if self.way.fills else 0
        if not more:
            return images
        return torch.cat([images, images[:1].detach().expand(more, -1, -1, -1)])

    def run_once(self, images: Tensor, autocast: torch.dtype | None) -> dict[str, Tensor]:
        """The same by one pass."""
        batch = images if self.way.habits.alone else self.batch_of(images)
        self.images, self.batch = len(images), len(batch)
        self.calls, self.outputs, self.error = Counter(), {}, None
        self.open, self.gradients = True, torch.is_grad_enabled()
        try:
            run_through(self.way, batch, autocast)
        except Exception:  # a network that has caught our end of the pass goes on with what it has
            if not (self.way.stops and self.reached):
                raise
        finally:
            self.open = False
        if self.error:
            raise self.error
        if not self.reached:
            missing = ", ".join(sorted(set(self.reduce) - set(self.outputs)))
            raise InputError(f"layer {missing} was not reached in a forward pass of an image")
        return self.outputs


FILLED = 16 * 224 * 224
"""Pixels of a batch that a GPU computes about as fast as any smaller one."""


def filled(shape: Sequence[int]) -> int:
    """Images to run in the place of (N, C, H, W): one of a few numbers.

    cuDNN prepares every convolution anew for each number of images, some of them for a quarter of
    a second: about 75 of 103 s of a default atlas went into layers of 10 and of 21 units and into
    all the numbers of units that were tried again (H100, measured). So small batches are filled up
    to 16 images of 224 px, or as many pixels; larger ones to 2^n or 96, so that what fits into
    memory in a batch of 2^n is never made larger than that.
    """
    images, _, height, width = shape
    power = 1 << max(images - 1, 0).bit_length()
    most = power * 3 // 4 if power >= 128 and images <= power * 3 // 4 else power
    return max(most, min(16, FILLED // (height * width)))


@contextmanager
def tapped(way: Way, reduce: Mapping[str, Reduce], as_maps: AsMaps) -> Iterator[Taps]:
    """Hook layers for the time of the context.

    Args:
        way: the network, and how it is run.
        reduce: layer name → what to make of its maps as soon as they are there, before a later
            in-place operation can overwrite them.
        as_maps: makes maps of what a layer puts out.

    Yields:
        A function from normalised images to layer name → reduced activations.

    Raises:
        InputError: a layer is not reached, gives no maps, or as many rows as there are no images.
    """
    taps = Taps(way, reduce, as_maps)
    with exact_convolutions(), taps.attached():
        yield taps


@contextmanager
def exact_convolutions() -> Iterator[None]:
    """Convolutions in fp32 are what they say, forward and back.

    By default torch computes them in TF32 on GPUs, whose 10 bits round by batch so coarsely that
    EfficientNet-Lite0 was taken for a network whose answers depend on the batch (H100, measured).
    """
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def run_through(way: Way, images: Tensor, autocast: torch.dtype | None) -> None:
    """One forward pass, to its end or until a hook ends it."""
    layout = torch.channels_last if way.channels_last else torch.contiguous_format
    if way.limits:
        images = images.clamp(*way.limits)
    try:
        with (
            way.last_step.watched(),
            torch.autocast(images.device.type, dtype=autocast, enabled=autocast is not None),
        ):
            call(way.network, images, way.habits, layout)
    except Stop:
        pass


def check_rows(name: str, maps: Tensor, images: int) -> None:
    """Raise an InputError unless the rows of a layer are the images of the batch."""
    if len(maps) != images:
        raise InputError(
            f"layer {name} puts out {len(maps)} rows for {images} images: its rows are not the "
            f"images, so nothing it says can be told of one of them; leave it out with --layers"
        )


def layers_by_call(network: nn.Module, layers: Iterable[str]) -> dict[tuple[str, int], list[str]]:
    """(module path, call) → the layers that are made of what it puts out."""
    found: dict[tuple[str, int], list[str]] = {}
    for name in layers:
        found.setdefault(module_path(network, name), []).append(name)
    return found


def module_path(network: nn.Module, layer: str) -> tuple[str, int]:
    """A layer name as (module path, call): `layer1.0.relu:1` is the second call of that module.

    The names of modules may hold colons themselves. The class scores are what the network itself,
    the module without a path, returns; a dictionary, `layer1@nmf32`, reads the module of its layer.
    """
    if layer == CLASSES:
        return "", 0
    if "@" in layer and not has_module(network, layer):
        layer = layer.rpartition("@")[0]
    path, _, number = layer.rpartition(":")
    if path and number.isdecimal() and not has_module(network, layer):
        return path, int(number)
    return layer, 0


def has_module(network: nn.Module, path: str) -> bool:
    """Return whether a network has a module of this path."""
    try:
        network.get_submodule(path)
    except AttributeError:
        return False
    return True


def module_paths(network: nn.Module, layers: Sequence[str]) -> list[str]:
    """The module paths of layers."""
    return [module_path(network, name)[0] for name in layers]


def checked(name: str, output: object) -> Tensor:
    """The map of a layer, or an InputError that says what it is instead of (N, C, H, W)."""
    found = only_map(output)
    if not isinstance(found, Tensor):
        raise InputError(f"layer {name} puts out a {described(output)}, not one map (N, C, H, W)")
    if found.dim() != 4:
        raise InputError(f"layer {name} has shape {described(found)}, not (N, C, H, W)")
    return found
