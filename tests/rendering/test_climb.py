"""One octave: silent images are brought to life, and how often that is asked changes nothing."""

from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from atlas.network.network import spatial_mean
from atlas.network.recording import Recorder
from atlas.rendering import octaves as engine
from atlas.rendering.adam import Adam
from atlas.rendering.climb import Climb, ask_every
from atlas.rendering.job import Log
from atlas.rendering.objectives import company_objective, mean_and_deviation, unit_objective
from atlas.rendering.octaves import render_octaves
from atlas.rendering.parameterization import Phase, Spectrum
from tests.helpers import job_of, layer_info, natural_stats, network_of, smooth_images
from tests.rendering.test_octaves import octaves

CPU = torch.device("cpu")


class Numbers:
    """Parameters that are their own images."""

    def __init__(self, start: Tensor) -> None:
        self.parameters = start.clone()

    def step(self, adam: Adam) -> None:
        adam.step()


class Function(Climb):
    """Climbs a function of parameters (N, K); counts the passes."""

    def __init__(self, function: Callable[[Tensor], Tensor], start: Tensor, steps: int = 8) -> None:
        self.function, self.passes = function, 0
        super().__init__(
            images=Numbers(start),  # type: ignore[arg-type]
            run=None,  # type: ignore[arg-type]
            objective=None,  # type: ignore[arg-type]
            seen_shape=(1, 1),
            maps=torch.zeros(steps, len(start), 2, 3),
            rate=0.05,
            adaptivity=1.0,
            log=Log(len(start), CPU),
            recorder=Recorder(CPU, "auto"),
        )

    def ascend(self) -> tuple[Tensor, Tensor]:
        self.passes += 1
        leaf = self.images.parameters.detach().requires_grad_()
        value = self.function(leaf)
        (gradient,) = torch.autograd.grad(-value.sum(), leaf)
        return value.detach(), gradient

    def gradient(self) -> Tensor:
        """Of one step, redirected where that is needed."""
        self.take_look()
        if self.met:
            self.take_wake()
        self.take_move()
        assert self.images.parameters.grad is not None
        return self.images.parameters.grad


# --- silent images -------------------------------------------------------------------------------


def test_only_images_without_any_gradient_are_redirected() -> None:
    # the second image has a gradient, but one of its ReLUs is silent: it must keep its own
    start = torch.tensor([[-1.0, -2.0, -3.0], [1.0, 1.0, -1.0]])

    def two(x: Tensor) -> Tensor:
        silent = torch.relu(x[:, 2:])  # of both images
        return silent.sum(1) + torch.relu(x[:, :2]).sum(1)

    climb = Function(two, start)
    assert climb.gradient().tolist() == [[-1, -1, -1], [-1, -1, 0]]
    assert climb.log.ever_moved.tolist() == [True, True]


def test_image_that_no_activation_can_revive_never_moves() -> None:
    climb = Function(lambda x: (0 * x).sum(1), torch.ones(2, 3))
    assert not climb.gradient().any()
    assert climb.log.ever_moved.tolist() == [False, False]


def test_saturated_image_is_not_redirected_again_at_the_same_value() -> None:
    def saturating(x: Tensor) -> Tensor:
        return torch.nn.functional.relu6(x).mean(1) - 1  # as standardised: 5 and -1

    climb = Function(saturating, torch.tensor([[7.0, 8.0], [-1.0, -1.0]]))
    climb.adam.corrections[:, 0] = 0  # it looks, and does not move
    for _ in range(2):
        climb.met.zero_()
        gradient = climb.gradient()
        assert gradient.tolist() == [[0, 0], [-0.5, -0.5]]  # the silent one always gets one
    assert climb.passes == 4
    climb.images.parameters[1] = 9.0
    for _ in range(2):
        climb.met.zero_()
        climb.gradient()
    assert climb.passes == 7, "both are saturated: one redirected pass for the second, then none"
    assert climb.log.ever_moved.tolist() == [False, True]


