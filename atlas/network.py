"""The engine's view of a model: run up to the layers asked for, stop there, fast.

`Network` folds BatchNorm into convolutions (and checks that this changed nothing), keeps the
weights channels-last, normalises images itself and stops at the last layer that is needed.
`tap` is the one way to look inside; its hooks are always removed, and whatever a layer puts out,
what they show is maps (N, C, H, W).
"""

import contextlib
import copy
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .allocator import keep_freed_memory
from .errors import InputError
from .layouts import MAPS, to_maps
from .models import Model
from .records import CLASSES, LayerInfo
from .trace import described, only_map

Reduce = Callable[[Tensor], Tensor]


class Run(Protocol):
    """Runs a batch up to the last tapped layer."""

    def __call__(self, images: Tensor, normalised: bool = False) -> Mapping[str, Tensor]:
        """Images (N, 3, H, W), in [0, 1] or already normalised → layer name → reduced output."""
        ...


FOLD_TOLERANCE = 1e-3
"""Largest relative deviation that folding may cause; measured: below 1e-5 on torchvision's nets."""


AUTOCAST = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
NO_PRECISIONS: Mapping[int, str] = MappingProxyType({})


def spatial_mean(activations: Tensor) -> Tensor:
    """(N, C, H, W) → (N, C) float32."""
    return activations.float().mean((2, 3))


def keep(activations: Tensor) -> Tensor:
    """The activations as they are."""
    return activations


class _Stop(Exception):
    """Not an error: ends a forward pass that has gone far enough."""


@dataclass(slots=True)
class _Taps:
    """What the hooks of one forward pass share."""

    images: int
    waiting: int
    calls: dict[str, int]
    outputs: dict[str, Tensor]


