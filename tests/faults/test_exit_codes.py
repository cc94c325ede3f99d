"""Each class of failure has its exit code and says one line; signals are in `test_signals.py`."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import build_atlas
from atlas.config import Config
from atlas.files.lock import lock
from tests.faults.test_before_work import options

Tiny = Callable[..., Config]


@pytest.fixture(autouse=True)
def own_handlers() -> Iterator[None]:
    """The program sets handlers of its own."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def main(config: Config, *more: object, command: str = "build") -> int:
    """Run the command line of the tiny atlas."""
    words = [*map(str, options(config)[2:]), *map(str, more)]
    return build_atlas.main([command, *words])


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The error, after warnings."""
    lines = capsys.readouterr().err.splitlines()
    assert not any("Traceback" in line for line in lines)
    assert [line for line in lines if line.startswith("error: ")] == lines[-1:]
    return lines[-1]


def test_done_is_0_and_damage_is_4(
    tiny: Tiny, capsys: pytest.CaptureFixture[str], score: Callable[..., None]
) -> None:
    config = tiny()
    assert main(config) == 0
    assert main(config, command="check") == 0
    block = next(config.cache.rglob("ranking/*.h5"))
    block.write_bytes(block.read_bytes()[:-1])
    page = next(config.site.glob("*/relu1/index.html"))
    page.unlink()
    assert main(config, command="check") == 4
    assert "findings; a new build repairs" in last_line(capsys)
    assert main(config) == 0
    assert page.exists()
    assert main(config, command="check") == 0
    score(row="storage: damage", tried=2, survived=2)


def test_failed_units_are_1_and_the_site_lists_them(
    tiny: Tiny, capsys: pytest.CaptureFixture[str], score: Callable[..., None]
) -> None:
    config = tiny(model="tests.faults.networks:without_memory")
    more = ("--model", config.model, "--layers", "out")
    assert main(config, *more) == 1
    assert "failed: RuntimeError" in capsys.readouterr().err
    pages = [path.read_text("utf-8") for path in config.site.glob("*/out/*.html")]
    assert any("allocate memory" in page for page in pages)
    assert main(config, *more, "--strict") == 1
    assert "allocate memory" in last_line(capsys)
    score(row="numerics", tried=2, survived=2)


@pytest.mark.parametrize(
    ("more", "code", "says"),
    [
        (["--units", "0"], 2, "--units must be from 1"),
        (["--weights-sha256", "xyz"], 2, "8 to 64 hexadecimal digits"),
        (["--max-pixels", "0"], 2, "--max-pixels must be from 1"),
        (["--images", "/nowhere"], 3, "/nowhere"),
        (["--weights", "/nowhere.pth"], 3, "/nowhere.pth"),
        (["--weights-sha256", "00000000"], 3, "--weights-sha256 expects 00000000"),
        (["--model", "tests.faults.networks:nothing"], 3, "nothing"),
        (["--layers", "relu9"], 2, "relu9"),
    ],
)
def test_usage_is_2_and_unusable_input_is_3(
    tiny: Tiny,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    code: int,
    says: str,
    score: Callable[..., None],
) -> None:
    config = tiny()
    assert main(config, *more) == code
    assert says in last_line(capsys)
    assert not [*config.cache.rglob("*.h5")]
    score(row="storage: before work", tried=1, survived=1)


def test_a_cache_in_use_is_3_and_names_the_holder(
    tiny: Tiny, capsys: pytest.CaptureFixture[str], score: Callable[..., None]
) -> None:
    config = tiny()
    assert main(config, command="rank") == 0
    (key,) = config.cache.glob("*/*/key.json")
    with lock(key.parent / ".lock"):
        assert main(config) == 3
    assert f"is in use by process {os.getpid()} on " in last_line(capsys)
    score(row="storage: two runs", tried=1, survived=1)


def test_a_broken_image_stops_a_strict_run_with_3(
    tiny: Tiny, photographs: Path, capsys: pytest.CaptureFixture[str], score: Callable[..., None]
) -> None:
    (photographs / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    config = tiny()
    assert main(config, "--strict") == 3
    assert "broken.png" in last_line(capsys)
    assert main(config) == 0
    score(row="images: broken", tried=2, survived=2)