def test_nan_is_no_silence() -> None:
    start = torch.tensor([[float("nan"), 1.0, 1.0], [1.0, 1.0, 1.0]])
    climb = Function(lambda x: (x**2).sum(1), start)
    assert climb.gradient()[1].tolist() == [-2, -2, -2]
    assert climb.log.ever_moved.tolist()[1]


def test_nan_in_a_redirected_gradient_is_not_hidden() -> None:
    climb = Function(lambda x: (0 * x).sum(1), torch.ones(1, 3))
    climb.take_look()
    climb.function = lambda x: (x * float("nan")).sum(1)
    climb.take_wake()
    gradient = climb.images.parameters.grad
    assert gradient is not None
    assert gradient.isnan().all()


# --- how often it is asked -----------------------------------------------------------------------


def falling_silent(x: Tensor) -> Tensor:
    """A function whose gradient is zero below 0 and above 1, where it is redirected."""
    return (torch.relu(x) - torch.relu(x - 1)).sum(1)


@pytest.mark.parametrize("every", [2, 3, 8, 100])
def test_steps_are_the_same_however_often_silence_is_asked(every: int) -> None:
    start = torch.tensor([[0.7, 0.6], [-0.3, -0.2], [0.1, 0.2]])
    one, other = Function(falling_silent, start, 20), Function(falling_silent, start, 20)
    one.go(1)
    other.go(every)
    assert torch.equal(one.images.parameters, other.images.parameters)
    assert torch.equal(torch.stack(one.log.values), torch.stack(other.log.values))
    for ours, theirs in zip(one.log.state, other.log.state, strict=True):
        assert torch.equal(ours, theirs)
    assert one.passes > 20, "the second image starts silent"


def test_a_climb_without_silence_takes_one_pass_a_step() -> None:
    climb = Function(lambda x: x.sum(1), torch.zeros(2, 3), 20)
    climb.go(8)
    assert climb.passes == 20


def test_steps_that_met_silence_are_taken_one_by_one_until_it_ends() -> None:
    silent_first = torch.tensor([[-0.12, -0.12]])  # above 0 after three steps of .05
    climb = Function(lambda x: torch.relu(x).sum(1), silent_first, 24)
    climb.go(8)
    # 8 in vain, then 8 and the 3 silent ones again, and careful no more
    assert climb.passes == 8 + 8 + 3 + 8 + 0 + 8


def test_a_processor_is_asked_at_every_step_and_a_gpu_at_every_eighth() -> None:
    assert [ask_every(torch.device(name)) for name in ("cpu", "cuda", "mps")] == [1, 8, 8]


def test_pictures_are_the_same_however_often_silence_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(3)
    plain = nn.Sequential(nn.Conv2d(3, 6, 5, bias=False), nn.ReLU6(), nn.Conv2d(6, 4, 3), nn.ReLU())
    with torch.no_grad():
        plain[2].bias -= 0.4  # type: ignore[operator]
    network = network_of(plain, ["3"], 32)
    stats = natural_stats(network, layer_info("3", 4, 26), smooth_images(8, 32))
    passes: list[int] = []
    ascend = Climb.ascend

    def counted(climb: Climb) -> tuple[Tensor, Tensor]:
        passes.append(1)
        return ascend(climb)

    monkeypatch.setattr(Climb, "ascend", counted)
    drafts, needed = [], []
    for every in (1, 8):
        monkeypatch.setattr(engine, "ask_every", lambda _device, every=every: every)
        drafts.append(render_octaves(network, job_of(octaves(12, 12), "3", range(4), stats, 32)))
        needed.append(len(passes))
        passes.clear()
    assert needed[0] > 24, "some were silent"
    assert needed[1] > needed[0], "some steps were taken back"
    for one, other in zip(*drafts, strict=True):
        assert np.array_equal(one.image, other.image)
        assert np.array_equal(one.objective, other.objective)
        assert one.silent == other.silent


# --- what a step asks of the host ----------------------------------------------------------------


