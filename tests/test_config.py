"""Configuration: every option parses and has limits; TOML and command line merge; identity."""

import shlex
from dataclasses import fields
from pathlib import Path

import pytest

from atlas.config import OPTIONS, Config, command_line, configure, read_toml, source_date_epoch
from atlas.errors import InputError, UsageError
from build_atlas import parse

GOOD: dict[str, tuple[str, object]] = {
    "model": ("timm/resnet18", "timm/resnet18"),
    "name": ("epoch 9", "epoch 9"),
    "weights": ("w.pth", "w.pth"),
    "weights_sha256": ("0123ABCD", "0123abcd"),
    "images": ("photos", "photos"),
    "max_pixels": ("1000", 1000),
    "crop": ("0.875", 0.875),
    "follow_links": ("true", True),
    "layers": ("layer1, blocks.* ,", ("layer1", "blocks.*")),
    "dictionary": ("layer1=nmf:32, a.b=d.npz", ("layer1=nmf:32", "a.b=d.npz")),
    "units": ("all", "all"),
    "rank": ("contrast", "contrast"),
    "recipe": ("octaves,pyramid", ("octaves", "pyramid")),
    "negative": ("true", True),
    "facets": ("2", 2),
    "snapshots": ("true", True),
    "compile": ("true", "on"),
    "classes": ("tabby, 207 ,", ("tabby", "207")),
    "lenses": ("5", 5),
    "target": ("goldfish", "goldfish"),
    "outputs": ("multilabel", "multilabel"),
    "lists": ("lists.toml", "lists.toml"),
    "class_names": ("names.txt", "names.txt"),
    "compare": ("epoch 1", "epoch 1"),
    "observer": ("timm/resnet18", "timm/resnet18"),
    "masks": ("off", "off"),
    "circuits": ("off", "off"),
    "meanings": ("on", "on"),
    "map": ("blocks.5.3,", ("blocks.5.3",)),
    "reference": ("none", "none"),
    "save_reference": ("out.h5", "out.h5"),
    "size": ("128", 128),
    "seed": ("7", 7),
    "device": ("cpu", "cpu"),
    "precision": ("bf16", "bf16"),
    "batch": ("4", 4),
    "shard": (" 2/ 8", (2, 8)),
    "site_part": ("1/3", (1, 3)),
    "engine": ("ray", "ray"),
    "cache": ("a/b", Path("a/b")),
    "site": ("out", Path("out")),
    "live": ("false", "off"),
    "site_url": ("https://example.org/x", "https://example.org/x"),
    "mean": ("0.5, 0.4,0.3", (0.5, 0.4, 0.3)),
    "std": ("0.25", (0.25,)),
    "input_size": ("64", 64),
    "channels": ("1", 1),
    "show_channels": ("3, 2,1", (3, 2, 1)),
    "white": ("10000", 10000.0),
    "out": ("atlas.h5", "atlas.h5"),
    "quiet": ("true", True),
    "verbose": ("TRUE", True),
    "strict": ("false", False),
}


def message(**given: str) -> str:
    with pytest.raises(UsageError) as caught:
        configure(given)
    text = str(caught.value)
    assert "\n" not in text
    return text


def toml(path: Path, text: str) -> str:
    path.write_text(text, "utf-8")
    return str(path)


def test_table_of_options_and_fields_of_config_are_the_same() -> None:
    assert [option.key for option in OPTIONS] == [field.name for field in fields(Config)]
    assert set(GOOD) == {field.name for field in fields(Config)}, "each has a case below"


@pytest.mark.parametrize("key", GOOD)
def test_every_option_parses(key: str) -> None:
    text, value = GOOD[key]
    assert getattr(configure({key: text}), key) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("10", 10), ("0", 0), ("all", "all"), ("207,", ("207",)), ("cat,dog", ("cat", "dog"))],
)
def test_classes_are_a_number_all_or_a_list(text: str, value: object) -> None:
    assert configure({"classes": text}).classes == value


