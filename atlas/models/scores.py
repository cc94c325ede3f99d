"""Class scores in what a network returned, and scores that grow without a limit made of them.

`find_scores` picks them out of whatever was returned, a `LastStep` undoes softmax and its kin. How
scores become probabilities is said in `ranking.classes`.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import fields, is_dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ..records.network import Outputs

LEAST, MOST = torch.finfo(torch.float32).tiny, 1 - 2**-24
"""Probabilities are held between these before a logarithm is taken of them."""


def find_scores(output: object) -> Tensor | None:
    """The scores in what a network returned for N images, or None where they cannot be told.

    In a tuple, a dict or a dataclass that is what is called `logits`, or else the only table of
    numbers (N, K); maps and losses beside it do not count. A network that squeezes its output
    gives (K,) for one image, and (N,) or () where there is one score an image.
    """
    if isinstance(output, Tensor):
        return output if output.is_floating_point() and output.ndim <= 2 else None
    parts = parts_of(output)
    if isinstance(parts.get("logits"), Tensor):
        return find_scores(parts["logits"])
    found = [one for one in map(find_scores, parts.values()) if one is not None]
    tables = [one for one in found if one.ndim == 2] or found
    return tables[0] if len(tables) == 1 else None


def parts_of(output: object) -> Mapping[object, object]:
    """Return the contents of a tuple, list, dict or dataclass, by name or index."""
    if isinstance(output, Mapping):
        return output
    if isinstance(output, tuple | list):
        return dict(zip(getattr(output, "_fields", range(len(output))), output, strict=True))
    if is_dataclass(output) and not isinstance(output, type):
        return {field.name: getattr(output, field.name) for field in fields(output)}
    return {}


def is_made_of(output: object, linear: Tensor) -> bool:
    """Return whether a network returned what a linear map gave it, or softmax or sigmoid of that.

    Args:
        output: of the network, for one image.
        linear: the output of the map.
    """
    scores = find_scores(output)
    if scores is None or scores.numel() != linear.numel():
        return False
    forms = (linear, linear.softmax(-1), linear.log_softmax(-1), linear.sigmoid())
    return any(torch.allclose(form.flatten(), scores.flatten(), 1e-4, 1e-6) for form in forms)


STEPS: Mapping[str, tuple[Callable[..., Any], ...]] = {
    "probabilities": (F.softmax, torch.softmax, Tensor.softmax),
    "log-probabilities": (F.log_softmax, torch.log_softmax, Tensor.log_softmax),
    "multilabel": (F.sigmoid, torch.sigmoid, Tensor.sigmoid),
}
"""Operations that make these kinds of scores, in every form that keeps the scores unchanged."""


class LastStep(TorchFunctionMode):
    """Context that sees what the last step of a network was given, to undo it exactly.

    Where the step is another one, or something comes after it, `to_scores` undoes what it can.

    Args:
        outputs: what the network puts out.
    """

    def __init__(self, outputs: Outputs = "logits") -> None:
        super().__init__()
        self.outputs = outputs
        self.watching = False
        self.steps = STEPS.get(outputs, ())
        self.known: list[tuple[Tensor, Tensor]] = []

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        if function in self.steps and result.ndim <= 2:
            self.known.append((args[0] if args else kwargs["input"], result))
        return result

    @contextmanager
    def watched(self) -> Iterator[None]:
        """See all steps inside the block; where none is looked for, nothing is slowed down."""
        self.watching = True
        try:
            with self if self.steps else nullcontext():
                yield
        finally:
            self.watching = False
            self.known.clear()

    def scores(self, output: object) -> Tensor | None:
        """The scores (N, K), (K,) or (N,) behind what the network returned; None: there are none.

        Outside `watched` they are what it returned.
        """
        found = find_scores(output)
        if not self.watching:
            return found
        given = (before for before, after in self.known if after is found)
        before = next(given, None)
        if found is None or before is not None:
            return before
        return to_scores(found, self.outputs)


def to_scores(output: Tensor, outputs: Outputs) -> Tensor:
    """Scores float32 that grow without a limit, of what a network put out.

    Of probabilities it is log p less its mean over the classes: what softmax made them of, but for
    what is the same for all classes and is lost. Softmax of it gives the probabilities back, and
    its gradient lives where that of p and even that of log p has died: at p = 1. Of the probability
    of a class by itself it is log p − log(1 − p), which a sigmoid takes back. The rest are scores
    already.

    Args:
        output: (N, K), or (K,) of one image.
        outputs: the kind.

    Source: Aitchison 1982, The statistical analysis of compositional data (centred log ratio).
    """
    values = output.float()
    if outputs == "multilabel":
        shares = values.clamp(LEAST, MOST)
        return shares.log() - torch.log1p(-shares)
    if outputs == "probabilities":
        values = values.clamp_min(LEAST).log()
    elif outputs == "log-probabilities":
        values = values.clamp_min(-100.0)  # classes that are masked out have none at all
    else:
        return values
    return values - values.mean(-1, keepdim=True)