class Traffic(TorchDispatchMode):
    """Counts what a GPU waits for: copies between devices, numbers made or read by the host."""

    SYNCS = ("aten::_local_scalar_dense", "aten::item", "aten::nonzero", "aten::lift_fresh")

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func._schema.name
        tensors = [one for one in _flat((args, result)) if isinstance(one, Tensor) and one.dim()]
        if name in self.SYNCS or len({one.device.type for one in tensors}) > 1:
            self.seen[name] += 1
        elif any(one.device.type == "cpu" for one in tensors):
            self.seen[f"{name} on the host"] += 1
        return result


def _flat(values: Any) -> list[Any]:
    """All values of nested lists and tuples."""
    if isinstance(values, list | tuple):
        return [one for value in values for one in _flat(value)]
    return [values]


GPU = torch.device("meta")
"""Stands in for one: its tensors know where they are and hold nothing."""


def fake_climb(parameterization: str, objective: str, shape: tuple[int, int]) -> Climb:
    """An octave of eight steps of two units of a network of two layers."""
    height, width = shape
    convolutions = nn.Conv2d(3, 6, 3, device=GPU), nn.Conv2d(6, 5, 3, device=GPU)
    plain = nn.Sequential(convolutions[0], nn.ReLU(), convolutions[1], nn.ReLU6())
    images: Spectrum | Phase
    if parameterization == "spectrum":
        parameters = torch.zeros(2, 3, height, width // 2 + 1, 2, device=GPU)
        images = Spectrum(parameters=parameters, exponent=1.2, contrast=4.0, tint_rate=3.0)
    else:
        parameters = torch.zeros(2, 3, height, width // 2 + 1, device=GPU)
        magnitude = torch.ones(3, height, width // 2 + 1, device=GPU)
        images = Phase(parameters=parameters, magnitude=magnitude, contrast=4.0, generators=[])
    stats: Any = SimpleNamespace(
        mean=np.zeros(5, np.float32),
        std=np.ones(5, np.float32),
        activations=np.ones((4, 5), np.float16),
        deviations=np.ones((4, 5), np.float16),
        finite=np.ones(5, np.bool_),
        scale=np.ones(5, np.float32),
    )
    alone = objective == "unit"
    reduce = spatial_mean if alone else mean_and_deviation

    def run(images: Tensor, normalised: bool = False) -> dict[str, Tensor]:
        return {"3": reduce(plain(images))}

    return Climb(
        images=images,
        run=run,
        objective=unit_objective("3", [1, 4], stats, device=GPU)
        if alone
        else company_objective("3", [1, 4], {"3": stats}, np.ones(4, np.bool_), 100.0, GPU),
        seen_shape=(height, width),
        maps=torch.zeros(8, 2, 2, 3, device=GPU),
        rate=0.05,
        adaptivity=0.5,
        log=Log(2, GPU),
        recorder=Recorder(CPU, "off"),
    )


@pytest.mark.parametrize(
    ("parameterization", "objective", "shape"),
    [
        ("spectrum", "unit", (16, 16)),
        ("spectrum", "company", (16, 24)),
        ("phase", "unit", (16, 24)),
    ],
)
def test_no_part_of_a_step_talks_to_the_host(
    parameterization: str, objective: str, shape: tuple[int, int]
) -> None:
    with Traffic() as traffic:
        climb = fake_climb(parameterization, objective, shape)
        assert traffic.seen, "what stays on the device is copied there once"
        for part in (climb.take_look, climb.take_wake, climb.take_move):
            part()  # constants of all climbs come with the first step
        traffic.seen.clear()
        for _ in range(3):
            climb.take_look()
            climb.take_wake()
            climb.take_move()
            climb.log.add(climb.value.clone())
    assert not traffic.seen


def test_traffic_is_seen() -> None:
    there = torch.ones(3, device=GPU)
    with Traffic() as traffic:
        _ = there * torch.tensor([1.0, 2.0, 3.0]).to(GPU)
        _ = bool(torch.ones(3).any())
    assert {"aten::lift_fresh", "aten::_to_copy", "aten::_local_scalar_dense"} <= set(traffic.seen)
