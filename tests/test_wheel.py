"""A wheel, made from a source archive and installed into a folder of its own, works anywhere."""

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from email.parser import Parser
from pathlib import Path

import pytest

import atlas
from atlas.config import Config
from atlas.pipeline import build
from atlas.progress import Progress

ROOT = Path(__file__).parents[1]
FOLDERS = ("atlas", "docs", "templates", "tests")
FILES = ("*.py", "*.md", "*.in", "*.toml", "LICENSE")
SOURCE_ARCHIVE = "import sys, setuptools.build_meta as meta; meta.build_sdist(sys.argv[1])"
NETWORK = """
from torch import nn

def build():
    return nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.ReLU())
"""

pytestmark = pytest.mark.slow


def run(*words: object, cwd: Path, **variables: str) -> str:
    """Run a program that has to succeed: what it printed."""
    done = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass(frozen=True, slots=True)
class Installed:
    """A wheel and the folder that it is installed in."""

    wheel: Path
    folder: Path

    def start(self, *words: object, cwd: Path) -> str:
        """Run `cnn-atlas`."""
        script = self.folder / "bin" / "cnn-atlas"
        return run(sys.executable, script, *words, cwd=cwd, PYTHONPATH=str(self.folder))

    def names(self) -> set[str]:
        """Every file of the wheel."""
        return set(zipfile.ZipFile(self.wheel).namelist())


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """A copy of the tree made into a source archive, that into a wheel; nothing is downloaded."""
    folder = tmp_path_factory.mktemp("wheel")
    source, target = folder / "source", folder / "target"
    for name in FOLDERS:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in [path for pattern in FILES for path in ROOT.glob(pattern)]:
        shutil.copy(path, source)
    run(sys.executable, "-c", SOURCE_ARCHIVE, folder, cwd=source)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    offline = ("--no-index", "--no-deps")
    archive = next(folder.glob("*.tar.gz"))
    run(*pip, "wheel", *offline, "--no-build-isolation", archive, cwd=folder)
    wheel = next(folder.glob("*.whl"))
    run(*pip, "install", *offline, "--target", target, wheel, cwd=folder)
    return Installed(wheel, target)


def files_below(folder: Path) -> dict[str, bytes]:
    """Path → bytes of every file."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_wheel_holds_modules_data_templates_driver_and_nothing_else(installed: Installed) -> None:
    wanted = {path.relative_to(ROOT).as_posix() for path in (ROOT / "atlas").rglob("*.py")}
    wanted |= {f"atlas/data/{path.name}" for path in (ROOT / "atlas" / "data").iterdir()}
    wanted |= {f"atlas/templates/{name}" for name in files_below(ROOT / "templates")}
    found = {name for name in installed.names() if ".dist-info/" not in name}
    assert found == wanted | {"build_atlas.py"}


def test_wheel_has_the_name_version_and_licence_of_the_package(installed: Installed) -> None:
    folder = f"cnn_atlas-{atlas.__version__}.dist-info"
    text = zipfile.ZipFile(installed.wheel).read(f"{folder}/METADATA").decode()
    about = Parser().parsestr(text)
    assert (about["Name"], about["Version"]) == ("cnn-atlas", atlas.__version__)
    assert f"{folder}/licenses/LICENSE" in installed.names()


def test_installed_program_calls_itself_by_its_name(installed: Installed, tmp_path: Path) -> None:
    assert installed.start("--help", cwd=tmp_path).startswith("usage: cnn-atlas [-h] COMMAND")


def test_installed_program_finds_a_network_in_the_current_folder(
    installed: Installed, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(NETWORK)
    words = ("--model", "mine:build", "--input-size", 32, "--layers", "all")
    table = installed.start("layers", *words, cwd=tmp_path)
    rows = [line.split()[:5] for line in table.splitlines()[1:]]
    assert rows == [["0", "Conv2d", "5", "32", "32"], ["1", "ReLU", "5", "32", "32"]]


def test_installed_program_writes_the_site_that_a_clone_writes(
    installed: Installed, tiny: Callable[..., Config], tmp_path: Path
) -> None:
    config, folder = tiny(recipe=("pyramid",)), tmp_path / "empty"
    build(config, Progress(quiet=True))
    folder.mkdir()
    installed.start("site", "--cache", config.cache, cwd=folder)
    assert [path.name for path in folder.iterdir()] == ["site"]
    assert files_below(folder / "site") == files_below(config.site)
    installed.start("check", "--cache", config.cache, cwd=folder)
    loaded = run(
        *(
            sys.executable,
            "-c",
            "from atlas.gallery.pages import frame; print(frame.TEMPLATES)",
        ),
        cwd=folder,
        PYTHONPATH=str(installed.folder),
    )
    assert loaded.strip() == str(installed.folder / "atlas" / "templates")
