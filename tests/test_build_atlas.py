"""The command line as people use it: exit codes, one line an error, data and messages apart."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import build_atlas
from atlas.config import Config

ROOT = Path(__file__).parents[1]


def run(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "build_atlas.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["build", "--units", "none"], 2, "--units takes a whole number, got 'none'"),
        (["build", "--units", "0"], 2, "--units must be from 1"),
        (["build", "--size", "7"], 2, "--size must be from 32 to 1024, got 7"),
        (["build", "--rank", "meen"], 2, "did you mean mean"),
        (["build", "--recipe", "octave"], 2, "did you mean octaves"),
        (["build", "--seed", "-1"], 2, "--seed must be from 0"),
        (["build", "--batch", "few"], 2, "--batch takes a whole number"),
        (["build", "--device", "tpu"], 2, "torch finds: cpu"),
        (["build", "--mean", "a"], 2, "--mean takes one number, or one a channel"),
        (["build", "--nonsense"], 2, "unrecognized arguments: --nonsense"),
        (["bild"], 2, "invalid choice: 'bild'"),
        (["build", "--images", "/nowhere/at/all"], 3, "/nowhere/at/all"),
        (["build", "--model", "resnet51"], 3, "resnet50"),
        (["build", "--weights", "/nowhere.pth"], 3, "/nowhere.pth"),
        (["build", "--config", "/nowhere.toml"], 3, "/nowhere.toml"),
        (["build", "--lists", "/nowhere.toml"], 3, "--lists: there is no file /nowhere.toml"),
        (["site", "--cache", "/nowhere"], 3, "holds no atlas"),
        (["figure"], 2, "the following arguments are required: UNIT"),
        (["figure", "a:1"], 2, "figure needs --out FILE.png or --out FILE.pdf"),
        (["figure", "a:1", "--out", "a.jpg"], 2, "--out is 'a.jpg'; figure needs"),
        (["figure", "a:1", "--out", "a.png", "--cache", "/nowhere"], 3, "holds no atlas"),
        (["serve", "--site", "/nowhere"], 3, "holds no site"),
    ],
)
def test_user_errors_are_one_line_with_their_exit_code(
    words: list[str],
    code: int,
    text: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert build_atlas.main(words) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert text in said.err
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_unwritable_site_and_cache_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("in the way")
    for option in ("--site", "--cache"):
        assert build_atlas.main(["build", option, "file"]) == 3
        assert "file" in capsys.readouterr().err


def test_help_names_every_command() -> None:
    text = run("--help").stdout
    for command in build_atlas.COMMANDS:
        assert re.search(rf"^    {command} ", text, re.MULTILINE)


@pytest.mark.slow
def test_sigterm_ends_with_143_and_the_way_to_resume(photographs: Path, tmp_path: Path) -> None:
    command = [
        *(sys.executable, str(ROOT / "build_atlas.py"), "build", "--images", str(photographs)),
        *("--model", "tests.helpers:tiny_network", "--input-size", "32", "--recipe", "pyramid"),
        *("--cache", str(tmp_path / "cache"), "--site", str(tmp_path / "site"), "--units", "4"),
    ]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.rglob("ranking/*.h5")) and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.01)  # waits for the state to test, not for luck
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=30)[1]
    assert process.returncode == 143
    assert "units of this run are safe; resume with: python build_atlas.py build" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("started", "line"),
    [
        ("/opt/bin/cnn-atlas", "cnn-atlas build --seed 3 --site pages"),
        ("build_atlas.py", "python build_atlas.py build --seed 3 --site pages"),
    ],
)
def test_way_to_resume_names_the_program_that_was_started(
    started: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [started, "build"])
    assert build_atlas.resume_line(Config(seed=3, site=Path("pages")), "build") == line


def test_way_to_resume_names_the_part_of_the_site(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["build_atlas.py", "build"])
    config = Config(site=Path("atlas-2"), site_part=(2, 3), device="cpu")
    line = "python build_atlas.py build --device cpu --site atlas-2 --site-part 2/3"
    assert build_atlas.resume_line(config, "build") == line


LOST = """
import os, signal, sys, time, weakref
import build_atlas

class Thing:
    pass

build_atlas.AGAIN = 0.1
build_atlas.stop_on_signals()
thing = Thing()
watch = weakref.ref(thing, lambda _: os.kill(os.getpid(), signal.SIGTERM) or [0 for _ in range(9)])
del thing  # the handler runs inside the callback, where its exception is lost
try:
    while True:
        time.sleep(0.01)
except KeyboardInterrupt as stop:
    signal.setitimer(signal.ITIMER_REAL, 0)  # as main does, before Python takes the handler away
    sys.exit(stop.args[0])
"""


def test_a_stop_that_falls_into_a_finaliser_is_said_again() -> None:
    command = [sys.executable, "-c", LOST]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 143
    assert done.stderr == ""


def test_a_stop_on_its_way_is_not_said_again() -> None:
    later = ValueError()
    later.__context__ = KeyboardInterrupt()
    assert build_atlas.is_stopping(later)
    assert build_atlas.is_stopping(KeyboardInterrupt())
    assert not build_atlas.is_stopping(ValueError())
    assert not build_atlas.is_stopping(None)


def test_a_dictionary_may_be_asked_for_several_times() -> None:
    typed = build_atlas.parse(
        ["plan", "--dictionary", "a=nmf:3,b=pca:2", "--dictionary", "c=d.npz"]
    )
    assert typed["dictionary"] == ["a=nmf:3,b=pca:2", "c=d.npz"]
    assert build_atlas.as_text(typed["dictionary"]) == "a=nmf:3,b=pca:2,c=d.npz"
    assert build_atlas.as_text("7") == "7"