class Network:
    """A model ready to run: `with network.tap({layer: reduce}) as run: run(images)[layer]`.

    Args:
        model: as loaded; it is copied, never changed.
        layers: names of all layers that will ever be tapped, so that folding leaves them alone.
        device: where it runs.
        compiled: run the building blocks through torch.compile.
    """

    def __init__(
        self,
        model: Model,
        layers: Sequence[str],
        device: torch.device,
        compiled: bool = False,
    ) -> None:
        if device.type == "cpu":
            keep_freed_memory()
        self.info = model.info
        self.device = device
        self.weights_sha256 = model.info.weights_sha256
        plain = shared_copy(model.network).to(device)
        shape = (len(model.info.mean), 1, 1)
        self._mean = torch.tensor(model.info.mean, device=device).view(shape)
        self._std = torch.tensor(model.info.std, device=device).view(shape)
        self._accepted: dict[tuple[int, str], bool] = {}
        self.rows = {layer.name: layer for layer in model.layers}
        self.order = {layer.name: layer.index for layer in model.layers}
        self.network = plain
        folded = fold_batch_norm(plain, self._probe(), [module_path(name)[0] for name in layers])
        agreed = folded if folded is not None and self._agrees(folded, layers) else plain
        self.network = agreed.to(memory_format=torch.channels_last)
        if compiled:
            compile_blocks(self.network, model.layers, [module_path(name)[0] for name in layers])

    @contextmanager
    def tap(
        self, reduce: Mapping[str, Reduce], precisions: Mapping[int, str] = NO_PRECISIONS
    ) -> Iterator[Run]:
        """Hook layers for the time of the context.

        Args:
            reduce: layer name → what to make of its activations as soon as they are there, before
                a later in-place operation can overwrite them.
            precisions: side of the images → "fp32", "bf16" or "fp16" for the network itself; sides
                that are not named run in fp32.

        Yields:
            A function from images to layer name → reduced activations, which stops the forward
            pass after the last of the layers.

        Raises:
            InputError: a layer is not reached, or does not give (N, C, H, W).
        """
        by_module: dict[str, dict[int, str]] = {}
        for name in reduce:
            path, call = module_path(name)
            by_module.setdefault(path, {})[call] = name
        taps = _Taps(images=0, waiting=0, calls={}, outputs={})

        def hook(path: str, wanted: Mapping[int, str]) -> Callable[..., None]:
            def save(_module: nn.Module, _inputs: object, output: object) -> None:
                call = taps.calls.get(path, 0)
                taps.calls[path] = call + 1
                if call in wanted:
                    name = wanted[call]
                    taps.outputs[name] = reduce[name](self.maps(name, output)[: taps.images])
                    taps.waiting -= 1
                    if taps.waiting == 0:
                        raise _Stop

            return save

        modules = {path: self.network.get_submodule(path) for path in by_module}
        handles = [
            modules[path].register_forward_hook(hook(path, wanted))
            for path, wanted in by_module.items()
        ]

        def run(images: Tensor, normalised: bool = False) -> Mapping[str, Tensor]:
            taps.images, taps.waiting, taps.calls, taps.outputs = len(images), len(reduce), {}, {}
            self._forward(
                images if normalised else self.normalise(images),
                AUTOCAST[precisions.get(images.shape[-1], "fp32")],
            )
            if taps.waiting:
                missing = ", ".join(sorted(set(reduce) - set(taps.outputs)))
                raise InputError(f"layer {missing} is never reached in a forward pass")
            return taps.outputs

        try:
            yield run
        finally:
            for handle in handles:
                handle.remove()

    def maps(self, name: str, output: object) -> Tensor:
        """The output of a layer as maps (N, C, H, W), by the layout in its row.

        Raises:
            InputError: it is no such thing.
            ValueError: its tokens are of no grid at this size of the images.
        """
        row = self.rows.get(name)
        if row is None or row.layout == MAPS:
            return checked(name, output)
        found = only_map(output)
        if not isinstance(found, Tensor):
            raise InputError(f"layer {name} puts out {described(output)}, not {row.layout}")
        return to_maps(found, row.layout, (row.height, row.width))

    @torch.no_grad()
    def accepts(self, side: int, layer: str) -> bool:
        """Whether images of this side reach the layer with a map of at least 1 × 1."""
        if (side, layer) not in self._accepted:
            images = torch.zeros(1, 3, side, side, device=self.device)
            with self.tap({layer: keep}) as run:
                try:
                    run(images)
                    self._accepted[side, layer] = True
                except (RuntimeError, ValueError, AssertionError):  # how networks refuse a size
                    self._accepted[side, layer] = False
        return self._accepted[side, layer]

    def seen_side(self, side: int, layer: str) -> int:
        """Side at which images of `side` are shown: networks of one size, or of deep layers that
        need more than `side`, see them at the input's size."""
        return side if self.accepts(side, layer) else self.info.input_size

    def denormalise(self, images: Tensor) -> Tensor:
        """The inverse of `normalise`."""
        return images * self._std + self._mean

    def normalise(self, images: Tensor) -> Tensor:
        """Images in [0, 1] as the network expects them."""
        if images.shape[1] != len(self._mean):
            images = images.mean(1, keepdim=True)  # a one-channel network sees luminance
        return (images - self._mean) / self._std

    def _forward(self, normalised: Tensor, autocast: torch.dtype | None) -> None:
        enabled = autocast is not None
        if len(normalised) == 1 and self.device.type == "cpu":
            # torch convolves one small image on the CPU by another kernel, which rounds otherwise:
            # a picture would depend on having neighbours (measured: 22 dB apart by `pyramid`)
            normalised = normalised.expand(2, -1, -1, -1)
        with (
            contextlib.suppress(_Stop),
            torch.autocast(self.device.type, dtype=autocast, enabled=enabled),
        ):
            self.network(normalised.contiguous(memory_format=torch.channels_last))

    def _probe(self) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        size = self.info.input_size
        images = torch.rand(1, 3, size, size, generator=generator).to(self.device)
        return self.normalise(images).contiguous(memory_format=torch.channels_last)

    @torch.no_grad()
    def _agrees(self, folded: nn.Module, layers: Sequence[str]) -> bool:
        """Whether every layer gives the same with the folded network."""
        plain = self.network
        images = self._probe()
        with self.tap(dict.fromkeys(layers, torch.clone)) as run:
            before = run(images, normalised=True)
        self.network = folded
        with self.tap(dict.fromkeys(layers, torch.clone)) as run:
            after = run(images, normalised=True)
            close = [
                (after[name] - before[name]).abs().max()
                <= FOLD_TOLERANCE * before[name].abs().max().clamp_min(1e-6)
                for name in layers
            ]
        self.network = plain
        return bool(all(close))


def shared_copy(network: nn.Module) -> nn.Module:
    """A copy whose modules may be changed or replaced, with the same numbers in memory.

    Large networks have gigabytes of weights, and most of them stay as they are.
    """
    shared: dict[int, Any] = {
        id(weight): nn.Parameter(weight.data, weight.requires_grad)
        for weight in network.parameters()
    }
    shared |= {id(buffer): buffer.detach() for buffer in network.buffers()}
    return copy.deepcopy(network, shared)


