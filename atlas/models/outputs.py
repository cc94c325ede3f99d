"""Kinds of scores that networks return: `choose_outputs` interprets --outputs.

`find_outputs` tells the kind by looking at what the network makes of photographs.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from ..errors import UsageError
from ..records.network import Outputs
from .calling import Habits, call
from .hooks import hooked
from .scores import find_scores

NO_CLASSES: tuple[Outputs, ...] = ("embedding", "none")
"""Kinds that are no list of classes."""

TOLERANCE = 1e-3
"""Tolerance of a sum of probabilities or a length around 1: half precision is 4e-4 off."""

WIDE = 256
"""From so many values on pooled activations are features and not classes, if no names are given.
Backbones have 512 to 2,560 of them; networks that end in a convolution and a mean have a value for
each class, and those with more classes than this are mostly the published ones, with names."""

FACTORS = (-1.0, 0.0, 30.0, -1e3, 1e6, -1e6)
"""By these the photographs are multiplied where what was seen could be chance: raw scores of a
network that has learnt little lie between 0 and 1 on many pictures, on no such set of them."""


def score_rows(network: nn.Module, images: Tensor) -> Tensor | None:
    """(N, K) scores of N > 1 images; None where the network gives no row for each.

    The images go together, since a network that squeezes its output gives one image a row that
    looks like anything; a network that fails on several is asked one by one.
    """
    output = returned(network, images)
    if output is not None:
        return rows_of(output, len(images))
    alone = [find_scores(returned(network, image[None])) for image in images]
    tables = [one for one in alone if one is not None and one.ndim == 2 and len(one) == 1]
    if len(tables) < len(images) or len({one.shape for one in tables}) > 1:
        return None
    return torch.cat(tables).float()


@torch.no_grad()
def returned(network: nn.Module, images: Tensor) -> object:
    """Return a network's output for images; None where it fails: others may work."""
    try:
        return call(network, images, Habits(seeded=True))
    except Exception:  # anything may happen in somebody's network
        return None


def rows_of(output: object, count: int) -> Tensor | None:
    """(N, K) scores of `count` images in what was returned for them; None where there are none."""
    scores = find_scores(output)
    if scores is None or scores.shape[:1] != (count,):
        return None
    return scores.detach().reshape(count, -1).float()


class Ending:
    """Last steps of a network to its output, seen by hooks on its modules while it runs.

    Attributes:
        ends: the modules that have put out the very tensor that the network then returned.
        means: the spatial means of each map, and whether a bare convolution has put it out.
    """

    def __init__(self) -> None:
        self.ends: list[nn.Module] = []
        self.means: list[tuple[Tensor, bool]] = []
        self.flat: list[tuple[nn.Module, Tensor, int]] = []

    def attached(self, network: nn.Module) -> AbstractContextManager[None]:
        """Hooks on the network and every module in it inside the block, none after it."""
        return hooked(network.named_modules(), after=self.note)

    def note(self, name: str, module: nn.Module, _inputs: object, output: object) -> None:
        """Remember what could have to do with the end."""
        if isinstance(output, Tensor) and output.is_floating_point():
            if output.ndim <= 2:
                self.flat.append((module, output, changes_of(output)))
            elif output.ndim == 4 and output.shape[2:].numel() > 1:
                self.means.append((output.mean((2, 3)), isinstance(module, nn.Conv2d)))
        if not name:
            self.end(output)

    def end(self, output: object) -> None:
        """Find what has put out the scores that are in this output of the network."""
        scores = find_scores(output)
        known = [(module, changes) for module, tensor, changes in self.flat if tensor is scores]
        self.ends = [module for module, changes in known if changes == changes_of(scores)]
        self.flat.clear()

    def is_linear(self) -> bool:
        """Return whether the scores are the unchanged output of a linear map."""
        return any(isinstance(module, nn.Linear) for module in self.ends)

    def is_features(self, rows: Tensor) -> bool:
        """Return whether the scores (N, K) are what a classifier would read.

        They pass a module that is there to do nothing, in the place of a classifier; or they are
        many, and the spatial means of a layer that is no convolution, which could be one.
        """
        if any(isinstance(module, nn.Identity) for module in self.ends):
            return not self.is_linear()
        if rows.shape[1] < WIDE:
            return False
        bare = [
            convolution
            for means, convolution in self.means
            if means.shape == rows.shape and torch.allclose(means.float(), rows, 1e-4, 1e-6)
        ]
        return bool(bare) and not bare[0]


