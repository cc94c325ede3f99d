"""Recipes: constants as plain data, found by name, identified by their digest."""

from dataclasses import asdict, replace

import pytest

from atlas.errors import UsageError
from atlas.records.network import LayerInfo
from atlas.rendering.kinds import FourierRecipe, digest, facet, negative
from atlas.rendering.recipes import RECIPES, find_recipes
from atlas.rendering.sources import AscentRecipe, PixelRecipe, UpscaleRecipe
from atlas.workers.schedule import unit_cost
from tests.helpers import layer_info

ARTICLE = (
    *(28, 29, 30, 32, 34, 36, 38, 40, 42, 44, 46, 48, 50, 52, 55, 58, 61, 64, 67, 70, 74, 78, 82),
    *(86, 90, 94, 99, 104, 109, 114, 120, 126, 132, 139, 146, 153, 161, 169, 177, 186, 195, 205),
    *(215, 226, 237, 249),
)


FILTER_VISUALIZER = (56, 67, 80, 96, 115, 138, 165, 198, 237, 284, 340, 408)


def octaves() -> FourierRecipe:
    recipe = RECIPES["octaves"]
    assert isinstance(recipe, FourierRecipe)
    return recipe


def pyramid() -> PixelRecipe:
    recipe = RECIPES["pyramid"]
    assert isinstance(recipe, PixelRecipe)
    return recipe


def visualizer() -> UpscaleRecipe:
    recipe = RECIPES["filter-visualizer"]
    assert isinstance(recipe, UpscaleRecipe)
    return recipe


def ascent(name: str = "ascent") -> AscentRecipe:
    recipe = RECIPES[name]
    assert isinstance(recipe, AscentRecipe)
    return recipe


def test_pyramid_has_the_46_sizes_of_the_article() -> None:
    assert pyramid().sides(224) == ARTICLE
    assert len(ARTICLE) == 46


def test_smaller_pyramids_end_in_proportion() -> None:
    assert pyramid().sides(112) == tuple(size for size in ARTICLE if size <= 124)
    assert pyramid().sides(8) == (28,)


def test_filter_visualizer_has_the_12_sizes_of_its_source_cut_to_whole_pixels() -> None:
    assert visualizer().sides(224) == visualizer().sides(448) == FILTER_VISUALIZER
    assert visualizer().sides(112) == tuple(one for one in FILTER_VISUALIZER if one <= 204)
    assert visualizer().sides(8) == (56,)


def test_side_of_a_finished_picture() -> None:
    sides = {name: RECIPES[name].sides(224)[-1] for name in ("octaves", "ascent")}
    assert sides == {"octaves": 224, "ascent": 224}
    assert visualizer().sides(224)[-1] == FILTER_VISUALIZER[-1] == 408


def test_pyramid_plus_is_the_pyramid_with_jitter_and_levels_only() -> None:
    plus = RECIPES["pyramid+"]
    assert plus == replace(pyramid(), name="pyramid+", jitter=8, levels=(1, 2, 4))
    assert (pyramid().jitter, pyramid().levels) == (0, (1,))


def test_class_recipe_has_the_constants_of_cs231n() -> None:
    one = ascent("class")
    assert (one.steps, one.learning_rate, one.penalty, one.start_std) == (100, 25, 1e-3, 1)
    assert (one.jitter, one.blur, one.blur_every) == (16, 0.5, 10)
    assert one.unit_length
    assert one.valid


def test_ascent_is_its_formula_and_nothing_else() -> None:
    rest = {"name", "steps", "learning_rate", "start_std", "seeds"}
    given = asdict(ascent())
    assert not any(value for key, value in given.items() if key not in rest)


def test_cost_counts_steps_by_their_share_of_the_pixels() -> None:
    assert octaves().steps_at_full_size() == 64 / 16 + 48 / 4 + 16
    assert ascent("class").steps_at_full_size() == 100
    pixels = sum(side * side for side in FILTER_VISUALIZER)
    assert visualizer().steps_at_full_size() == pytest.approx(20 * pixels / 224**2)
    assert pyramid().steps_at_full_size() == pytest.approx(
        20 * sum(side * side for side in ARTICLE) / 224**2
    )
    assert all(one.steps_at_full_size() > 10 for one in RECIPES.values())


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
        replace(octaves(), learning_rate=0.07),
        replace(octaves(), octaves=octaves().octaves[:2]),
        replace(octaves(), seeds=4),
        negative(octaves()),
        facet(octaves(), 1),
        facet(octaves(), 2),
        replace(pyramid(), steps=21),
        replace(pyramid(), jitter=1),
        replace(pyramid(), levels=(1, 2)),
        replace(visualizer(), blur=3),
        replace(ascent(), penalty=0.1),
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
    assert negative(octaves()).sign == -1
    assert {one.sign for one in RECIPES.values()} == {1}
    assert negative(octaves()).name == "octaves-negative"


