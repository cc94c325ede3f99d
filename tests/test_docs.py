"""The documents agree with the code."""

import ast
import re
from pathlib import Path

import pytest

import build_atlas
from atlas.config import OPTIONS
from atlas.rendering.recipes import RECIPES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
MODULES = sorted((ROOT / "atlas").glob("*.py"))


def test_every_option_is_in_readme() -> None:
    missing = [option.name for option in OPTIONS if f"`--{option.name}" not in README]
    assert missing == []


def test_every_command_is_in_readme() -> None:
    assert [name for name in build_atlas.COMMANDS if f"`{name}`" not in README] == []


def test_every_recipe_is_in_readme() -> None:
    assert [name for name in RECIPES if f"`{name}`" not in README] == []


def test_every_dependency_has_its_reason_in_readme() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    wanted = re.findall(r'^\s*"?([a-z0-9-]+)>=', text, re.MULTILINE)
    wanted += re.findall(r'"([a-z0-9-]+)>=', text)
    assert [name for name in sorted(set(wanted)) if f"| {name} |" not in README] == []


def test_every_make_target_that_readme_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`?make ([a-z-]+)", README)) <= targets


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_every_public_name_has_a_docstring(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    kinds = (ast.FunctionDef, ast.ClassDef)
    bare = [
        node.name
        for node in tree.body
        if isinstance(node, kinds) and not node.name.startswith("_") and not ast.get_docstring(node)
    ]
    assert ast.get_docstring(tree)
    assert bare == []


HOSTED = ("../../deployments/github-pages",)
"""Pages of the repository's host, which shows README.md two folders below them."""


@pytest.mark.parametrize("name", [path.name for path in ROOT.glob("*.md")] + ["docs"])
def test_links_between_documents_lead_somewhere(name: str) -> None:
    paths = [ROOT / name] if name.endswith(".md") else sorted((ROOT / name).glob("*.md"))
    for path in paths:
        for link in re.findall(r"\]\(([^)#:]+)\)", path.read_text("utf-8")):
            assert link in HOSTED or (path.parent / link).exists(), f"{path.name}: {link}"
