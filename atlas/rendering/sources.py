"""The kinds of recipes that repeat a published source: their constants.

They optimise pixels: a `PixelRecipe` and an `UpscaleRecipe` size by size, an `AscentRecipe` at one
size.
"""

from abc import abstractmethod
from dataclasses import dataclass

from .kinds import Recipe

SOURCE_SIZE = 224
"""Side in px for which the sources give their sizes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowingRecipe(Recipe):
    """An optimisation of pixels size by size, small to large.

    Attributes:
        first_size: side of the first image.
        growth: factor from one size to the next.
        sizes: number of sizes.
        steps: gradient steps at each size.
        learning_rate: of Adam, fresh at each size.
    """

    first_size: int
    growth: float
    sizes: int
    steps: int
    learning_rate: float

    @abstractmethod
    def whole(self, side: float) -> int:
        """A side in whole pixels, as the source makes it one."""

    def steps_at_full_size(self) -> float:
        """Of all sizes."""
        return self.steps * sum((side / SOURCE_SIZE) ** 2 for side in self.sides(SOURCE_SIZE))

    def sides(self, size: int) -> tuple[int, ...]:
        """s ← growth · s in whole pixels.

        At --size 224 they are the source's own; for a smaller `size` the list ends in proportion.
        """
        sides = [self.first_size]
        while len(sides) < self.sizes:
            sides.append(self.whole(self.growth * sides[-1]))
        limit = max(round(sides[-1] * size / SOURCE_SIZE), self.first_size)
        return tuple(side for side in sides if side <= limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelRecipe(GrowingRecipe):
    """A multi-scale optimisation of pixels with penalties, as the deep-dream article does.

    Without jitter and at the one level of 1 px it is the article's own loop. The first image is
    drawn from U(0, 1).

    Attributes:
        unit_weight: weight of the root mean square of the channel in the objective.
        jitter: each step sees the image rolled by up to so many px along each axis, either way.
        levels: sides in px of the square averages on which derivatives are penalised; the penalty
            is the mean over the levels.
    """

    unit_weight: float
    jitter: int = 0
    levels: tuple[int, ...] = (1,)

    def whole(self, side: float) -> int:
        """The article rounds."""
        return round(side)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpscaleRecipe(GrowingRecipe):
    """Adam on pixels that are scaled up again and again, as fastai's FilterVisualizer does.

    Attributes:
        darkest, brightest: the first image is drawn from the whole values from `darkest` up to and
            without `brightest`, of 256.
        weight_decay: coefficient of Adam's weight decay on the normalised pixels.
        blur: side in px of the box that smooths each scaled-up image; 0 for none.
    """

    darkest: int
    brightest: int
    weight_decay: float
    blur: int = 0

    def whole(self, side: float) -> int:
        """FilterVisualizer cuts."""
        return int(side)


@dataclass(frozen=True, slots=True, kw_only=True)
class AscentRecipe(Recipe):
    """Plain steps along the gradient of normalised pixels, as the notes of cs231n do.

    Attributes:
        steps: gradient steps, all at the full size.
        learning_rate: length of a step in gradients, or in the norm of the image where
            `unit_length`.
        start_std: the first normalised pixels are N(0, start_std).
        unit_length: divide the gradient of each image by its Euclidean norm.
        penalty: λ of the term −λ‖x‖² in the objective, x being the normalised pixels.
        jitter: each step is taken on the image rolled by 0 to so many px along each axis.
        valid: keep the pixels within black and white after each step.
        blur: standard deviation in px of the Gaussian that smooths the image.
        blur_every: steps from one smoothing to the next, the first step included; 0 for none.
    """

    steps: int
    learning_rate: float
    start_std: float
    unit_length: bool = False
    penalty: float = 0.0
    jitter: int = 0
    valid: bool = False
    blur: float = 0.0
    blur_every: int = 0

    def steps_at_full_size(self) -> float:
        """All are."""
        return self.steps