def test_an_atlas_is_called_as_its_model_unless_it_has_a_name() -> None:
    assert Config(model="googlenet").atlas_name == "googlenet"
    assert Config(model="googlenet", name="epoch 9").atlas_name == "epoch 9"


def test_defaults_are_valid_and_nothing_given_means_defaults() -> None:
    assert configure({}) == Config()


@pytest.mark.parametrize(
    ("key", "low", "high"),
    [
        ("units", 1, 1_000_000),
        ("batch", 1, 4096),
        ("facets", 0, 8),
        ("lenses", 0, 1_000_000),
        ("size", 32, 1024),
        ("max_pixels", 1, 2**30),
        ("seed", 0, 2**63 - 1),
        ("input_size", 8, 2048),
    ],
)
def test_numbers_have_limits_that_are_allowed_themselves(key: str, low: int, high: int) -> None:
    for value in (low, high):
        assert getattr(configure({key: str(value)}), key) == value
    name = f"--{key.replace('_', '-')}"
    for value in (high + 1, *([low - 1] if key != "input_size" else [low - 1, -1])):
        assert message(**{key: str(value)}) == f"{name} must be from {low} to {high}, got {value}"
    assert message(**{key: "1.5"}) == f"{name} takes a whole number, got '1.5'"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"model": " "}, "--model is empty"),
        ({"shard": "3/2"}, "--shard must be I/N with 1 <= I <= N, got 3/2"),
        ({"shard": "0/2"}, "--shard must be I/N with 1 <= I <= N, got 0/2"),
        ({"shard": "2"}, "--shard takes I/N, such as 2/8, got '2'"),
        ({"site_part": "0/2"}, "--site-part must be I/N with 1 <= I <= N, got 0/2"),
        ({"site_part": "3/2"}, "--site-part must be I/N with 1 <= I <= N, got 3/2"),
        ({"site_part": "a/b"}, "--site-part takes I/N, such as 2/8, got 'a/b'"),
        ({"engine": "dask"}, "--engine is 'dask'; allowed: local, ray"),
        ({"channels": "65"}, "--channels must be from 1 to 64, got 65"),
        ({"input_size": "128x64x3"}, "--input-size takes a side, or height x width such as 128x64"),
        ({"input_size": "128x7"}, "--input-size must be from 8 to 2048, got 7"),
        ({"input_size": "128x"}, "--input-size takes a whole number, got ''"),
        ({"show_channels": "1,2"}, "--show-channels takes one channel or three, got 2"),
        ({"show_channels": "0,1,2"}, "--show-channels must be from 1 to 64, got 0"),
        ({"show_channels": "6", "channels": "5"}, "--show-channels must be from 1 to 5, got 6"),
        ({"white": "0"}, "--white takes a number above 0, such as 10000, got '0'"),
        ({"white": "nan"}, "--white takes a number above 0"),
        ({"classes": ","}, "--classes takes a number, all, or class names and indices, got ','"),
        ({"images": ""}, "--images is empty"),
        ({"layers": " , "}, "--layers is empty; allowed: blocks, children, all"),
        ({"recipe": ","}, "--recipe names no recipe"),
        ({"recipe": "a,a"}, "--recipe names no recipe, or one twice: 'a,a'"),
        ({"rank": "maximum"}, "--rank is 'maximum'; allowed: mean, max, contrast"),
        ({"rank": "men"}, "did you mean mean?"),
        ({"precision": "half"}, "--precision is 'half'; allowed: auto, fp32, bf16, fp16"),
        ({"mean": "0.5,x"}, "--mean takes one number, or one a channel, got '0.5,x'"),
        ({"crop": "0"}, "--crop takes a number above 0 and at most 1, got '0'"),
        ({"crop": "1.5"}, "--crop takes a number above 0 and at most 1, got '1.5'"),
        ({"crop": "nan"}, "--crop takes a number above 0 and at most 1"),
        ({"crop": "half"}, "--crop takes a number above 0 and at most 1"),
        ({"mean": "nan"}, "--mean takes one number, or one a channel"),
        ({"std": "inf"}, "--std takes one number, or one a channel"),
        ({"std": "0"}, "--std must be above 0"),
        ({"std": "1,1,-1"}, "--std must be above 0"),
        ({"model": "a\0b"}, "--model holds a NUL character"),
        ({"cache": "a\0b"}, "--cache holds a NUL character"),
        ({"site": " "}, "--site is empty; it takes a folder"),
        ({"weights_sha256": "1234567"}, "--weights-sha256 takes 8 to 64 hexadecimal digits"),
        ({"weights_sha256": "not hexadecimal"}, "takes 8 to 64 hexadecimal digits"),
        ({"quiet": "yes"}, "--quiet takes true or false, got 'yes'"),
    ],
)
def test_bad_value_is_refused_in_one_line(given: dict[str, str], text: str) -> None:
    assert text in message(**given)


