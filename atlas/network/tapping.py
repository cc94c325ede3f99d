"""The one way to look inside a network: hooks that are always removed. Start at `tapped`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..models.calling import Habits, call
from ..models.hooks import hooked
from ..models.scores import LastStep
from ..records import CLASSES

Reduce = Callable[[Tensor], Tensor]
AsMaps = Callable[[str, object], Tensor]
"""Layer name and what the layer put out → maps (N, C, H, W)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A network, and how images are run through it.

    Attributes:
        network: the network itself.
        habits: what it needs.
        channels_last: whether images lie channels-last in memory.
        stops: whether a pass ends behind the last layer that is looked at.
        doubles: whether one image runs as a batch of two: torch convolves one small image on the
            CPU by another kernel, which rounds otherwise, and a picture would depend on having
            neighbours (measured: 22 dB apart by `pyramid`).
        limits: darkest and brightest normalised pixel (C, 1, 1), where the network refuses others.
        last_step: sees what the last step of the network is given.
    """

    network: nn.Module
    habits: Habits = field(default_factory=Habits)
    channels_last: bool = False
    stops: bool = False
    doubles: bool = False
    limits: tuple[Tensor, Tensor] | None = None
    last_step: LastStep = field(default_factory=LastStep)


class PassedOn(Protocol):
    """Runs a batch and says what the tapped layers made of it."""

    def __call__(self, images: Tensor, autocast: torch.dtype | None = None) -> dict[str, Tensor]:
        """Normalised images (N, C, H, W) → layer name → reduced activations, N rows each."""
        ...


class _Stop(BaseException):
    """Ends a pass that has gone far enough; no network catches it by `except Exception`."""


class _Taps:
    """What the hooks of one forward pass share; outside it they are closed and see nothing."""

    def __init__(self, images: int, batch: int, waiting: int) -> None:
        self.images = images
        self.batch = batch
        self.waiting = waiting
        self.calls: dict[str, int] = {}
        self.outputs: dict[str, Tensor] = {}
        self.error: Exception | None = None
        self.closed = not waiting
        self.gradients = torch.is_grad_enabled()

    @property
    def reached(self) -> bool:
        """Whether the last of the layers has put out."""
        return self.waiting == 0


@contextmanager
def tapped(way: Way, reduce: Mapping[str, Reduce], as_maps: AsMaps) -> Iterator[PassedOn]:
    """Hook layers for the time of the context.

    Args:
        way: the network, and how it is run.
        reduce: layer name → what to make of its maps as soon as they are there, before a later
            in-place operation can overwrite them.
        as_maps: makes maps of what a layer puts out.

    Raises:
        InputError: a layer is not reached, gives no maps, or as many rows as there are no images.
    """
    by_module: dict[str, dict[int, str]] = {}
    for name in reduce:
        path, number = module_path(way.network, name)
        by_module.setdefault(path, {})[number] = name
    taps = _Taps(0, 0, 0)

    def collect(name: str, output: object) -> None:
        maps = as_maps(name, output)
        if not taps.gradients:
            maps = maps.detach()  # some networks make gradients of their own
        if maps.dtype == torch.float64:
            maps = maps.float()
        check_rows(name, maps, taps.batch)
        rows = maps[: taps.images]
        taps.outputs[name] = reduce[name](rows if way.stops else rows.clone())

    def save(path: str, _module: nn.Module, _inputs: object, output: object) -> None:
        if taps.closed:
            return
        number = taps.calls.get(path, 0)
        taps.calls[path] = number + 1
        wanted = by_module[path]
        if number not in wanted or taps.error or taps.reached:
            return
        try:
            collect(wanted[number], output)
        except Exception as error:  # the network must not take it for one of its own
            taps.error = error
            raise _Stop from None
        taps.waiting -= 1
        if taps.reached and way.stops:
            raise _Stop

    def once(images: Tensor, autocast: torch.dtype | None) -> dict[str, Tensor]:
        nonlocal taps
        batch = images
        if way.doubles and len(images) == 1 and not way.habits.alone:
            batch = images.expand(2, -1, -1, -1)
        taps = _Taps(len(images), len(batch), len(reduce))
        try:
            run_through(way, batch, autocast)
        except Exception:  # a network that has caught our end of the pass goes on with what it has
            if not (way.stops and taps.reached):
                raise
        finally:
            taps.closed = True
        if taps.error:
            raise taps.error
        if taps.waiting:
            missing = ", ".join(sorted(set(reduce) - set(taps.outputs)))
            raise InputError(f"layer {missing} was not reached in a forward pass of an image")
        return taps.outputs

    def run(images: Tensor, autocast: torch.dtype | None = None) -> dict[str, Tensor]:
        if not way.habits.alone or len(images) == 1:
            return once(images, autocast)
        parts = [once(images[place : place + 1], autocast) for place in range(len(images))]
        return {name: torch.cat([part[name] for part in parts]) for name in reduce}

    modules = [(path, way.network.get_submodule(path)) for path in by_module]
    with hooked(modules, after=save):
        yield run


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
    except _Stop:
        pass


def check_rows(name: str, maps: Tensor, images: int) -> None:
    """Raise an InputError unless the rows of a layer are the images of the batch."""
    if len(maps) != images:
        raise InputError(
            f"layer {name} puts out {len(maps)} rows for {images} images: its rows are not the "
            f"images, so nothing it says can be told of one of them; leave it out with --layers"
        )


def module_path(network: nn.Module, layer: str) -> tuple[str, int]:
    """A layer name as (module path, call): `layer1.0.relu:1` is the second call of that module.

    The names of modules may hold colons themselves. The class scores are what the network itself,
    the module without a path, returns.
    """
    if layer == CLASSES:
        return "", 0
    path, _, number = layer.rpartition(":")
    if path and number.isdecimal() and not has_module(network, layer):
        return path, int(number)
    return layer, 0


def has_module(network: nn.Module, path: str) -> bool:
    """Whether a network has a module of this path."""
    try:
        network.get_submodule(path)
    except AttributeError:
        return False
    return True


def module_paths(network: nn.Module, layers: Sequence[str]) -> list[str]:
    """The module paths of layers."""
    return [module_path(network, name)[0] for name in layers]
