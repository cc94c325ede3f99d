"""The recipes of a run: which it uses, for which layers, and what identifies their pictures."""

from collections.abc import Sequence

from ..errors import InputError
from ..files.digests import fingerprint
from ..records.network import CLASSES, LayerInfo
from ..rendering.kinds import COMPANY_MINIMUM, Recipe, digest
from ..rendering.recipes import find_recipes
from .choose import companions, distinct_images
from .run import Work

RENDERING_VERSION = 5
"""Raised whenever the same settings would give other pictures or scores."""


def choose_recipes(work: Work) -> tuple[Recipe, ...]:
    """The recipes of --recipe, --negative and --facets; the first is the default picture.

    Raises:
        InputError: `company` was asked for and the statistics come from too few images.
    """
    distinct = distinct_images(work)
    enough = distinct >= COMPANY_MINIMUM
    names: list[str] = []
    for name in work.config.recipe:
        names += (["octaves", "company"] if enough else ["octaves"]) if name == "auto" else [name]
    recipes = find_recipes(tuple(dict.fromkeys(names)))
    for recipe in recipes:
        if recipe.needs_company and not enough:
            raise InputError(
                f"recipe {recipe.name} needs {COMPANY_MINIMUM} distinct images behind the "
                f"statistics, there are {distinct}; give more --images, or a --reference"
            )
    base = find_base(recipes)
    if base is None:
        return recipes
    return (*recipes, *base.variants(work.config.negative, work.config.facets))


def find_base(recipes: Sequence[Recipe]) -> Recipe | None:
    """The recipe of which --negative and --facets are variants."""
    return next((one for one in recipes if one.has_variants), None)


def recipes_for(layer: LayerInfo, recipes: Sequence[Recipe]) -> tuple[Recipe, ...]:
    """The recipes of a layer's units: all, but for classes those that mean something.

    Where nothing is left, `octaves`.
    """
    if layer.name != CLASSES:
        return tuple(recipes)
    return tuple(one for one in recipes if one.suits_classes) or find_recipes(("octaves",))


def rendering_fingerprint(work: Work, recipe: Recipe) -> str:
    """Identifies what decides a rendering beside the key."""
    company = [layer.name for layer in companions(work)] if recipe.needs_company else []
    return fingerprint(
        {
            "rendering": RENDERING_VERSION,
            "recipe": digest(recipe),
            "size": work.config.size,
            "seed": work.config.seed,
            "snapshots": work.config.snapshots,
            "reference": "" if work.reference is None else work.reference.sha256,
            "company": company,
        }
    )