def test_home_folder_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert configure({"cache": "~/atlas"}).cache == Path("/home/somebody/atlas")


# --- TOML ----------------------------------------------------------------------------------------


def test_command_line_wins_over_file_and_file_over_defaults(tmp_path: Path) -> None:
    path = toml(tmp_path / "atlas.toml", 'size = 96\nseed = 3\nrank = "max"\n')
    config = configure({"seed": "5"}, path)
    assert (config.size, config.seed, config.rank, config.units) == (96, 5, "max", 10)


def test_file_takes_lists_numbers_and_flags(tmp_path: Path) -> None:
    text = 'layers = ["layer1", "layer2"]\nmean = [0.1, 0.2, 0.3]\nquiet = true\nunits = "all"\n'
    config = configure({}, toml(tmp_path / "a.toml", text + "input-size = 64\n"))
    assert config.layers == ("layer1", "layer2")
    assert config.mean == (0.1, 0.2, 0.3)
    assert config.quiet is True
    assert config.units == "all"
    assert config.input_size == 64


@pytest.mark.parametrize("text", ["128x64", "128×64", " 128 X 64 ", "128,64"])
def test_input_size_may_be_height_and_width(text: str) -> None:
    assert configure({"input_size": text}).input_size == (128, 64)


def test_input_of_equal_height_and_width_is_a_square() -> None:
    assert configure({"input_size": "64x64"}) == configure({"input_size": "64"})


@pytest.mark.parametrize("name", ["site-url", "site_url"])
def test_key_may_be_written_with_either_dash(tmp_path: Path, name: str) -> None:
    assert read_toml(toml(tmp_path / "a.toml", f'{name} = "u"')) == {"site_url": "u"}


def test_unknown_key_gets_a_hint(tmp_path: Path) -> None:
    path = toml(tmp_path / "a.toml", 'recipes = "octaves"')
    with pytest.raises(UsageError, match=r"a\.toml: unknown key 'recipes'; did you mean recipe\?"):
        configure({}, path)


@pytest.mark.parametrize("content", [b"size = ", b"\xff\xfe", None])
def test_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"^cannot read configuration .*a\.toml: "):
        configure({}, str(path))


