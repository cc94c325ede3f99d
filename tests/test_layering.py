"""Imports go downward only: every module of atlas/ has a level and imports from lower ones."""

import ast
from collections.abc import Iterable
from pathlib import Path

import pytest

import atlas

FOLDER = Path(atlas.__file__).parent

LEVELS = (
    # What every other module may use; these may import errors and shapes, and nothing else of ours.
    ("errors", "records", "config", "files", "shapes"),
    # Options as Python values; a network of somebody's program.
    ("keywords", "lending"),
    # What a weights file is, and what it holds.
    ("formats",),
    ("checkpoints",),
    # One noun each, of values, files or tensors.
    (
        *("adam", "allocator", "blocks", "calling", "classnames", "codec", "drafts", "headers"),
        *("imagetensors", "blueprints", "classes", "cluster", "comparing", "layouts", "pixels"),
        *("objectives", "progress", "ranking", "recipes", "redirect", "serve"),
        "surroundings",
        *("transforms", "weights", "addresses", "captions", "sheets", "sitetree", "views"),
    ),
    # What happens between the modules of a run, which axis of an output is what, and its end.
    ("trace",),
    ("axes", "outputs"),
    # A network's table; what is optimised; what a page shows; how a picture is decoded; the cache.
    (
        *(
            "behaviour",
            "probes",
            "folding",
            "layers",
            "tapping",
            "models_timm",
            "models_torchvision",
        ),
        "parameterization",
        "charts",
        "exhibit",
        "heatmaps",
        "sitedata",
        *("pictures", "imagefiles", "bands"),
        "audit",
        "reference",
        "export",
    ),
    # A name made into a network; pages made into a site; which pictures; results kept.
    ("models_own",),
    ("habits", "keys", "models", "frontpages", "modelpages", "result", "squares", "store"),
    # What a network needs, and what may be done with it.
    ("shortcuts",),
    ("network", "classpages", "comparepages", "imagepages", "imageset", "decoders"),
    ("photographs",),
    # What is done with a network: the pass over images, the two engines, scores, timing.
    (
        *("gallery", "activations", "octaves", "pyramid", "ascent", "scoring", "tuning", "images"),
        *("saliency", "fooling", "placing"),
    ),
    ("render", "work", "lenses"),
    ("workers", "measuring"),
    ("tasks",),
    # The stages, in the order of a run, and the one module that knows the order.
    ("rendering", "looking"),
    ("pages", "forecast"),
    ("merging",),
    ("pipeline",),
    # A run from inside somebody's program.
    ("notebook",),
)

LEVEL = {name: level for level, names in enumerate(LEVELS) for name in names}

SITE = (
    *("addresses", "captions", "charts", "classes", "classpages", "comparepages", "comparing"),
    *("exhibit", "frontpages"),
    *("gallery", "heatmaps", "imagepages", "modelpages", "sheets", "sitedata", "sitetree", "views"),
    "result",
)
"""What makes the site, and the result of a call, from records and files alone."""


def imports(source: str) -> set[str]:
    """Dotted names of all that a module imports, also inside functions; its own package is atlas.

    `from . import a` and `from atlas import a` give `atlas.a`, `from .a import b` gives `atlas.a`.
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            home = ".".join(filter(None, ["atlas" if node.level else "", node.module]))
            found |= {f"atlas.{alias.name}" for alias in node.names} if home == "atlas" else {home}
    return found


def own(names: Iterable[str]) -> set[str]:
    """The modules of atlas among imported names: `atlas.store` gives `store`."""
    parts = [name.split(".") for name in names]
    return {part[1] for part in parts if part[0] == "atlas" and part[1:] and part[1] in MODULES}


MODULES = {path.stem: imports(path.read_text("utf-8")) for path in FOLDER.rglob("[!_]*.py")}
"""Module → all that it imports."""


def reached(name: str) -> set[str]:
    """A module and all modules of atlas that importing it imports."""
    found, waiting = set(), {name}
    while waiting:
        module = waiting.pop()
        found.add(module)
        waiting |= own(MODULES[module]) - found
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
        from . import store, __version__
        from .records import Unit
        from atlas import models
        def later():
            import atlas.network
            from atlas.errors import one_line
            from torch.nn import functional
    """
    found = imports("if True:" + source)
    assert own(found) == {"store", "records", "models", "network", "errors"}
    assert found - {f"atlas.{name}" for name in own(found)} == {
        "os.path",
        "torch.nn",
        "atlas.__version__",
    }


def test_every_module_has_one_level() -> None:
    listed = [name for names in LEVELS for name in names]
    assert sorted(listed) == sorted(MODULES)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_module_imports_from_lower_levels_only(name: str) -> None:
    free = {"errors", "shapes"} if LEVEL[name] == 0 else set()
    wrong = {other for other in own(MODULES[name]) - free if LEVEL[other] >= LEVEL[name]}
    assert not wrong


def test_package_itself_imports_only_errors_before_it_is_called() -> None:
    """Else every module would import the rest, before its own imports."""
    tree = ast.parse((FOLDER / "__init__.py").read_text("utf-8"))
    kept = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert own(imports("\n".join(map(ast.unparse, kept)))) == {"errors"}
    (door,) = (node for node in tree.body if isinstance(node, ast.FunctionDef))
    assert own(imports(ast.unparse(door))) == {"notebook"}


def test_only_the_codec_knows_hdf5() -> None:
    assert importers("h5py") == {"codec"}


def test_only_the_cluster_knows_ray() -> None:
    assert importers("ray") == {"cluster"}


def test_only_the_gallery_knows_templates() -> None:
    assert importers("jinja2") == {"gallery"}


@pytest.mark.parametrize("name", ["store", *SITE])
def test_store_and_site_see_neither_tensors_nor_models(name: str) -> None:
    seen = reached(name)
    assert not seen & (importers("torch") | importers("torchvision") | {"models", "network"})


def test_nothing_imports_the_command_line() -> None:
    assert not importers("build_atlas")