def compile_blocks(network: nn.Module, table: Sequence[LayerInfo], taps: Sequence[str]) -> None:
    """Let torch.compile take the forward pass of every building block that holds no tap inside.

    Hooks stand outside the compiled code, so that taps of the blocks themselves still work.
    """
    for path in {module_path(row.name)[0] for row in table if "blocks" in row.groups}:
        if not any(tap.startswith(f"{path}.") for tap in taps):
            block = network.get_submodule(path)
            block.forward = torch.compile(block.forward, dynamic=False)


def module_path(layer: str) -> tuple[str, int]:
    """A layer name as (module path, call): `layer1.0.relu:1` is the second call of that module.

    The class scores are what the network itself, the module without a path, returns.
    """
    if layer == CLASSES:
        return "", 0
    path, separator, call = layer.partition(":")
    return path, int(call) if separator else 0


def checked(name: str, output: object) -> Tensor:
    """The map of a layer, or an InputError that says what it is instead of (N, C, H, W)."""
    found = only_map(output)
    if not isinstance(found, Tensor):
        raise InputError(f"layer {name} puts out a {described(output)}, not one map (N, C, H, W)")
    if name == CLASSES and found.dim() == 2:
        return found[:, :, None, None]  # (N, K, 1, 1)
    if found.dim() != 4:
        raise InputError(f"layer {name} has shape {described(found)}, not (N, C, H, W)")
    return found


@torch.no_grad()
def fold_batch_norm(network: nn.Module, probe: Tensor, taps: Sequence[str]) -> nn.Module | None:
    """A copy of `network` with BatchNorm folded into the convolution that feeds it.

    Pairs are found by running `probe` and watching which BatchNorm receives, unchanged, what a
    convolution returned. Convolutions in `taps` are left alone. Returns None if there are no pairs.
    The caller checks the result: a convolution whose output is used twice cannot be told here.
    """
    pairs = [pair for pair in conv_norm_pairs(network, probe) if pair[0] not in taps]
    if not pairs:
        return None
    folded = shared_copy(network)
    for conv_name, norm_name in pairs:
        conv, norm = folded.get_submodule(conv_name), folded.get_submodule(norm_name)
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        replace(folded, conv_name, fuse_conv_bn_eval(conv, norm))
        replace(folded, norm_name, after_norm(norm))
    return folded


def conv_norm_pairs(network: nn.Module, probe: Tensor) -> list[tuple[str, str]]:
    """Names of (convolution, BatchNorm) where the second takes exactly what the first returned."""
    produced: dict[int, tuple[str, Tensor, int]] = {}
    calls: dict[str, int] = {}
    pairs: list[tuple[str, str]] = []

    def after_conv(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            calls[name] = calls.get(name, 0) + 1
            produced[id(output)] = (name, output, output._version)

        return hook

    def before_norm(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            calls[name] = calls.get(name, 0) + 1
            source = produced.get(id(inputs[0]))
            if source and source[1] is inputs[0] and source[2] == inputs[0]._version:
                pairs.append((source[0], name))

        return hook

    handles = []
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            handles.append(module.register_forward_hook(after_conv(name)))
        elif isinstance(module, nn.BatchNorm2d) and after_norm(module) is not None:
            handles.append(module.register_forward_pre_hook(before_norm(name)))
    try:
        network(probe)
    finally:
        for handle in handles:
            handle.remove()
    return [
        pair for pair in pairs if calls[pair[0]] == calls[pair[1]] == 1 and unshared(network, pair)
    ]


def unshared(network: nn.Module, pair: tuple[str, str]) -> bool:
    """Whether neither module of the pair is registered under a second name."""
    modules = [network.get_submodule(name) for name in pair]
    counts = [0, 0]
    for _, module in network.named_modules(remove_duplicate=False):
        for index, one in enumerate(modules):
            counts[index] += module is one
    return counts == [1, 1]


def after_norm(norm: nn.BatchNorm2d) -> nn.Module | None:
    """What remains of a BatchNorm once folded; None if its class is not known."""
    if norm.running_mean is None:
        return None
    if type(norm) is nn.BatchNorm2d:
        return nn.Identity()
    if (
        type(norm).__name__ == "BatchNormAct2d"
    ):  # timm: normalisation, dropout and activation in one
        parts = {name: norm.get_submodule(name) for name in ("drop", "act")}
        return nn.Sequential(OrderedDict(parts))
    return None


def replace(network: nn.Module, name: str, module: nn.Module | None) -> None:
    """Put `module` where `name` points to."""
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, module)
