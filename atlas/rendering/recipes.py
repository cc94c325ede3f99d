"""The named recipes: every rendering constant in one table, as plain data.

`RECIPES["octaves"]` is the default. Four families share the engine of `render.py`: a
`FourierRecipe` optimises the spectrum of the image; the others its pixels, as the sources did: a
`PixelRecipe` and an `UpscaleRecipe` size by size, an `AscentRecipe` at one size.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

from ..config import fingerprint
from ..errors import UsageError, did_you_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Octave:
    """One resolution pass: its side as a share of --size, and its gradient steps."""

    share: float
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FourierRecipe:
    """A multi-scale optimisation of Fourier coefficients in decorrelated colour.

    Attributes:
        name: as given to --recipe.
        octaves: coarse to fine; the last share is 1.
        exponent: p of the spectrum scale 1 / max(f, 1/size)^p.
        exponent_step: added to it at each further attempt: units that answer to the finest mesh
            come out with a picture one can see.
        learning_rate: of Adam, fresh at each octave.
        tint_rate: factor on the learning rate of the mean colour; at 1 it moves too little in
            any number of steps for units that want a plain dark or bright field.
        start_std: standard deviation of the first coefficients.
        contrast: divisor of the inverse FFT, so that the sigmoid is not saturated.
        shift: largest shift as a share of the side.
        zoom: largest relative change of scale.
        rotation: largest rotation in degrees.
        objective: "unit", "company" (the unit among its natural neighbours), or "facet" (the unit
            in a picture unlike earlier ones).
        company_weight: weight of the company term.
        diversity: weight of the likeness to earlier pictures, halved at each further attempt.
        parameterization: "spectrum", or "phase" under the magnitudes of natural images.
        sign: −1 to show what the unit dislikes.
        facet: number of the facet, from 1; 0 for the others.
        seeds: renderings tried from noise before the dataset-example start.
    """

    name: str
    octaves: tuple[Octave, ...]
    exponent: float = 1.2
    exponent_step: float = 0.4
    learning_rate: float = 0.05
    tint_rate: float = 3.0
    start_std: float = 0.01
    contrast: float = 4.0
    shift: float = 16 / 224
    zoom: float = 0.1
    rotation: float = 10.0
    objective: Literal["unit", "company", "facet"] = "unit"
    company_weight: float = 0.0
    diversity: float = 0.0
    parameterization: Literal["spectrum", "phase"] = "spectrum"
    sign: int = 1
    facet: int = 0
    seeds: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelRecipe:
    """A multi-scale optimisation of pixels with penalties, as the deep-dream article does.

    Without jitter and at the one level of 1 px it is the article's own loop.

    Attributes:
        name: as given to --recipe.
        first_size: side of the first image, drawn from U(0, 1).
        growth: factor from one size to the next, rounded to whole pixels.
        sizes: number of sizes.
        steps: gradient steps at each size.
        learning_rate: of Adam, fresh at each size.
        unit_weight: weight of the root mean square of the channel in the objective.
        jitter: each step sees the image rolled by up to so many px along each axis, either way.
        levels: sides in px of the square averages on which derivatives are penalised; the penalty
            is the mean over the levels.
        seeds: renderings tried.
    """

    name: str
    first_size: int
    growth: float
    sizes: int
    steps: int
    learning_rate: float
    unit_weight: float
    jitter: int = 0
    levels: tuple[int, ...] = (1,)
    seeds: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class UpscaleRecipe:
    """Adam on pixels that are scaled up again and again, as fastai's FilterVisualizer does.

    Attributes:
        name: as given to --recipe.
        first_size: side of the first image.
        darkest, brightest: the first image is drawn from the whole values from `darkest` up to and
            without `brightest`, of 256.
        growth: factor from one size to the next, cut to whole pixels.
        sizes: number of sizes.
        steps: gradient steps at each size.
        learning_rate: of Adam, fresh at each size.
        weight_decay: of Adam: so many times the normalised pixels are added to the gradient.
        blur: side in px of the box that smooths each scaled-up image; 0 for none.
        seeds: renderings tried.
    """

    name: str
    first_size: int
    darkest: int
    brightest: int
    growth: float
    sizes: int
    steps: int
    learning_rate: float
    weight_decay: float
    blur: int = 0
    seeds: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AscentRecipe:
    """Plain steps along the gradient of normalised pixels, as the notes of cs231n do.

    Attributes:
        name: as given to --recipe.
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
        seeds: renderings tried.
    """

    name: str
    steps: int
    learning_rate: float
    start_std: float
    unit_length: bool = False
    penalty: float = 0.0
    jitter: int = 0
    valid: bool = False
    blur: float = 0.0
    blur_every: int = 0
    seeds: int = 1


Recipe = FourierRecipe | PixelRecipe | UpscaleRecipe | AscentRecipe

SOURCE_SIZE = 224
"""Side in px for which the sources give their sizes."""

HALF_SCHEDULE = (
    Octave(share=0.25, steps=64),
    Octave(share=0.5, steps=48),
    Octave(share=1.0, steps=16),
)

PYRAMID = PixelRecipe(
    name="pyramid",
    first_size=28,
    growth=1.05,
    sizes=46,
    steps=20,
    learning_rate=0.4,
    unit_weight=0.5,
)

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        FourierRecipe(name="octaves", octaves=HALF_SCHEDULE),
        FourierRecipe(
            name="company", octaves=HALF_SCHEDULE, objective="company", company_weight=40.0
        ),
        FourierRecipe(
            name="phase", octaves=HALF_SCHEDULE, parameterization="phase", learning_rate=0.2
        ),
        PYRAMID,
        replace(PYRAMID, name="pyramid+", jitter=8, levels=(1, 2, 4)),
        UpscaleRecipe(
            name="filter-visualizer",
            first_size=56,
            darkest=150,
            brightest=180,
            growth=1.2,
            sizes=12,
            steps=20,
            learning_rate=0.1,
            weight_decay=1e-6,
        ),
        AscentRecipe(name="ascent", steps=128, learning_rate=4.0, start_std=0.1),
        AscentRecipe(
            name="class",
            steps=100,
            learning_rate=25.0,
            start_std=1.0,
            unit_length=True,
            penalty=1e-3,
            jitter=16,
            valid=True,
            blur=0.5,
            blur_every=10,
        ),
    )
}


def find_recipes(names: Sequence[str]) -> tuple[Recipe, ...]:
    """Look recipes up by name.

    Raises:
        UsageError: an unknown name; the message gives the closest one.
    """
    for name in names:
        if name not in RECIPES:
            hint = did_you_mean(name, RECIPES)
            raise UsageError(f"recipe {name!r} is not known; allowed: {', '.join(RECIPES)}{hint}")
    return tuple(RECIPES[name] for name in names)


def sign_of(recipe: Recipe) -> int:
    """−1 for recipes that show what a unit dislikes."""
    return recipe.sign if isinstance(recipe, FourierRecipe) else 1


COMPANY_MINIMUM = 100
"""Distinct images that have to stand behind the statistics before company means anything: with 14
photographs every picture turned into those photographs."""


def negative(recipe: FourierRecipe) -> FourierRecipe:
    """The recipe that shows what a unit dislikes."""
    return replace(recipe, name=f"{recipe.name}-negative", objective="unit", sign=-1)


def facet(recipe: FourierRecipe, number: int) -> FourierRecipe:
    """The recipe of another picture of a unit, unlike the one of `recipe` and earlier facets."""
    name = f"{recipe.name}-facet-{number}"
    return replace(recipe, name=name, objective="facet", diversity=20.0, facet=number)


def digest(recipe: Recipe) -> str:
    """SHA-256 of all constants of a recipe."""
    return fingerprint(asdict(recipe))


def pyramid_sizes(recipe: PixelRecipe | UpscaleRecipe, size: int) -> tuple[int, ...]:
    """The sides of a recipe that grows, coarse to fine: s ← growth · s in whole pixels.

    The article rounds, FilterVisualizer cuts. At --size 224 they are the source's own; for a
    smaller `size` the list ends in proportion.
    """
    whole = round if isinstance(recipe, PixelRecipe) else int
    sides = [recipe.first_size]
    while len(sides) < recipe.sizes:
        sides.append(whole(recipe.growth * sides[-1]))
    limit = max(round(sides[-1] * size / SOURCE_SIZE), recipe.first_size)
    return tuple(side for side in sides if side <= limit)


def picture_side(recipe: Recipe, size: int) -> int:
    """Side in pixels of a finished picture; recipes that grow end near `size`, not on it."""
    if isinstance(recipe, PixelRecipe | UpscaleRecipe):
        return pyramid_sizes(recipe, size)[-1]
    return size


def steps_at_full_size(recipe: Recipe) -> float:
    """About how many gradient steps at the full size a picture costs.

    A step at half the side counts a quarter: cost follows the number of pixels.
    """
    if isinstance(recipe, FourierRecipe):
        return sum(octave.steps * octave.share**2 for octave in recipe.octaves)
    if isinstance(recipe, AscentRecipe):
        return recipe.steps
    sides = pyramid_sizes(recipe, SOURCE_SIZE)
    return recipe.steps * sum((side / SOURCE_SIZE) ** 2 for side in sides)
