"""`figure` from the cache: names of units, errors, and a file that is whole or not there."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import pytest
from PIL import Image

from atlas import pipeline
from atlas.config import Config
from atlas.errors import CacheError, InputError, UsageError
from atlas.progress import Progress

pytestmark = pytest.mark.skipif(
    not hasattr(cv2, "FontFace"), reason="needs the letters of OpenCV 5"
)


def draw(config: Config, *names: str) -> int:
    return pipeline.figure(config, Progress(quiet=True), list(names))


@pytest.fixture
def built(tiny: Callable[..., Config], tmp_path: Path) -> Config:
    """An atlas of two of the four units of relu1."""
    config = tiny(layers=("relu1",), out=str(tmp_path / "sheet.png"))
    assert pipeline.build(config, Progress(quiet=True)) == 0
    return config


def shown(config: Config) -> list[int]:
    """Channels that have a page."""
    return sorted(int(path.stem) for path in config.site.glob("*/relu1/[0-9]*.json"))


def test_units_of_the_cache_become_a_sheet_without_their_model(
    built: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.helpers.tiny_network", None)  # it cannot be loaded any more
    first, second = shown(built)
    assert draw(built, f"relu1:{first}, {built.model}/relu1:{second}") == 0
    sheet = Path(built.out).read_bytes()
    assert draw(built, f"relu1:{first}", f"relu1:{second}", f"relu1:{first}") == 0
    assert Path(built.out).read_bytes() == sheet
    with Image.open(built.out) as image:
        assert image.width == 2126
    assert draw(replace(built, out=built.out.replace("png", "PDF")), f"relu1:{first}") == 0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("relu1", "'relu1' is no unit; write layer:channel, such as relu1:"),
        ("relu1:x", "'relu1:x' is no unit"),
        ("relu1:-1", "'relu1:-1' is no unit"),
        ("relu1:²", "is no unit"),
        (":1", "':1' is no unit"),
        ("relu9:1", "layer 'relu9' is not in this atlas of tests.helpers:tiny_network; closest"),
        ("relu1:99", "relu1:99 is not in this atlas, which shows 2 of the 4 channels of relu1; "),
        (" , ", "figure names no unit"),
    ],
)
def test_a_name_that_means_nothing_is_refused_with_what_there_is(
    built: Config, name: str, said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        draw(built, name)
    assert said in str(caught.value)
    assert not Path(built.out).exists()


def test_the_closest_channels_are_named_first(built: Config) -> None:
    first, second = shown(built)
    missing = next(channel for channel in range(4) if channel not in (first, second))
    near = sorted((first, second), key=lambda one: (abs(one - missing), one))
    names = ", ".join(f"relu1:{channel}" for channel in near)
    with pytest.raises(UsageError, match=f"closest: {names}$"):
        draw(built, f"relu1:{missing}")


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("", "figure needs --out FILE"),
        ("sheet.jpg", "--out is 'sheet.jpg'; figure needs --out FILE.png or --out FILE.pdf"),
        ("sheet", "--out is 'sheet'; figure needs"),
    ],
)
def test_a_file_that_is_no_figure_is_refused(built: Config, out: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        draw(replace(built, out=out), "relu1:0")


def test_a_chosen_unit_without_a_picture_is_refused(
    tiny: Callable[..., Config], tmp_path: Path
) -> None:
    config = tiny(layers=("relu1",), out=str(tmp_path / "sheet.png"))
    pipeline.build(config, Progress(quiet=True))
    first, _ = shown(config)
    for path in config.cache.glob("*/*/renderings"):
        path.rename(path.with_name("elsewhere"))
    with pytest.raises(InputError, match=f"relu1:{first} has no picture in the cache; .*build"):
        draw(config, f"relu1:{first}")


def test_no_atlas_and_a_folder_that_cannot_be_written_are_one_line(
    built: Config, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="holds no atlas of"):
        draw(replace(built, name="other"), "relu1:0")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CacheError):
        draw(replace(built, out=str(tmp_path / "file" / "x.png")), f"relu1:{shown(built)[0]}")
