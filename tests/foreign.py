"""Networks as people write them, one habit each. All are seeded and take images of 16 pixels.

`tests.foreign:NAME` is what --model is given; a fresh one is what plain hooks are set on.
"""

import functools
import random
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune
from torch.utils.checkpoint import checkpoint


def seeded(build: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """The same network at every call, BatchNorm with statistics far from 0 and 1."""

    @functools.wraps(build)
    def make() -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            network = build()
            for module in network.modules():
                if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
                    assert module.running_var is not None
                    module.running_mean.normal_()
                    module.running_var.uniform_(0.3, 2)
            network.eval()
            return network

    return make


class Base(nn.Module):
    """first → second → mean → scores; `forward` is what child classes change."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.second, self.scores = nn.Conv2d(6, 8, 3, stride=2, padding=1), nn.Linear(8, 5)

    def maps(self, x: Tensor) -> Tensor:
        return F.relu(self.second(F.relu(self.norm(self.first(x)))))

    def forward(self, x: Tensor) -> Any:
        return self.scores(self.maps(x).mean((2, 3)))


# --- memory, copies, early stops ------------------------------------------------------------------


class Flattens(Base):
    def __init__(self) -> None:
        super().__init__()
        self.scores = nn.Linear(8 * 8 * 8, 5)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.maps(x)
        return self.scores(maps.view(maps.size(0), -1))


class LeavesSkips(Base):
    """Clears its list at the end of a pass; what is left there is taken for this image's."""

    def __init__(self) -> None:
        super().__init__()
        self.skips: list[Tensor] = []
        self.join = nn.Conv2d(14, 8, 1)

    def maps(self, x: Tensor) -> Tensor:
        self.skips.append(F.relu(self.first(x)))
        deep = F.interpolate(F.relu(self.second(self.skips[-1])), scale_factor=2)
        joined: Tensor = self.join(torch.cat([deep, self.skips[0]], 1))
        self.skips.clear()
        return joined


class FillsDict(Base):
    """Hooks of its own fill a dict that forward reads: in a copy they fill the original's."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, Tensor] = {}
        kept = self.kept
        self.first.register_forward_hook(lambda _m, _i, out: kept.__setitem__("first", out))

    def maps(self, x: Tensor) -> Tensor:
        self.first(x)
        return F.relu(self.second(self.kept["first"]))


def closure() -> nn.Module:
    network = Base()
    network.forward = lambda x: network.scores(network.maps(x).amax((2, 3)))  # type: ignore[method-assign]
    return network


class HoldsLock(Base):
    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


class PlainList(Base):
    def __init__(self) -> None:
        super().__init__()
        self.steps = [self.first, self.norm, F.relu, self.second, F.relu]

    def maps(self, x: Tensor) -> Tensor:
        for step in self.steps:
            x = step(x)
        return x


class ChangesInput(Base):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.sub_(0.3).div_(0.5))


# --- weights made at each call --------------------------------------------------------------------


def normed(wrap: Callable[[nn.Conv2d], nn.Module]) -> nn.Module:
    network = Base()
    network.first = wrap(network.first)  # type: ignore[assignment]
    return network


def weight_norm() -> nn.Module:
    return normed(torch.nn.utils.weight_norm)


def spectral_norm() -> nn.Module:
    return normed(torch.nn.utils.spectral_norm)


def parametrized() -> nn.Module:
    return normed(parametrizations.spectral_norm)


def pruned() -> nn.Module:
    return normed(lambda conv: prune.l1_unstructured(conv, "weight", 0.5))


# --- batches, chance, memory of earlier calls -----------------------------------------------------


class BatchStatistics(Base):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(6, track_running_stats=False)


class ForgetsEval(Base):
    """Its own `train` leaves BatchNorm as it was, in training mode, and returns nothing."""

    def train(self, mode: bool = True) -> None:  # type: ignore[override]
        self.training = mode


class MeanOfBatch(Base):
    def maps(self, x: Tensor) -> Tensor:
        maps = super().maps(x)
        return maps - maps.mean(0, keepdim=True) / 2


class OneAtATime(Base):
    def forward(self, x: Tensor) -> Tensor:
        return self.scores(self.maps(x).mean((2, 3)).view(1, 8))


class DropsOut(Base):
    def maps(self, x: Tensor) -> Tensor:
        return F.dropout(super().maps(x), 0.5)


class RollsDice(Base):
    def maps(self, x: Tensor) -> Tensor:
        return super().maps(x) * (1 + random.random() + float(np.random.rand()))


class Counts(Base):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def maps(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().maps(x * self.calls)


class Routed(Base):
    """Two experts: images in which red is stronger than blue go to one of them."""

    def __init__(self) -> None:
        super().__init__()
        self.warm, self.cold = nn.Conv2d(6, 8, 1), nn.Conv2d(6, 8, 1)

    def maps(self, x: Tensor) -> Tensor:
        warm = (x[:, 0] - x[:, 2]).mean((1, 2)) > 0.2
        x = F.relu(self.first(x))
        out = x.new_zeros(len(x), 8, *x.shape[2:])
        if warm.any():
            out[warm] = self.warm(x[warm])
        if (~warm).any():
            out[~warm] = self.cold(x[~warm])
        return out


class Windows(Base):
    """A layer inside sees quarters of the image as rows of a larger batch."""

    def maps(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        quarters = x.reshape(n, c, 2, h // 2, 2, w // 2).permute(0, 2, 4, 1, 3, 5)
        first = self.first(quarters.reshape(n * 4, c, h // 2, w // 2))
        return F.relu(self.second(first.reshape(n, 4, 6, h // 2, w // 2).mean(1)))


# --- gradients ------------------------------------------------------------------------------------


class Frozen(Base):
    def maps(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return super().maps(x)


class Inferring(Base):
    @torch.inference_mode()
    def maps(self, x: Tensor) -> Tensor:
        return super().maps(x)


class SwitchesOff(Base):
    def maps(self, x: Tensor) -> Tensor:
        before = torch.is_grad_enabled()
        torch.set_grad_enabled(False)
        maps = super().maps(x)
        torch.set_grad_enabled(before)
        return maps


class Checkpointed(Base):
    reentrant = True

    def maps(self, x: Tensor) -> Tensor:
        x = checkpoint(self.first, x, use_reentrant=self.reentrant)
        return F.relu(checkpoint(self.second, x, use_reentrant=self.reentrant))


class CheckpointedAnew(Checkpointed):
    reentrant = False


class Detached(Base):
    def forward(self, x: Tensor) -> Tensor:
        return self.scores(self.maps(x).mean((2, 3)).detach())


class DetachedInside(Base):
    def maps(self, x: Tensor) -> Tensor:
        return F.relu(self.second(F.relu(self.first(x)).detach()))


class MixesTypes(Base):
    """Scatters what a convolution gives into fp32 zeros, which takes fp32 only."""

    def maps(self, x: Tensor) -> Tensor:
        x = self.first(x)
        places = torch.arange(x.numel())
        joined = torch.zeros(x.numel()).scatter(0, places, x.flatten()).view_as(x)
        return F.relu(self.second(F.relu(joined)))


class Float64Constant(Base):
    """Made while the default type was float64: its weights, and a constant that is no buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.double()
        self.middle = torch.full((1, 3, 1, 1), 0.5, dtype=torch.float64)

    def maps(self, x: Tensor) -> Tensor:
        return super().maps(x - self.middle)


class CastsToDouble(Base):
    """Computes in float64, whatever it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.double())


class Swallows(Base):
    """Catches whatever ends a part of it, our early end of a pass too."""

    def maps(self, x: Tensor) -> Tensor:
        try:
            return super().maps(x)
        except BaseException:
            return x


class Drifts(Base):
    """Answers that change a little with every call, as by a schedule."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def maps(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().maps(x * (1 + 5e-5 * self.calls))


class DerivesInside(Base):
    """Switches gradients on and derives inside forward."""

    def maps(self, x: Tensor) -> Tensor:
        with torch.enable_grad():
            leaf = x if x.requires_grad else x.detach().requires_grad_()
            slope = torch.autograd.grad(self.first(leaf).square().sum(), leaf, create_graph=True)[0]
            return super().maps(leaf + 0.01 * slope)


# --- inputs ---------------------------------------------------------------------------------------


class ChecksRange(Base):
    def forward(self, x: Tensor) -> Tensor:
        if x.min() < 0 or x.max() > 1:
            raise ValueError("pixels must lie in [0, 1]")
        return super().forward(x)


class OneSize(Base):
    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] != 16:
            raise KeyError(f"no entry for {x.shape[-1]} pixels")
        return super().forward(x)


