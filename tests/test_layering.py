"""The rooms of atlas/ and the arrows between them: which room imports from which."""

import ast
from collections.abc import Iterable
from pathlib import Path

import pytest

import atlas

FOLDER = Path(atlas.__file__).parent

VALUES = (
    *("config", "errors", "keywords", "normalisation", "options"),
    *("progress", "records", "shapes"),
)
"""Modules that every room may use: settings and values, which import nothing else of ours."""

ARROWS = {
    "files": (),
    "images": ("files",),
    "models": ("files", "images"),
    "network": ("images", "models"),
    "ranking": ("images", "models", "network"),
    "rendering": ("files", "images", "network", "ranking"),
    "lenses": ("files", "images", "network", "ranking"),
    "attribution": ("files", "images", "network", "ranking"),
    "dictionaries": ("files", "images", "network"),
    "gallery": ("files", "images", "ranking"),
    "cache": ("files", "images"),
    "workers": ("images", "models", "network", "rendering"),
    "stages": (
        *("attribution", "cache", "dictionaries", "files", "gallery", "images", "lenses"),
        *("models", "network", "ranking", "rendering", "workers"),
    ),
    "notebook": (
        *("cache", "gallery", "images", "models", "network", "pipeline", "ranking", "stages"),
    ),
    "pipeline": ("cache", "files", "gallery", "models", "stages"),
}
"""Room → the rooms that it imports from."""


def imports(source: str, module: str = "atlas.room.file") -> set[str]:
    """Dotted names of all that a module imports, also inside functions.

    `from . import a`, `from .a import b` and `from atlas.room import a` give `atlas.room.a`.
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            home = module.split(".")[: -node.level] if node.level else []
            name = ".".join([*home, *filter(None, [node.module])])
            submodules = {f"{name}.{alias.name}" for alias in node.names}
            known = {one for one in submodules if one in NAMES}
            found |= known or {name}
    return found


def dotted(path: Path) -> str:
    """`atlas/network/tapping.py` → `atlas.network.tapping`."""
    return ".".join(path.relative_to(FOLDER.parent).with_suffix("").parts)


NAMES = {dotted(path) for path in FOLDER.rglob("*.py")}
MODULES = {
    dotted(path): imports(path.read_text("utf-8"), dotted(path))
    for path in FOLDER.rglob("*.py")
    if path.name != "__init__.py"
}
"""Module → all that it imports."""


def room_of(module: str) -> str:
    """`atlas.network.tapping` → `network`, `atlas.pipeline` → `pipeline`."""
    return module.split(".")[1] if "." in module else ""


def own(names: Iterable[str]) -> set[str]:
    """The modules of atlas among imported names."""
    return {name for name in names if name in MODULES}


def reached(module: str) -> set[str]:
    """A module and all modules of atlas that importing it imports."""
    found, waiting = set(), {module}
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= own(MODULES[name]) - found
    return found


def importers(package: str) -> set[str]:
    """The modules of atlas that import a package themselves."""
    return {
        name
        for name, imported in MODULES.items()
        if any(other.split(".")[0] == package for other in imported)
    }


def test_imports_are_read_in_every_form() -> None:
    source = """
        import os.path
        from . import folding
        from .. import __version__
        from ..records import Unit
        from atlas.models import load
        def later():
            import atlas.network.tapping
            from atlas.errors import one_line
            from torch.nn import functional
    """
    assert imports("if True:" + source, "atlas.network.network") == {
        *("os.path", "torch.nn", "atlas"),
        *("atlas.network.folding", "atlas.records", "atlas.models.load"),
        *("atlas.network.tapping", "atlas.errors"),
    }


def test_every_folder_is_a_room() -> None:
    rooms = {room_of(name) for name in MODULES} - set(VALUES)
    assert rooms == set(ARROWS)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_module_imports_from_the_rooms_of_its_row_only(module: str) -> None:
    room = room_of(module)
    allowed = {room, *VALUES, *ARROWS.get(room, ())}
    wrong = {other for other in own(MODULES[module]) if room_of(other) not in allowed}
    assert not wrong


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_module_reaches_itself(module: str) -> None:
    assert not any(module in own(MODULES[other]) for other in reached(module))


def test_rooms_themselves_import_nothing() -> None:
    """Else every module would import the rest, before its own imports."""
    for path in sorted(FOLDER.rglob("__init__.py")):
        if path.parent != FOLDER:
            assert not imports(path.read_text("utf-8")), path


def test_package_itself_imports_only_errors_before_it_is_called() -> None:
    tree = ast.parse((FOLDER / "__init__.py").read_text("utf-8"))
    kept = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert own(imports("\n".join(map(ast.unparse, kept)), "atlas.__init__")) == {"atlas.errors"}
    (door,) = (node for node in tree.body if isinstance(node, ast.FunctionDef))
    assert own(imports(ast.unparse(door), "atlas.__init__")) == {"atlas.notebook.build"}


def test_only_the_cache_knows_hdf5() -> None:
    assert importers("h5py") == {"atlas.cache.export_hdf5", "atlas.cache.hdf5"}


def test_only_one_module_knows_scikit_learn() -> None:
    assert importers("sklearn") == {"atlas.dictionaries.find"}


def test_only_one_module_knows_ray() -> None:
    assert importers("ray") == {"atlas.workers.ray"}


def test_only_the_gallery_knows_templates() -> None:
    assert importers("jinja2") == {"atlas.gallery.pages.frame"}


@pytest.mark.parametrize(
    "module", sorted(name for name in MODULES if room_of(name) in ("cache", "gallery"))
)
def test_cache_and_gallery_see_neither_tensors_nor_models(module: str) -> None:
    seen = reached(module)
    assert not seen & (importers("torch") | importers("torchvision"))


def test_nothing_imports_the_command_line() -> None:
    assert not importers("build_atlas")
