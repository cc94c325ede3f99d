"""Numbers and names as the pages print them."""

from math import inf, nan

import pytest

from atlas.gallery.text import largest_crops, number, photo, shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1.0, "1.00"),
        (-0.5, "−0.500"),
        (12.345, "12.3"),
        (1234.5, "1\u2009234"),
        (0.00012, "1.20e−4"),
        (123456.0, "1.23e5"),
        (nan, "–"),
        (-inf, "–"),
        (7000, "7\u2009000"),
    ],
)
def test_numbers_have_three_digits_and_counts_are_whole(value: float, text: str) -> None:
    assert number(value) == text


def test_zero_has_no_decimals() -> None:
    assert number(0.0) == "0"


def test_text_that_turns_around_what_follows_is_made_visible() -> None:
    assert shown("a\u202eb") == "a\\u202eb"


def test_half_a_surrogate_is_made_visible_and_can_be_written() -> None:
    assert shown("x\udc80").encode() == b"x\\udc80"


def test_ordinary_text_of_any_script_passes() -> None:
    assert shown("Augen 目 👀 – «x»") == "Augen 目 👀 – «x»"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("astronaut.png#0,0,512", "astronaut, full frame"),
        ("coffee.png#0,100,400", "coffee, largest square"),
        ("astronaut.png#128,64,256", "astronaut, 256 px square, 128 px down and 64 px across"),
        ("dogs/n01_1.JPEG", "dogs/n01_1.JPEG"),
        ("a#b.png", "a#b.png"),
    ],
)
def test_crops_of_photographs_have_names_for_people(name: str, shown: str) -> None:
    names = ["astronaut.png#0,0,512", "astronaut.png#128,64,256", "coffee.png#0,100,400", "x.png"]
    assert photo(name, largest_crops(names)) == shown
