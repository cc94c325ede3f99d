"""Parts of a step recorded as CUDA graphs: hundreds of small kernels become one launch.

At small sizes a GPU computes faster than Python can launch kernels (docs/rendering.md). A function
that only works on tensors which stay where they are is recorded at its second call and replayed
from then on. Start at `Recorder.recorded`.
"""

import contextlib
import functools
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from ..errors import one_line

Mode = Literal["auto", "on", "off"]

LARGEST = 2_000_000
"""Pixels of a batch beyond which a recording does not pay: it takes 50 ms, and saves a tenth of a
step of 9 ms or more from 3 million on, half of one of 8 ms at 1.6 million (H100, measured)."""

AGREEMENT = 1e-3
"""Largest difference between a function and its recording, over the largest value."""


class Recorder:
    """Records functions where that pays, and stops doing so where it fails.

    Args:
        device: on which they compute.
        mode: "off" never, "on" whatever the size, "auto" up to `LARGEST` pixels.

    Attributes:
        failure: why it has stopped, in words; "" while it goes on.
    """

    def __init__(self, device: torch.device, mode: Mode) -> None:
        self.device, self.mode = device, mode
        self.failure = ""

    def recorded(
        self,
        pixels: int,
        action: Callable[[], None],
        result: Callable[[], Tensor] | None = None,
    ) -> Callable[[], None]:
        """The action, or one that does the same by replaying a recording of it.

        Args:
            pixels: of the batch, which tells whether recording pays.
            action: works on tensors of the device only, and leaves its results where it found
                them or where it put them when it was recorded.
            result: reads what an action that can be repeated gave, to hold the recording against.
        """
        small = self.mode == "on" or pixels <= LARGEST
        if self.mode == "off" or self.device.type != "cuda" or self.failure or not small:
            return action
        return Recording(self, action, result)

    def gave_up(self, error: Exception) -> None:
        """Keep the reason; a lack of memory is one of this batch alone."""
        if not isinstance(error, torch.OutOfMemoryError):
            self.failure = f"steps are not recorded as CUDA graphs: {one_line(error)}"


class Recording:
    """An action: itself at its first call, recorded at its second, replayed from then on."""

    def __init__(
        self, recorder: Recorder, action: Callable[[], None], result: Callable[[], Tensor] | None
    ) -> None:
        self.recorder, self.action, self.result = recorder, action, result
        self.graph: Any = None
        self.calls = 0

    def __call__(self) -> None:
        """Do it."""
        self.calls += 1
        if self.calls == 2 and not self.recorder.failure:
            self.record()
        if self.graph is None:
            self.action()
        else:
            self.graph.replay()

    def record(self) -> None:
        """Record the action; it stays unrecorded where that fails or gives something else."""
        try:
            wanted = self.wanted()
            graph = capture(self.action, self.recorder.device)
            if wanted is not None and self.result is not None:
                graph.replay()
                check_equal(self.result(), wanted)
            self.graph = graph
        except Exception as error:  # whatever a network does, its steps can still be taken
            self.recorder.gave_up(error)

    def wanted(self) -> Tensor | None:
        """What the action itself gives, where it can be repeated."""
        if self.result is None:
            return None
        self.action()
        return self.result().clone()


def capture(action: Callable[[], None], device: torch.device) -> Any:
    """Record what an action would launch, without doing it.

    Not by `torch.cuda.graph`, which collects garbage and gives back memory each time.
    """
    graph, stream = torch.cuda.CUDAGraph(), side_stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        graph.capture_begin(capture_error_mode="thread_local")
        try:
            action()
        except BaseException:
            with contextlib.suppress(Exception):
                graph.capture_end()
            raise
        graph.capture_end()
    torch.cuda.current_stream(device).wait_stream(stream)
    return graph


@functools.cache
def side_stream(device: torch.device) -> Any:
    """The stream on which actions are recorded; one, so that memory is used again."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def check_equal(found: Tensor, wanted: Tensor) -> None:
    """Raise a RuntimeError unless two results agree."""
    largest = wanted.abs().amax().clamp_min(1)
    if not bool(((found - wanted).abs() <= AGREEMENT * largest).all()):
        raise RuntimeError("a recorded step gives something else than the step itself")
