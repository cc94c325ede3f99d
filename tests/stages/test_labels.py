"""labels.toml: text, or a list of tags."""

from pathlib import Path

import pytest

from atlas.errors import InputError
from atlas.gallery.labels import tags_of
from atlas.stages.labels import read_labels


def test_a_list_of_tags_is_the_same_as_tags_with_commas(tmp_path: Path) -> None:
    path = tmp_path / "labels.toml"
    path.write_text('"a:1" = ["eyes", "dogs"]\n"a:2" = "eyes, dogs"\n"a:3" = []\n')
    labels = read_labels(path)
    assert labels == {"a:1": "eyes, dogs", "a:2": "eyes, dogs", "a:3": ""}


@pytest.mark.parametrize("value", ["3", '["eyes", 3]', "{eyes = 1}", "true"])
def test_anything_else_is_refused(tmp_path: Path, value: str) -> None:
    path = tmp_path / "labels.toml"
    path.write_text(f'"a:1" = {value}\n')
    with pytest.raises(InputError, match=r"the label of a:1 is .*, neither text in quotes nor"):
        read_labels(path)


@pytest.mark.parametrize(
    ("label", "tags"),
    [
        ("", ()),
        (" , ,", ()),
        ("spiral eyes", ("spiral eyes",)),
        ("eyes, dogs ,eyes,", ("eyes", "dogs")),
        ("two  words\nand more", ("two words and more",)),
        ("<b>a</b>,\u202eb", ("<b>a</b>", "\u202eb")),
    ],
)
def test_tags_are_what_stands_between_commas(label: str, tags: tuple[str, ...]) -> None:
    assert tags_of(label) == tags