class LateFirst(nn.Module):
    """Registered first is what is called last."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.late, self.stem = nn.Conv2d(8, 4, 3), nn.Conv2d(channels, 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.late(F.relu(self.stem(x)))


def late_first_grey() -> nn.Module:
    return LateFirst(1)


def lazy() -> nn.Module:
    return nn.Sequential(
        nn.LazyConv2d(6, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(4)
    )


# --- names and kinds of modules -------------------------------------------------------------------


class Colons(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        convs = {"net/conv:0": nn.Conv2d(3, 4, 3), "net/conv:1": nn.Conv2d(4, 4, 3)}
        self.parts = nn.ModuleDict(convs)

    def forward(self, x: Tensor) -> Tensor:
        for part in self.parts.values():
            x = part(x)
        return self.parts["net/conv:1"](x)


class Scripted(Base):
    """A part of it is compiled by TorchScript, which takes no hooks inside."""

    def __init__(self) -> None:
        super().__init__()
        part = nn.Sequential(OrderedDict(conv=nn.Conv2d(6, 6, 1), relu=nn.ReLU()))
        self.part = torch.jit.trace(part, torch.zeros(1, 6, 8, 8))

    def maps(self, x: Tensor) -> Tensor:
        return F.relu(self.second(self.part(self.first(x))))


def quantised_head() -> nn.Module:
    return torch.ao.quantization.quantize_dynamic(Base(), {nn.Linear}, dtype=torch.qint8)


def compiled() -> nn.Module:
    return torch.compile(Base())  # type: ignore[return-value]


class AnswersToAnyName(Base):
    """`hasattr` says yes to everything that does not begin with two underscores."""

    def __getattr__(self, name: str) -> object:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name.startswith("__"):
                raise
            return lambda *_given: None


class KeepsSparse(Base):
    """A sparse buffer, as graph networks keep."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("neighbours", torch.eye(6).to_sparse())

    def maps(self, x: Tensor) -> Tensor:
        first = self.first(x)
        mixed = torch.sparse.mm(self.neighbours, first.transpose(0, 1).flatten(1))
        n, c, h, w = first.shape
        return F.relu(self.second(mixed.reshape(c, n, h, w).transpose(0, 1)))


class Exits(Base):
    def forward(self, x: Tensor) -> Tensor:
        raise SystemExit(0)


def make(name: str) -> nn.Module:
    """A fresh network by its name, seeded."""
    return seeded(globals()[name])()


# --- pictures that a network cannot answer --------------------------------------------------------


class DividesByDeviation(Base):
    """NaN where a picture has one colour."""

    def forward(self, x: Tensor) -> Tensor:
        mean, spread = x.mean((1, 2, 3), keepdim=True), x.std((1, 2, 3), keepdim=True)
        return super().forward((x - mean) / spread)


class RefusesBlack(Base):
    def forward(self, x: Tensor) -> Tensor:
        if (x.flatten(1).amax(1) <= 0).any():
            raise LookupError("a black picture")
        return super().forward(x)


class OneChannelNaN(Base):
    """The third channel of `first` is NaN on every picture."""

    def __init__(self) -> None:
        super().__init__()
        with torch.no_grad():
            assert self.first.bias is not None
            self.first.bias[2] = torch.nan
