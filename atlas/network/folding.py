"""BatchNorm folded into the convolution that feeds it, in a copy. Start at `fold_batch_norm`."""

import copy
from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d
from torch.nn.utils import parametrize
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..models.calling import Habits, call
from ..models.hooks import hooked

COPIED = (nn.ReLU6, nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.SiLU, nn.Mish)
"""Functions whose derivative needs their input; that of ReLU and ELU needs what they gave."""


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


def out_of_place(network: nn.Module) -> nn.Module:
    """Let activation functions of a copy leave their inputs as they are.

    In place, autograd copies the input of one of `COPIED` before it is overwritten: a twelfth of a
    gradient step of EfficientNet-Lite0 at 224 px, to save memory that the copy takes again.
    """
    for module in network.modules():
        if isinstance(module, COPIED):
            module.inplace = False
    return network


class Pointwise(nn.Conv2d):
    """A convolution of 1 × 1 that oneDNN does on a CPU, as it does most of the others.

    With one thread and fewer than 16 images torch would take a product of matrices an image, unless
    it is dilated; one weight alone is the same dilated. A gradient step of EfficientNet-Lite0 takes
    .94 of the time. A small image alone goes another way, which is much slower dilated.

    Source: `use_mkldnn` in torch's aten/src/ATen/native/Convolution.cpp.
    """

    SMALL = 20480
    """Numbers of a single image up to which torch does not give it to oneDNN."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        dilation = 2 if len(input) > 1 or input.numel() > self.SMALL else 1
        return conv2d(input, weight, bias, self.stride, self.padding, dilation, self.groups)


def by_one_library(network: nn.Module, device: torch.device) -> nn.Module:
    """Let the library of most convolutions on a CPU do those of 1 × 1 in a copy as well."""
    # torch has no types for this function
    there = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if device.type == "cpu" and there:
        for module in network.modules():
            if type(module) is nn.Conv2d and is_pointwise(module):
                module.__class__ = Pointwise
    return network


def is_pointwise(module: nn.Conv2d) -> bool:
    """Return whether a convolution reads one position for each that it gives."""
    alone = (*module.kernel_size, *module.stride) == (1, 1, 1, 1)
    return alone and module.padding_mode == "zeros"


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
    calls: Counter[str] = Counter()
    pairs: list[tuple[str, str]] = []

    def after_conv(name: str, _module: nn.Module, _inputs: object, output: object) -> None:
        assert isinstance(output, Tensor)
        calls[name] += 1
        produced[id(output)] = (name, output, output._version)

    def before_norm(name: str, _module: nn.Module, inputs: object) -> None:
        assert isinstance(inputs, tuple)
        calls[name] += 1
        source = produced.get(id(inputs[0]))
        if source and source[1] is inputs[0] and source[2] == inputs[0]._version:
            pairs.append((source[0], name))

    named = list(network.named_modules())
    convs = [(name, one) for name, one in named if isinstance(one, nn.Conv2d) and is_plain(one)]
    norms = [(name, one) for name, one in named if is_foldable(one)]
    with hooked(convs, after=after_conv), hooked(norms, before=before_norm):
        call(network, probe, Habits())
    return [
        pair for pair in pairs if calls[pair[0]] == calls[pair[1]] == 1 and unshared(network, pair)
    ]


def is_plain(module: nn.Module) -> bool:
    """Return whether a module's weights are its own parameters, and a call does nothing else.

    Weight norm, spectral norm, pruning and parametrizations compute them before each call; hooks of
    the network's own may do anything.
    """
    return (
        not parametrize.is_parametrized(module)
        and not module._forward_pre_hooks
        and not module._forward_hooks
        and "weight" in module._parameters
    )


def is_foldable(module: nn.Module) -> bool:
    """Return whether a module is a BatchNorm whose work a convolution can do."""
    return isinstance(module, nn.BatchNorm2d) and is_plain(module) and bool(after_norm(module))


def unshared(network: nn.Module, pair: tuple[str, str]) -> bool:
    """Return whether neither module of the pair is registered under a second name."""
    modules = [network.get_submodule(name) for name in pair]
    counts = [0, 0]
    for _, module in network.named_modules(remove_duplicate=False):
        for index, one in enumerate(modules):
            counts[index] += module is one
    return counts == [1, 1]


def after_norm(norm: nn.BatchNorm2d) -> nn.Module | None:
    """Return the rest of a BatchNorm once folded; None if its class is not known."""
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
