"""Derivatives of all that lies behind a layer in one direction, in one pass: `Derivatives`."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from ..network.intervening import Interventions, Scene

forward: Any = forward_ad
"""Its functions have no types."""

STEP = 2.0**-5
"""Length of the step where there is no forward derivative: the error of the difference of two steps
goes with its square, that of rounding with its inverse."""


class Derivatives:
    """Forward-mode differentiation, and a small step where an operation has no forward derivative.

    One pass forward gives the derivatives of all classes and of all units behind a layer in one
    direction; one pass back would give those of one class in all directions.

    Attributes:
        stepping: layers behind which an operation has no forward derivative.
    """

    def __init__(self, run: Interventions) -> None:
        self.run = run
        self.stepping: set[str] = set()
        with warnings.catch_warnings(), forward.dual_level():
            # The first one loads what torch itself calls deprecated, each version in its own way.
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            forward.make_dual(torch.zeros(1), torch.zeros(1))

    @torch.no_grad()
    def along(
        self, scene: Scene, layer: str, tangent: Tensor, wanted: Sequence[str]
    ) -> Mapping[str, Tensor]:
        """Layer → (1, C, H, W) derivative of its maps where those of a layer move along a tangent.

        Args:
            scene: the image.
            layer: that moves.
            tangent: (1, C, H, W), the direction.
            wanted: layers behind it.
        """
        if layer not in self.stepping:
            found = self.forwarded(scene, layer, tangent, wanted)
            if found is not None:
                return found
            self.stepping.add(layer)
        return self.stepped(scene, layer, tangent, wanted)

    def forwarded(
        self, scene: Scene, layer: str, tangent: Tensor, wanted: Sequence[str]
    ) -> dict[str, Tensor] | None:
        """The same by forward-mode differentiation; None where that is not possible."""
        with forward.dual_level():
            moving = {layer: forward.make_dual(scene.maps[layer].clone(), tangent)}
            try:
                maps = self.run.rerun(scene, layer, wanted, moving)
            except (torch.OutOfMemoryError, MemoryError):
                raise
            except Exception:  # operations refuse by any of them
                return None
            found = {name: forward.unpack_dual(one).tangent for name, one in maps.items()}
        if any(one is None for one in found.values()):
            return None  # something on the way forgets the derivative
        return {name: one.clone() for name, one in found.items()}

    def stepped(
        self, scene: Scene, layer: str, tangent: Tensor, wanted: Sequence[str]
    ) -> dict[str, Tensor]:
        """The same by the difference of two small steps."""
        steps = torch.cat([tangent, -tangent]) * STEP
        maps = self.run.rerun(scene, layer, wanted, {layer: scene.maps[layer] + steps})
        return {name: (one[:1] - one[1:]) / (2 * STEP) for name, one in maps.items()}
