"""One octave of gradient ascent, without waiting for the device at every step.

`Climb.go` takes the steps. What may make a step different, an image without any gradient, is asked
of the device every few steps only: they are taken as if there was none, and taken back and repeated
one by one where there was one after all. So the pictures are the same however often it is asked.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..images.tensors import seen_at
from ..network.network import Run
from ..network.recording import Recorder
from ..network.redirect import redirected
from ..shapes import Shape
from .adam import Adam
from .job import Log, has_gradient
from .objectives import Objective
from .parameterization import Parameterization
from .transforms import resample

ASK_EVERY = 8
"""Steps from one question to a GPU to the next."""


def ask_every(device: torch.device) -> int:
    """Steps from one question to the next: a processor answers at once."""
    return 1 if device.type == "cpu" else ASK_EVERY


class Climb:
    """One octave of gradient ascent.

    `take_look`, `take_wake` and `take_move` make a step. They take nothing from the host and give
    it nothing, so that each of them can be recorded and launched as one graph.

    Args:
        images: what is optimised.
        run: the network up to the layers that the objective reads.
        objective: reduced activations → (N,) values.
        seen_shape: height and width at which the network sees the images.
        maps: (steps, N, 2, 3) geometry of every step and image, as `resample` takes it.
        rate, adaptivity: of a fresh Adam.
        log: what is remembered.
        recorder: records the parts of a step, where that pays.

    Attributes:
        value: (N,) the objective at the images of this step.
        moved, silent: (N,) which of them have a gradient, and which may be given one.
        met: (1,) whether any was silent since it was last set to 0.
    """

    def __init__(
        self,
        *,
        images: Parameterization,
        run: Run,
        objective: Objective,
        seen_shape: Shape,
        maps: Tensor,
        rate: float,
        adaptivity: float,
        log: Log,
        recorder: Recorder,
    ) -> None:
        self.images, self.run, self.objective = images, run, objective
        self.seen_shape, self.maps, self.log = seen_shape, maps, log
        self.adam = Adam(images.parameters, rate, len(maps), adaptivity)
        self.met = torch.zeros(1, dtype=torch.bool, device=maps.device)
        self.recorder = recorder
        self.value: Tensor
        self.moved: Tensor
        self.silent: Tensor

    def go(self, every: int) -> None:
        """Take all steps; ask whether an image is without gradient after `every` so many."""
        pixels = len(self.maps[0]) * self.seen_shape[0] * self.seen_shape[1]
        recorded = functools.partial(self.recorder.recorded, pixels)
        step = Step(
            look=recorded(self.take_look, lambda: self.value),
            wake=recorded(self.take_wake),
            move=recorded(self.take_move),
        )
        steps, careful = len(self.maps), every == 1
        for first in range(0, steps, every):
            count = min(every, steps - first)
            if careful or not self.hurry(step, count):
                careful = self.walk(step, count) or every == 1

    def hurry(self, step: "Step", count: int) -> bool:
        """Take steps as if every image had a gradient; take them back where one had none."""
        self.met.zero_()
        changing = [self.images.parameters.detach(), *self.adam.state, *self.log.state]
        before = [one.clone() for one in changing]
        for _ in range(count):
            step.look()
            step.move()
            self.log.add(self.value.clone())
        if not bool(self.met):
            return True
        for one, was in zip(changing, before, strict=True):
            one.copy_(was)
        self.log.take_back(count)
        return False

    def walk(self, step: "Step", count: int) -> bool:
        """Take steps and ask at each; returns whether an image was without gradient."""
        self.met.zero_()
        met = False
        for _ in range(count):
            step.look()
            if bool(self.met):
                step.wake()
                self.met.zero_()
                met = True
            step.move()
            self.log.add(self.value.clone())
        return met

    def take_look(self) -> None:
        """Find value and gradient at the images of this step, and who has none.

        An image whose redirected gradient was zero too, because its unit is saturated everywhere,
        is not asked again at the same value: a second pass at each of most steps of ReLU6 layers.
        """
        self.value, gradient = self.ascend()
        self.images.parameters.grad = gradient
        self.moved = has_gradient(gradient)
        self.silent = ~self.moved & ~(self.value >= self.log.top)
        self.met |= self.silent.any()

    def take_wake(self) -> None:
        """Give images whose whole gradient is zero a redirected one; the others keep their own."""
        plain = self.images.parameters.grad
        assert plain is not None
        with redirected():
            _, other = self.ascend()
        woken = self.silent & has_gradient(other)
        self.log.stuck(self.value, self.silent & ~woken)
        self.moved |= woken
        plain.copy_(torch.where(woken.view(-1, *[1] * (plain.dim() - 1)), other, plain))

    def take_move(self) -> None:
        """Let the optimiser take its step."""
        self.log.moved(self.moved)
        self.images.step(self.adam)

    def ascend(self) -> tuple[Tensor, Tensor]:
        """(N,) objective, and the gradient of its negative sum in the parameters."""
        leaf = self.images.parameters.detach().requires_grad_()
        maps = self.maps.index_select(0, self.adam.count)[0]
        shown = resample(self.images.images(leaf), maps)
        value = self.objective(self.run(seen_at(shown, self.seen_shape)))
        (gradient,) = torch.autograd.grad(-value.sum(), leaf)
        return value.detach(), gradient


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The parts of a step of a climb, recorded or as they are.

    They live as long as the climb goes: what is recorded holds memory of the device.
    """

    look: Callable[[], None]
    wake: Callable[[], None]
    move: Callable[[], None]
