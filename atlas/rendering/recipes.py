"""The named recipes: every rendering constant in one table.

`RECIPES["octaves"]` is the default; what a recipe can do is in `kinds.py`.
"""

from collections.abc import Sequence
from dataclasses import replace

from ..errors import UsageError, did_you_mean
from .kinds import FourierRecipe, Octave, Recipe, Schedule
from .sources import AscentRecipe, PixelRecipe, UpscaleRecipe


def doubling(*steps: int) -> tuple[Octave, ...]:
    """Octaves of so many steps, each twice as wide as the one before; the last is the picture's."""
    last = len(steps) - 1
    return tuple(Octave(share=2.0 ** (place - last), steps=n) for place, n in enumerate(steps))


ALONE = doubling(64, 48, 16)
"""Octaves of a unit, or a direction, without company."""

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
        FourierRecipe(name="octaves", octaves=ALONE),
        FourierRecipe(
            name="company",
            # steps at full size make a picture recognisable, a higher rate makes few of them do
            octaves=doubling(36, 20),
            near=Schedule(octaves=doubling(56, 40, 12), exponent=1.1, learning_rate=0.055),
            exponent=1.3,
            learning_rate=0.1,
            adaptivity=0.75,
            shift=8 / 224,
            zoom=0.05,
            rotation=5.0,
            seeds=4,
            objective="company",
            company_weight=100.0,
        ),
        FourierRecipe(name="phase", octaves=ALONE, parameterization="phase", learning_rate=0.2),
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


MAP = FourierRecipe(name="map", octaves=ALONE, seeds=1, objective="direction")
"""The recipe of the cells of a layer's map."""


def meaning_recipe(number: int) -> Recipe:
    """The recipe of the picture of one meaning of a unit, counted from 1: a kind of `company`."""
    company = RECIPES["company"]
    assert isinstance(company, FourierRecipe)
    return replace(company, name=f"company-meaning-{number}", objective="meaning")


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