# --- identity ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "time"), [("1700000000", 1_700_000_000), ("", None), ("soon", None), ("²", None)]
)
def test_time_of_reproducible_builds_comes_from_the_environment(
    text: str, time: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", text)
    assert source_date_epoch() == time


def reread(line: str) -> Config:
    """Return the configuration that `build_atlas.py` reads from a command."""
    words = shlex.split(line)
    assert words[:2] == ["python", "build_atlas.py"]
    typed = {key: str(value) for key, value in parse(words[2:]).items()}
    typed.pop("command")
    return configure(typed)


def test_default_command_is_short() -> None:
    assert command_line(Config()) == "python build_atlas.py build"
    assert command_line(Config(seed=3), "rank") == "python build_atlas.py rank --seed 3"


@pytest.mark.parametrize(
    "config",
    [
        Config(),
        Config(model="tests.helpers:tiny_network", images="my photos/it's here", units="all"),
        Config(layers=("features.*", "classifier"), recipe=("octaves", "pyramid"), rank="max"),
        Config(mean=(0.5, 0.25, 1e-7), std=(0.1,), input_size=64, batch=4, precision="bf16"),
        Config(name="-5", crop=0.875, follow_links=True),
        Config(negative=True, snapshots=True, facets=2, size=96, seed=2**62),
        Config(classes=("207",), shard=(2, 3), lenses=0, target="great white shark", name="b 2"),
        Config(classes=("tabby", "tiger cat"), channels=1),
        Config(input_size=(128, 64), channels=5, show_channels=(5, 2, 1), white=1e4),
        Config(classes="all"),
        Config(weights="a b.pth", weights_sha256="0" * 64, reference="none", max_pixels=10**6),
    ],
)
def test_command_line_means_the_same_when_it_is_read_again(config: Config) -> None:
    assert reread(command_line(config)) == config


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (  # torchvision's numbers times 255, as mmcv and detectron2 write them
            {"mean": "123.675,116.28,103.53", "std": "58.395,57.12,57.375"},
            "--mean 0.485,0.456,0.406 --std 0.229,0.224,0.225",
        ),
        ({"mean": "127.5", "std": "127.5"}, "--mean 0.5 --std 0.5"),
        ({"mean": "127.5"}, "--mean 0.5"),
        ({"mean": "102", "std": "1"}, "--mean 0.4 --std 0.003922"),  # 1 / 255
        ({"mean": "102", "std": "0.2"}, "--mean 0.4 --std 0.2"),
        ({"mean": "0.485,0.456,406"}, "--mean 0.485,0.456,0.406"),
        ({"mean": "485,456,406", "std": "229,224,225"}, "--mean 0.485,0.456,0.406 --std 0.229,"),
        ({"std": "58.395"}, "--std 0.229"),
        ({"std": "229"}, "--std 0.229"),
        ({"mean": "0", "std": "255"}, "--mean 0 --std 1"),
    ],
)
def test_numbers_that_no_pixel_can_have_are_refused_with_those_meant(
    given: dict[str, str], meant: str
) -> None:
    text = message(**given)
    assert "pixels are in [0, 1]" in text
    assert f"did you mean {meant}" in text


def test_a_negative_mean_is_refused() -> None:
    assert "--mean -1: pixels are in [0, 1]" in message(mean="-1")


@pytest.mark.parametrize(
    ("mean", "std"), [((0.0,), (1 / 255,)), ((0.0,), (1.0,)), ((0.5,), (0.5,)), ((1.0,), (1.0,))]
)
def test_inputs_from_0_to_255_and_from_minus_1_to_1_can_be_had(
    mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    assert (Config(mean=mean, std=std).mean, Config(mean=mean, std=std).std) == (mean, std)


@pytest.mark.parametrize(
    ("words", "mode"),
    [
        ([], "auto"),
        (["--compile"], "on"),
        (["--compile", "--quiet"], "on"),
        (["--compile", "off"], "off"),
        (["--compile", "false"], "off"),
        (["--compile=auto"], "auto"),
    ],
)
def test_compile_is_a_switch_and_may_still_be_typed_as_a_flag(words: list[str], mode: str) -> None:
    typed = parse(["build", *words])
    given = {key: str(value) for key, value in typed.items() if key != "command"}
    assert configure(given).compile == mode


def test_another_word_for_compile_is_refused_with_those_that_are_allowed() -> None:
    with pytest.raises(UsageError, match=r"--compile is 'fast'; allowed: auto, on, off"):
        configure({"compile": "fast"})
