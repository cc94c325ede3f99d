"""Names of classes in every form that people keep them in, and what is wrong with others."""

import re
from pathlib import Path

import pytest

from atlas.errors import InputError
from atlas.models.classnames import folder_names, read_class_names

THREE = ("cat", "great dane", "żaba")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("names.txt", "cat\ngreat dane\nżaba\n"),
        ("names", "\ufeffcat\r\n great dane \r\nżaba\r\n\r\n\r\n"),
        ("names.json", '["cat", "great dane", "żaba"]'),
        ("names.JSON", '\ufeff{"1": "great dane", "2": "żaba", "0": "cat"}'),
        ("names.json", '{"0": ["n01", "cat"], "1": ["n02", "great dane"], "2": ["n03", "żaba"]}'),
        ("names.json", '[["n01", "cat"], ["n02", "great  dane"], ["n03", "żaba\\n"]]'),
        ("names.json", '{"great dane": 1, "żaba": 2, "cat": 0}'),
        ("names.csv", "name\ncat\ngreat dane\nżaba\n"),
        ("names.csv", "cat\r\ngreat dane\r\nżaba\r\n\r\n"),
        ("names.csv", "\ufeffindex,name\n2,żaba\n0,cat\n\n1,great dane\n"),
        ("names.csv", 'id;wnid;Name\n0;n01;cat\n1;n02;"great dane"\n2;n03;żaba\n'),
        ("names.csv", "2,żaba\n0,cat\n1,great dane\n"),
        ("names.csv", "cat,0\ngreat dane,1\nżaba,2\n"),
        ("names.tsv", "0\tcat\n1\tgreat dane\n2\tżaba\n"),
    ],
)
def test_names_are_read_in_the_order_of_the_outputs(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, "utf-8", newline="")
    assert read_class_names(tmp_path / name, 3) == THREE


def test_two_classes_may_have_one_name_and_a_name_may_hold_a_comma(tmp_path: Path) -> None:
    path = tmp_path / "names.csv"
    path.write_text('name\ncrane\n"crane, machine"\ncrane\n')
    assert read_class_names(path, 3) == ("crane", "crane, machine", "crane")
    path = tmp_path / "names.txt"
    path.write_text("crane\ncrane, machine\ncrane")
    assert read_class_names(path, 3) == ("crane", "crane, machine", "crane")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("names.txt", b"cat\n\ndog\n", "the name of class 1 is empty"),
        ("names.txt", b"", "the name of class 0 is empty"),
        ("names.txt", "żaba".encode("utf-16"), "codec can't decode"),
        ("names.txt", b"cat\ndog\nfrog\n", "has 3 names, the network 2 classes"),
        ("names.json", b'["cat", ', "Expecting value: line 1"),
        ("names.json", b"[" * 100_000, "recursion"),
        ("names.json", b'["cat"]', "has 1 names, the network 2 classes"),
        ("names.json", b'"cat"', "it holds str, not a list or a table"),
        ("names.json", b'["cat", 5]', "5 is no name"),
        ("names.json", b'["cat", []]', "[] is no name"),
        ("names.json", b'{"0": "cat", "2": "dog"}', "no name for class 1; classes are counted"),
        ("names.json", b'{"1": "cat", "2": "dog"}', "no name for class 0"),
        ("names.json", b'{"0": "cat", "0": "dog"}', "'0' comes twice"),
        ("names.json", b'{"cat": 0, "dog": 0}', "class 0 has two names, 'cat' and 'dog'"),
        ("names.json", b'{"cat": 0, "dog": true}', "'cat' is no number of a class"),
        ("names.json", b'{"cat": "x"}', "'cat' is no number of a class"),
        ("names.csv", b"\n\n", "it holds no rows"),
        (
            "names.csv",
            b"kind,word\na,cat\nb,dog\n",
            "none of its columns kind, word is called name",
        ),
        ("names.csv", b"index,name\n0,cat\n1\n", "a row has 1 columns, too few"),
        ("names.csv", b"index,name\n0,cat\nx,dog\n", "'x' is no number of a class"),
        ("names.csv", b'name\n"cat\n', "unexpected end of data"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=re.escape(reason)) as caught:
        read_class_names(tmp_path / name, 2)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("--class-names: ")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.txt \(No such file or directory\)"):
        read_class_names(tmp_path / "nothing.txt", 2)
    with pytest.raises(InputError, match="Is a directory"):
        read_class_names(tmp_path, 2)


def test_folders_name_the_classes_where_there_is_one_for_each() -> None:
    """Sorted by code points, as torchvision sorts them: capital letters first, 10 before 2."""
    images = ["dog/1.png", "Cat/1.png", "10/x.png", "2/a.png", "dog/2.png"]
    assert folder_names(images, 4) == ("10", "2", "Cat", "dog")
    assert folder_names(images, 3) == ()
    assert folder_names([*images, "1.png"], 4) == ()
    assert folder_names([*images, "dog/more/1.png"], 4) == ()
    assert folder_names(["dog/1.png"], 1) == ()
