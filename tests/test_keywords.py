"""Options as Python values: checked as the typed ones are, and written down as a call again."""

import ast
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

from atlas.config import OPTIONS, Config, configure
from atlas.errors import UsageError
from atlas.keywords import COMMAND_LINE_ONLY, IN_MEMORY, call_line, configure_call

NET = f"{IN_MEMORY}Net"

VALUES: list[tuple[str, object, object]] = [
    ("layers", ["layer1", "layer2"], ("layer1", "layer2")),
    ("layers", "layer1, layer2", ("layer1", "layer2")),
    ("layers", ("parts.a,b",), ("parts.a,b",)),
    ("units", 20, 20),
    ("units", "all", "all"),
    ("units", np.int64(3), 3),
    ("units", torch.tensor(3), 3),
    ("classes", ["tench, Tinca tinca", 207], ("tench, Tinca tinca", "207")),
    ("classes", 5, 5),
    ("classes", [], ()),
    ("mean", [0.485, 0.456, 0.406], (0.485, 0.456, 0.406)),
    ("mean", torch.tensor([0.5, 0.25, 0.125]), (0.5, 0.25, 0.125)),
    ("std", np.array([0.5]), (0.5,)),
    ("std", 0.25, (0.25,)),
    ("negative", True, True),
    ("negative", np.bool_(False), False),
    ("cache", Path("a") / "b", Path("a/b")),
    ("site", "c", Path("c")),
    ("class_names", Path("names.txt"), "names.txt"),
    ("device", torch.device("cuda", 1), "cuda:1"),
    ("batch", "auto", "auto"),
    ("recipe", ["octaves", "pyramid"], ("octaves", "pyramid")),
]


@pytest.mark.parametrize(("key", "value", "held"), VALUES, ids=lambda one: str(one))
def test_python_values_become_settings(key: str, value: object, held: object) -> None:
    assert getattr(configure_call(NET, "photos", {key: value}), key) == held


def test_images_may_be_a_path() -> None:
    assert configure_call(NET, Path("photos"), {}).images == "photos"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"unit": 3}, "atlas.build has no option 'unit'; its options are those of"),
        ({"unit": 3}, "; did you mean units?"),
        ({"input-size": 3}, "did you mean input_size?"),
        ({"units": 0}, "--units must be from 1 to 1000000, got 0"),
        ({"units": 2.5}, "--units takes a whole number, got '2.5'"),
        ({"units": None}, "units takes N|all, got NoneType; leave it out for its default"),
        ({"rank": "meen"}, "did you mean mean?"),
        ({"mean": [0.5, "a"]}, "--mean takes one number, or one a channel"),
        ({"mean": [123.7, 116.3, 103.5]}, "did you mean --mean 0.485"),
        ({"layers": {"layer1"}}, "layers takes WHICH, got set"),
        ({"layers": []}, "--layers is empty"),
        ({"quiet": 1}, "--quiet takes true or false, got '1'"),
        ({"quiet": None}, "quiet takes True or False, got NoneType"),
        ({"weights": "w.pth"}, "weights: the network in memory has its own"),
        ({"engine": "ray"}, "engine is for the command line only: workers of a Ray cluster"),
        ({"shard": (1, 2)}, "shard is for the command line only"),
        ({"site_part": (1, 2)}, "site_part is for the command line only"),
        ({"out": "atlas.h5"}, "out is for the command line only"),
    ],
)
def test_what_is_not_allowed_is_one_line(options: dict[str, object], text: str) -> None:
    with pytest.raises(UsageError) as caught:
        configure_call(NET, "photos", options)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pictures_in_memory_are_refused_with_what_to_do() -> None:
    with pytest.raises(UsageError, match=r"images takes a folder.* got a list; save"):
        configure_call(NET, [np.zeros((8, 8, 3), np.uint8)], {})


def test_weights_go_with_the_name_of_a_model() -> None:
    assert configure_call("googlenet", "photos", {"weights": Path("w.pth")}).weights == "w.pth"


def test_every_option_is_a_keyword_or_refused_by_name() -> None:
    keys = {option.key for option in OPTIONS}
    assert {field.name for field in fields(Config)} == keys
    assert set(COMMAND_LINE_ONLY) <= keys | {"config"}


def test_a_call_means_the_same_as_the_options_typed() -> None:
    typed = {"images": "photos", "layers": "a,b", "units": "3", "mean": ".5,.4,.3", "crop": "0.5"}
    options = {"layers": ["a", "b"], "units": 3, "mean": [0.5, 0.4, 0.3], "crop": 0.5}
    assert configure_call("googlenet", "photos", options) == configure(
        {"model": "googlenet", **typed}
    )


@pytest.mark.parametrize(
    "options",
    [
        {"name": "epoch 3"},
        {"name": "it's", "layers": ["layer[34].*"], "units": "all", "classes": ["a, b"]},
        {"name": "n", "mean": [0.5], "std": 1 / 3, "negative": True, "input_size": 64},
    ],
)
def test_the_call_on_the_pages_means_the_same_when_it_is_made_again(
    options: dict[str, object],
) -> None:
    config = configure_call(NET, "photos", options)
    (call,) = ast.parse(call_line(config)).body
    assert isinstance(call, ast.Expr)
    assert isinstance(call.value, ast.Call)
    assert ast.unparse(call.value.func) == "atlas.build"
    assert [ast.unparse(one) for one in call.value.args] == ["network"]
    given = {str(one.arg): ast.literal_eval(one.value) for one in call.value.keywords}
    assert configure_call(NET, given.pop("images"), given) == config


def test_the_calls_that_guide_and_readme_show_are_allowed() -> None:
    root = Path(__file__).parents[1]
    for name in ("docs/own-model.md", "README.md"):
        code = (root / name).read_text("utf-8").partition("import atlas\n")[2].partition("```")[0]
        call = next(one for one in ast.walk(ast.parse(code)) if isinstance(one, ast.Call))
        images = ast.literal_eval(call.args[1])
        given = {str(one.arg): ast.literal_eval(one.value) for one in call.keywords}
        assert configure_call(NET, images, given).name == "epoch 3"
