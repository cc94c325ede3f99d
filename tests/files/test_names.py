"""Safe names: there and back, distinct, short enough."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas.files import names


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ("inception4a", "inception4a"),
        ("blocks.4.2", "blocks.4.2"),
        ("Mixed_5b-x", "Mixed_5b-x"),
        ("timm/resnet18", "timm~2Fresnet18"),
        ("a:b", "a~3Ab"),
        ("a~b", "a~7Eb"),
        ("a b", "a~20b"),
        ("é", "~C3~A9"),
        ("_x", "~5Fx"),
        (".hidden", "~2Ehidden"),
        (".", "~2E"),
        ("..", "~2E~2E"),
        ("../../etc", "~2E.~2F..~2Fetc"),
        ("x.", "x~2E"),
        ("vendor", "~76endor"),
        ("Assets", "~41ssets"),
        ("index.html", "~69ndex.html"),
        ("con", "~63on"),
        ("COM1.layer", "~43OM1.layer"),
        ("console", "console"),
        ("conv1", "conv1"),
        ("", "~"),
        ("<script>", "~3Cscript~3E"),
        ("\u202e", "~E2~80~AE"),
        ("a\0b", "a~00b"),
    ],
)
def test_escaped_names_by_hand(name, escaped):
    assert names.escape_name(name) == escaped
    assert names.unescape_name(escaped) == name


@given(st.text(max_size=60))
def test_escaping_is_reversible_and_plain(name):
    escaped = names.escape_name(name)
    assert escaped.isascii()
    assert set(escaped) <= set(map(chr, names.PLAIN)) | {"~"}
    assert 1 <= len(escaped) <= 200
    assert escaped[0] not in "._"
    assert not escaped.endswith(".")
    if "~~" not in escaped:
        assert names.unescape_name(escaped) == name


@given(st.text(alphabet=st.characters(codec=None), max_size=8))
def test_surrogates_of_undecodable_names_are_escaped_too(name):
    assert names.unescape_name(names.escape_name(name)) == name


def test_long_names_are_cut_and_stay_distinct():
    one, two = names.escape_name("é" * 300 + "1"), names.escape_name("é" * 300 + "2")
    assert one != two
    assert len(one) <= 200
    assert one[-18:-16] == "~~"
    with pytest.raises(ValueError, match="turned back"):
        names.unescape_name(one)


@pytest.mark.parametrize("bad", ["", "~~", "a~2", "a~c2", "a b", "a/b", "~2e"])
def test_what_is_no_escaped_name_is_refused(bad):
    with pytest.raises(ValueError, match="turned back"):
        names.unescape_name(bad)


def test_names_that_differ_in_case_get_distinct_folders():
    texts = ["conv", "Conv", "CONV", "conv", "other"]
    assert names.folder_names(texts) == {
        "conv": "conv",
        "Conv": "Conv~c2",
        "CONV": "CONV~c3",
        "other": "other",
    }


@given(st.lists(st.text(alphabet="aA~c2", max_size=5)))
def test_no_two_folders_are_equal_when_case_is_ignored(texts):
    folders = names.folder_names(texts)
    assert list(folders) == list(dict.fromkeys(texts))
    assert len({folder.lower() for folder in folders.values()}) == len(folders)


@pytest.mark.parametrize("name", ["classes", "compare", "images"])
def test_no_layer_takes_a_folder_of_the_site(name: str) -> None:
    assert names.escape_name(name) == f"~{ord(name[0]):02X}{name[1:]}"


def test_control_characters_of_a_path_are_escaped_in_messages():
    assert names.shown(Path("a/b c")) == "a/b c"
    assert names.shown("a\nb\udcff") == "a\\nb\\udcff"