def test_facets_have_numbered_names() -> None:
    assert facet(octaves(), 2).name == "octaves-facet-2"
    assert facet(octaves(), 2).objective == "facet"


def test_variants_are_the_negative_and_so_many_facets() -> None:
    base = octaves()
    assert base.variants(True, 2) == (negative(base), facet(base, 1), facet(base, 2))
    assert base.variants(False, 0) == pyramid().variants(True, 2) == ()
    having = {name for name, recipe in RECIPES.items() if recipe.has_variants}
    assert having == {"octaves", "company", "phase"}


def test_facets_wait_for_the_waves_before_them() -> None:
    base = octaves()
    order = [one.wave for one in (base, RECIPES["company"], facet(base, 1), facet(base, 2))]
    assert order == [0, 0, 1, 2]


def test_company_reads_the_layers_up_to_its_own_and_others_only_their_own() -> None:
    for name, recipe in RECIPES.items():
        read = [*recipe.layers_read("b", ["a", "b", "c"])]
        assert read == (["a", "b"] if name == "company" else ["b"])
        assert recipe.needs_company == (name == "company")


def test_recipes_say_what_they_can_start_from_and_what_they_need() -> None:
    every = [*RECIPES.values(), negative(octaves()), facet(octaves(), 1)]
    assert {one.name for one in every if one.takes_example} == {
        *("octaves", "company", "octaves-facet-1")
    }
    assert {one.name for one in every if one.needs_magnitude} == {"phase"}
    assert {one.name for one in every if not one.suits_classes} == {
        *("company", "octaves-negative", "octaves-facet-1")
    }
    assert {one.name for one in every if one.repeated} == {
        *("pyramid", "pyramid+", "filter-visualizer", "ascent", "class")
    }


def test_single_passes_cost_together_what_the_recipe_costs() -> None:
    for recipe in (octaves(), facet(octaves(), 1)):
        passes = recipe.single_passes()
        assert [len(one.octaves) for one in passes] == [1, 1, 1]
        assert {one.objective for one in passes} == {"unit"}
        assert sum(one.steps_at_full_size() for one in passes) == recipe.steps_at_full_size()
    assert pyramid().single_passes() == ()


# --- schedules of company ------------------------------------------------------------------------


def company() -> FourierRecipe:
    recipe = RECIPES["company"]
    assert isinstance(recipe, FourierRecipe)
    return recipe


def layer(height: int, width: int, stride: int, receptive_field: int) -> LayerInfo:
    square = layer_info("a", 8, height, receptive_field)
    return replace(square, width=width, stride=stride)


@pytest.mark.parametrize(
    ("seen", "near"),
    [
        (layer(56, 56, 4, 112), True),
        (layer(56, 56, 4, 113), False),
        (layer(56, 56, 4, 0), False),
        (layer(28, 56, 4, 112), True),
        (layer(56, 28, 4, 112), True),
        (layer(28, 28, 4, 112), False),
        (layer(112, 112, 2, 3), True),
    ],
    ids=["half", "more", "unknown", "wide", "tall", "small", "first"],
)
def test_units_that_see_at_most_half_of_the_picture_are_coarse_first(
    seen: LayerInfo, near: bool
) -> None:
    suited = company().suited_to(seen)
    steps = [one.steps for one in suited.octaves]
    assert steps == ([56, 40, 12] if near else [36, 20])
    rate, exponent = (0.055, 1.1) if near else (0.1, 1.3)
    same = {"learning_rate": rate, "exponent": exponent}
    assert suited == replace(company(), near=None, octaves=suited.octaves, **same)
    assert suited.suited_to(seen) == suited


def test_recipes_without_other_octaves_suit_every_layer_as_they_are() -> None:
    for recipe in RECIPES.values():
        if recipe.name != "company":
            assert recipe.suited_to(layer(112, 112, 2, 3)) == recipe


def test_both_schedules_of_company_decide_its_digest() -> None:
    changed = [
        company(),
        replace(company(), near=None),
        replace(company(), adaptivity=0.5),
        replace(company(), octaves=octaves().octaves),
        replace(company(), company_weight=50.0),
    ]
    assert len({digest(one) for one in changed}) == 5


@pytest.mark.parametrize("receptive_field", [3, 112, 500])
def test_company_costs_at_most_twice_what_octaves_cost(receptive_field: int) -> None:
    seen = layer(56, 56, 4, receptive_field)
    assert unit_cost(company(), seen) <= 2 * unit_cost(octaves(), seen)


def test_single_passes_of_company_keep_their_company() -> None:
    for seen in (layer(56, 56, 4, 3), layer(7, 7, 32, 500)):
        suited = company().suited_to(seen)
        passes = suited.single_passes()
        assert {one.objective for one in passes} == {"company"}
        assert sum(one.steps_at_full_size() for one in passes) == suited.steps_at_full_size()
