"""Addresses of the files of the site."""

from atlas.gallery import addresses


def test_plain_layer_names_are_their_folders() -> None:
    assert addresses.layer_folders(["conv1", "blocks.4.2"]) == {
        "conv1": "conv1",
        "blocks.4.2": "blocks.4.2",
    }


def test_the_default_recipe_has_the_plain_name() -> None:
    recipes = ("octaves", "company")
    assert addresses.picture(225, addresses.recipe_suffix("octaves", recipes)) == "img/225.jpg"
    company = addresses.recipe_suffix("company", recipes)
    assert addresses.picture(225, company) == "img/225.company.jpg"
    assert addresses.thumbnail(225, company) == "img/225.company.t.jpg"


def test_no_recipe_can_take_the_name_of_another_picture() -> None:
    recipes = ("octaves", "t", "p1", "a.t", "../x")
    made = {addresses.picture(5, addresses.recipe_suffix(name, recipes)) for name in recipes}
    other = {addresses.thumbnail(5), addresses.patch(5, 1)}
    assert len(made) == 5
    assert not made & other
    assert all(name.count("/") == 1 for name in made)


def test_tiles_fill_a_sheet_row_by_row() -> None:
    assert addresses.tile(0) == (0, 0, 0)
    assert addresses.tile(9) == (0, 1, 1)
    assert addresses.tile(64) == (1, 0, 0)
