"""Titles and sentences of the recipes."""

import pytest

from atlas.gallery import recipes
from atlas.rendering.recipes import RECIPES


def test_a_variant_of_a_recipe_has_its_sentence() -> None:
    assert recipes.recipe_sentence("octaves-half") == recipes.recipe_sentence("octaves") != ""
    assert recipes.recipe_sentence("mine") == ""


@pytest.mark.parametrize(
    ("recipe", "kind"),
    [
        ("filter-visualizer", "filter-visualizer"),
        ("filter-visualizer-blurred", "filter-visualizer"),
        ("filter-visualizer-negative", "negative"),
        ("filter", "filter"),
        ("pyramid+", "pyramid+"),
        ("pyramid+-facet-3", "facet"),
        ("pyramid", "pyramid"),
        ("octaves-facet", "octaves"),
        ("octaves-facet-12", "facet"),
        ("octaves-negative", "negative"),
        ("mine-too", "mine-too"),
        ("class", "class"),
    ],
)
def test_names_with_dashes_and_signs_find_their_entry(recipe: str, kind: str) -> None:
    assert recipes.kind_of(recipe) == kind
    assert recipes.dislikes(recipe) == (kind == "negative")
    assert recipes.recipe_sentence(recipe) == recipes.RECIPES.get(kind, ("", ""))[1]


def test_every_recipe_and_every_variant_has_an_entry() -> None:
    assert set(recipes.RECIPES) == {*RECIPES, "negative", "facet"}


def test_each_kind_of_picture_has_a_title_of_its_own() -> None:
    assert recipes.recipe_title("octaves") == recipes.recipe_title("mine") == "Rendering"
    assert recipes.recipe_title("octaves-negative") == "What it dislikes"
    assert recipes.recipe_title("octaves-facet-2") == "Another facet 2"
    assert recipes.recipe_title("filter-visualizer-facet-2") == "Another facet 2"
    assert recipes.recipe_title("filter-visualizer") == "Scaled up step by step"
    titles = [recipes.recipe_title(name) for name in recipes.RECIPES]
    assert len(set(titles)) == len(titles)
