"""lists.toml as people write it, and every way to write it wrong."""

from pathlib import Path

import pytest

from atlas.errors import InputError
from atlas.gallery.lists import UnitList
from atlas.stages.lists import all_lists, read_lists, slug_of

GOOD = """
[[list]]
title = "Edges,  then eyes"
text = "One paragraph.

Another one."
[list.units]
"blocks.1.1:3" = "An edge."
"net/blocks.5.3:7" = ""

[[list]]
title = "Names only"
slug = "n"
units = ["a:1", "b:2"]
"""
UNITS = 'units = ["a:1"]'


def write(folder: Path, text: str) -> Path:
    path = folder / "lists.toml"
    path.write_text(text, "utf-8")
    return path


def test_a_list_has_a_title_a_text_and_units_in_order(tmp_path: Path) -> None:
    text = GOOD.replace('"One', '"""One').replace('one."', 'one."""')
    assert read_lists(write(tmp_path, text)) == [
        UnitList(
            slug="edges-then-eyes",
            title="Edges, then eyes",
            text="One paragraph.\n\nAnother one.",
            units=(("blocks.1.1:3", "An edge."), ("net/blocks.5.3:7", "")),
        ),
        UnitList(slug="n", title="Names only", text="", units=(("a:1", ""), ("b:2", ""))),
    ]


def test_no_file_and_an_empty_one_hold_no_list(tmp_path: Path) -> None:
    assert all_lists([tmp_path], "") == ()
    write(tmp_path, "\ufeff")  # as an editor of Windows saves nothing
    assert all_lists([tmp_path], "") == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[list", "cannot read"),
        ("[[list]]\ntitle = 'A'\nblocks.5.3:1 = 'x'", "cannot read"),
        ("list = 3", "write [[list]] above each list"),
        ("[list]\ntitle = 'A'", "write [[list]] above each list"),
        ("[[lists]]\ntitle = 'A'", "unknown key 'lists'; allowed: list; did you mean list?"),
        (f"[[list]]\n{UNITS}", "list 1 has no title"),
        (f"[[list]]\ntitle = '  '\n{UNITS}", "list 1 has no title"),
        (f"[[list]]\ntitle = 3\n{UNITS}", "list 1: title is 3, not text in quotes"),
        (f"[[list]]\ntitle = 'A'\ntext = ['b']\n{UNITS}", "text is ['b'], not text in quotes"),
        (f"[[list]]\ntitle = 'A'\ntxt = 'b'\n{UNITS}", "unknown key 'txt'"),
        ("[[list]]\ntitle = 'A'", "list 1, 'A' names no unit"),
        ("[[list]]\ntitle = 'A'\nunits = {}", "list 1, 'A' names no unit"),
        ("[[list]]\ntitle = 'A'\nunits = []", "list 1, 'A' names no unit"),
        ("[[list]]\ntitle = 'A'\nunits = 'a:1'", "units is 'a:1', not lines like"),
        ("[[list]]\ntitle = 'A'\nunits = [1]", "units is [1], not lines like"),
        ("[[list]]\ntitle = 'A'\n[list.units]\nblocks.5 = 'x'", "write both in quotes"),
        ("[[list]]\ntitle = 'A'\n[list.units]\n'a:1' = 4", "a:1 is 4, not a sentence"),
        (f"[[list]]\ntitle = 'A'\nslug = 'B/../c'\n{UNITS}", "slug is 'B/../c'; allowed"),
        (f"[[list]]\ntitle = 'A'\n{UNITS}\n" * 2, "the same title, 'A'"),
        (
            f"[[list]]\ntitle = 'A b'\n{UNITS}\n[[list]]\ntitle = 'a-B!'\n{UNITS}",
            "the lists 'A b' and 'a-B!' have the same address, 'a-b'",
        ),
    ],
)
def test_a_broken_file_is_refused_in_one_line_that_names_it(
    tmp_path: Path, text: str, said: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(InputError) as caught:
        read_lists(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_long_wrong_value_is_shortened_in_the_message(tmp_path: Path) -> None:
    path = write(tmp_path, f"[[list]]\ntitle = 'A'\nunits = '{'long ' * 9000}'")
    with pytest.raises(InputError) as caught:
        read_lists(path)
    assert len(str(caught.value)) < 300 + len(str(path))


def test_lists_here_win_over_those_beside_the_program_and_a_file_over_both(tmp_path: Path) -> None:
    folders = [tmp_path / "program", tmp_path / "here"]
    for folder, title in zip(folders, ("Two words", "Two  words"), strict=True):
        folder.mkdir()
        write(folder, f"[[list]]\ntitle = '{title}'\nunits = ['{folder.name}:1']\n")
    write(folders[0], (folders[0] / "lists.toml").read_text() + f"[[list]]\ntitle = 'B'\n{UNITS}")
    found = {one.slug: one.units[0][0] for one in all_lists(folders, "")}
    assert found == {"two-words": "here:1", "b": "a:1"}
    other = tmp_path / "mine.toml"
    other.write_text(f"[[list]]\ntitle = 'C'\n{UNITS}")
    assert [one.slug for one in all_lists(folders, str(other))] == ["c"]


def test_a_file_that_was_asked_for_has_to_be_there(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(InputError, match="--lists: there is no file"):
            all_lists([], str(path))


@pytest.mark.parametrize(
    ("title", "slug"),
    [
        ("Dogs' heads & co.", "dogs-heads-co"),
        ("Größe über alles", "groe-uber-alles"),
        ("CON", "con-list"),
        ("Images", "images-list"),
        ("x" * 200, "x" * 60),
    ],
)
def test_an_address_is_made_of_the_letters_of_a_title(title: str, slug: str) -> None:
    assert slug_of(title) == slug


def test_titles_without_latin_letters_have_addresses_of_their_own() -> None:
    found = {slug_of(title) for title in ("眼睛", "狗", "…")}
    assert len(found) == 3
    assert all(slug.startswith("list-") for slug in found)
