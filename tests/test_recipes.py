"""Recipes: constants as plain data, found by name, identified by their digest."""

from dataclasses import replace

import pytest

from atlas.errors import UsageError
from atlas.recipes import (
    RECIPES,
    FourierRecipe,
    PixelRecipe,
    digest,
    facet,
    find_recipes,
    negative,
    pyramid_sizes,
    sign_of,
)

ARTICLE = (
    *(28, 29, 30, 32, 34, 36, 38, 40, 42, 44, 46, 48, 50, 52, 55, 58, 61, 64, 67, 70, 74, 78, 82),
    *(86, 90, 94, 99, 104, 109, 114, 120, 126, 132, 139, 146, 153, 161, 169, 177, 186, 195, 205),
    *(215, 226, 237, 249),
)


def octaves() -> FourierRecipe:
    recipe = RECIPES["octaves"]
    assert isinstance(recipe, FourierRecipe)
    return recipe


def pyramid() -> PixelRecipe:
    recipe = RECIPES["pyramid"]
    assert isinstance(recipe, PixelRecipe)
    return recipe


def test_pyramid_has_the_46_sizes_of_the_article() -> None:
    assert pyramid_sizes(pyramid(), 224) == ARTICLE
    assert len(ARTICLE) == 46


def test_smaller_pyramids_end_in_proportion() -> None:
    assert pyramid_sizes(pyramid(), 112) == tuple(size for size in ARTICLE if size <= 124)
    assert pyramid_sizes(pyramid(), 8) == (28,)


def test_recipes_are_found_in_the_order_asked_for() -> None:
    assert [one.name for one in find_recipes(["pyramid", "octaves"])] == ["pyramid", "octaves"]
    assert all(name == recipe.name for name, recipe in RECIPES.items())


def test_unknown_recipe_gets_the_names_and_the_closest() -> None:
    with pytest.raises(UsageError, match=r"^recipe 'octave' is not known; allowed: octaves, .*"):
        find_recipes(["octaves", "octave"])
    with pytest.raises(UsageError, match=r"did you mean pyramid\?$"):
        find_recipes(["pyramide"])


def test_digest_changes_with_every_constant_and_with_nothing_else() -> None:
    assert digest(octaves()) == digest(replace(octaves()))
    changed = [
        replace(octaves(), learning_rate=0.06),
        replace(octaves(), octaves=octaves().octaves[:2]),
        replace(octaves(), seeds=4),
        negative(octaves()),
        facet(octaves(), 1),
        facet(octaves(), 2),
        replace(pyramid(), steps=21),
        *RECIPES.values(),
    ]
    assert len({digest(one) for one in changed}) == len(changed)
    assert len(digest(octaves())) == 64


def test_every_fourier_recipe_ends_at_the_full_size_and_never_shrinks() -> None:
    for recipe in RECIPES.values():
        if isinstance(recipe, FourierRecipe):
            shares = [octave.share for octave in recipe.octaves]
            assert shares == sorted(shares)
            assert shares[-1] == 1


def test_negative_shows_what_a_unit_dislikes() -> None:
    assert sign_of(negative(octaves())) == -1
    assert sign_of(octaves()) == sign_of(pyramid()) == 1
    assert negative(octaves()).name == "octaves-negative"


def test_facets_have_numbered_names() -> None:
    assert facet(octaves(), 2).name == "octaves-facet-2"
    assert facet(octaves(), 2).objective == "facet"