def changes_of(tensor: Tensor | None) -> int:
    """Return how often a tensor was changed in place, which torch hides in inference mode."""
    return -1 if tensor is None or tensor.is_inference() else tensor._version


def find_outputs(network: nn.Module, images: Tensor, named: bool) -> Outputs:
    """Tell what a network puts out by what it makes of photographs.

    Args:
        network: in eval mode, on the CPU.
        images: (N, C, H, W) photographs, normalised, N > 1.
        named: whether there are names for its classes: then it has classes.
    """
    ending = Ending()
    with ending.attached(network):
        rows = score_rows(network, images)
    if rows is None:
        return "none"
    raw: Outputs = "logits" if rows.shape[1] > 1 else "none"
    seen = finite_rows(rows)
    if ending.is_linear() or not len(seen):
        return raw
    if raw == "logits" and stays(are_probabilities, seen, network, images):
        return "probabilities"
    if raw == "logits" and is_one(seen.exp().sum(1)) and bool((seen <= TOLERANCE).all()):
        return "log-probabilities"
    unit_length = raw == "logits" and is_one(seen.norm(dim=1))
    if not named and (unit_length or ending.is_features(rows)):
        return "embedding"
    return "multilabel" if stays(are_shares, seen, network, images) else raw


def stays(
    holds: Callable[[Tensor], bool], seen: Tensor, network: nn.Module, images: Tensor
) -> bool:
    """Return whether a property of the rows also holds for images far from pictures."""
    if not holds(seen):
        return False
    changed = [score_rows(network, images * factor) for factor in FACTORS]
    return all(holds(finite_rows(rows)) for rows in changed if rows is not None)


def finite_rows(rows: Tensor) -> Tensor:
    """The rows without NaN and infinity, but for scores of −∞, which leave a class out."""
    return rows[(rows < torch.inf).all(1)]


def is_one(values: Tensor) -> bool:
    """Return whether all values are 1."""
    return bool(((values - 1).abs() <= TOLERANCE).all())


def are_shares(rows: Tensor) -> bool:
    """Return whether all values are between 0 and 1."""
    return bool(((rows >= 0) & (rows <= 1 + TOLERANCE)).all())


def are_probabilities(rows: Tensor) -> bool:
    """Return whether the numbers of every row are shares of 1."""
    return are_shares(rows) and is_one(rows.sum(1))


# --- what the user says --------------------------------------------------------------------------


def choose_outputs(wanted: str, network: nn.Module, images: Tensor, named: bool) -> Outputs:
    """Return the kind of scores that --outputs means for a network.

    Args:
        wanted: as given to --outputs.
        network, images, named: as of `find_outputs`.

    Raises:
        UsageError: the network puts out something else.
    """
    if wanted == "none":
        return "none"
    found = find_outputs(network, images, named)
    if wanted in ("auto", found):
        return found
    rows = score_rows(network, images)
    if rows is None:
        raise UsageError(
            f"--outputs {wanted}: the network puts out no row of scores for each image; "
            "allowed: auto or none"
        )
    if wanted == "multilabel":
        shares = stays(are_shares, finite_rows(rows), network, images)
        return "multilabel" if shares else "multilabel-logits"
    if wanted == "probabilities" and found != "log-probabilities":
        raise UsageError(
            f"--outputs probabilities: on photographs the rows of this network, which hold "
            f"{float(rows.min()):.3g} to {float(rows.max()):.3g}, do not add up to 1; allowed: "
            "auto, logits (softmax makes them probabilities), multilabel (each by itself) or none"
        )
    if rows.shape[1] == 1:
        raise UsageError(
            f"--outputs {wanted}: the network puts out one score, which competes with no other; "
            "allowed: auto, multilabel or none"
        )
    return "logits" if wanted == "logits" else found
