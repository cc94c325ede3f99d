"""Titles and sentences of the recipes."""

import re

RECIPES = {
    "octaves": (
        "Rendering",
        "an image optimised to excite this unit as much as it can, with nothing natural to hold it",
    ),
    "company": (
        "In natural company",
        "optimised together with everything that goes with this unit on natural images, in its "
        "layer and in those before it; so natural images guided it",
    ),
    "phase": (
        "Under natural magnitudes",
        "only the phases are optimised; how strong each frequency is was taken from natural images",
    ),
    "pyramid": (
        "Deep-dream pyramid",
        "the recipe of the deep-dream article: growing sizes, pixels optimised directly",
    ),
    "pyramid+": (
        "Deep-dream pyramid, shaken",
        "the deep-dream pyramid with a small random shift at each step and edges held back at "
        "three scales",
    ),
    "filter-visualizer": (
        "Scaled up step by step",
        "the recipe of fastai’s FilterVisualizer: light noise, optimised and scaled up twelve "
        "times, with nothing to hold fine detail back",
    ),
    "ascent": (
        "Plain gradient ascent",
        "the bare formula of the cs231n notes, steps along the gradient from noise: it excites "
        "the unit by fine patterns that mean little to people",
    ),
    "class": (
        "Class visualization",
        "the cs231n recipe for class scores: unit steps, small shifts, now and then a slight blur",
    ),
    "negative": ("What it dislikes", "an image optimised to excite this unit as little as it can"),
    "facet": (
        "Another facet",
        "an image that excites this unit too, held unlike the pictures before it",
    ),
}
"""Title and sentence of each recipe, and of the variants that --negative and --facets add."""

VARIANT = re.compile(r".+-(?:negative|facet-(?P<facet>\d+))")
"""Names that --negative and --facets give."""


def dislikes(recipe: str) -> bool:
    """Return whether a recipe shows what a unit dislikes."""
    return kind_of(recipe) == "negative"


def kind_of(recipe: str) -> str:
    """The entry of RECIPES that a recipe belongs to: `octaves-facet-2` is a facet.

    A name with a dash may be a recipe of its own (`filter-visualizer`) or a variant of one
    (`filter-visualizer-blurred`); one that belongs to no entry is returned as it is.
    """
    variant = VARIANT.fullmatch(recipe)
    if recipe not in RECIPES and variant:
        return "facet" if variant["facet"] else "negative"
    name = recipe
    while name not in RECIPES and "-" in name:
        name = name.rpartition("-")[0]
    return name if name in RECIPES else recipe


def recipe_title(recipe: str) -> str:
    """Return the title over a picture: `What it dislikes`, `Another facet 2`."""
    variant = VARIANT.fullmatch(recipe)
    number = f" {variant['facet']}" if variant and variant["facet"] else ""
    return RECIPES.get(kind_of(recipe), RECIPES["octaves"])[0] + number


def recipe_sentence(recipe: str) -> str:
    """Return the description of a recipe; "" for one that has no sentence."""
    return RECIPES.get(kind_of(recipe), ("", ""))[1]


def class_recipe_sentence(recipe: str) -> str:
    """Return the description of a recipe for a class; "" for one that has no sentence."""
    return recipe_sentence(recipe).replace("excite this unit", "raise the score of this class")
