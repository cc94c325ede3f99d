"""The site holds what it says: nothing breaks out of it, nothing is left in it, and it is the same
wherever it was built."""

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from atlas import pipeline
from atlas.config import Config
from atlas.gallery.write import check_site
from atlas.progress import Progress
from tests.faults.exhaust import Files, read_tree
from tests.faults.networks import HOSTILE
from tests.faults.shim import run

Tiny = Callable[..., Config]
LABELS = ("<script>alert(3)</script>", '"><img onerror=alert(4) src=x>', "../../etc", "‮evil")


def build(config: Config) -> None:
    assert pipeline.build(config, Progress(quiet=True)) == 0


def pages(config: Config) -> dict[str, str]:
    """Every page of the site."""
    return {
        str(path.relative_to(config.site)): path.read_text("utf-8")
        for path in config.site.rglob("*.html")
    }


def test_hostile_names_stay_text_and_every_file_stays_inside(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, score: Callable[..., None]
) -> None:
    model = f"tests.faults.networks:{HOSTILE}"
    config = tiny(model=model, layers=("all",), units=2, recipe=("pyramid",), precision="fp32")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.syspath_prepend(os.getcwd())
    monkeypatch.chdir(work)
    lines = [
        f"'{model}/{HOSTILE}:{channel}' = '''{label}'''" for channel, label in enumerate(LABELS)
    ]
    (work / "labels.toml").write_text("\n".join(lines), "utf-8")
    outside = {path for path in tmp_path.rglob("*") if config.site not in path.parents}
    build(config)
    made = set(tmp_path.rglob("*")) - outside
    assert all(
        path in (config.cache, config.site)
        or config.cache in path.parents
        or config.site in path.parents
        for path in made
    )
    for name, page in pages(config).items():
        assert not re.search(r"<script>alert|<img src=x|<img onerror", page), name
        assert page.count("<script>") == (name == "404.html"), name  # its own, see front.py
        assert 'http-equiv="Content-Security-Policy"' in page, name
        assert re.fullmatch(r"[A-Za-z0-9._~/-]+", name), name
    assert not [name for name, page in pages(config).items() if "49" in re.findall(r">49<", page)]
    assert check_site(config.site) == []
    score(row="site: hostile names", tried=5 + len(LABELS) + 1, survived=5 + len(LABELS) + 1)


def test_a_removed_layer_leaves_no_page_and_a_partial_atlas_says_so(
    tiny: Tiny, score: Callable[..., None]
) -> None:
    plain = {"recipe": ("pyramid",), "precision": "fp32"}
    config = tiny(layers=("relu1", "relu2"), units=2, **plain)
    build(config)
    assert [*config.site.glob("*/relu2/index.html")]
    less = tiny(layers=("relu1",), units=2, **plain)
    build(less)
    assert not [*less.site.glob("*/relu2*")]
    assert check_site(less.site) == []
    build(tiny(layers=("relu1",), units=4, **plain))
    (late,) = less.cache.glob("*/*/renderings/relu1/2-3.*.h5")
    late.unlink()  # as if the run had been killed before this block
    assert pipeline.site(less, Progress(quiet=True)) == 0
    (layer,) = less.site.glob("*/relu1/index.html")
    assert re.search(r"2\s+of\s+4\s+units", re.sub(r"<[^>]*>", "", layer.read_text("utf-8")))
    assert check_site(less.site) == []
    score(row="site: crashes", tried=2, survived=2)


def digest(tree: Files) -> str:
    """One number for names and bytes of a whole site."""
    whole = hashlib.sha256()
    for name in sorted(tree):
        whole.update(f"{name}\0{hashlib.sha256(tree[name]).hexdigest()}\n".encode())
    return whole.hexdigest()


PERTURBED: dict[str, dict[str, str]] = {
    "another folder": {},
    "another locale": {"LC_ALL": "C", "LANG": "C", "TZ": "Asia/Kathmandu"},
    "another hash seed": {"PYTHONHASHSEED": "12345"},
    "folders the other way round": {"FAULT_REVERSED": "1", "PYTHONHASHSEED": "1"},
}


def test_four_perturbed_builds_give_one_site(
    tiny: Tiny, tmp_path: Path, shim: Path, score: Callable[..., None]
) -> None:
    config = tiny(recipe=("pyramid",), precision="fp32")
    build(config)
    digests = {}
    for number, (name, environment) in enumerate(PERTURBED.items()):
        site = tmp_path / ("deep/" * number) / "site"
        words = ["build_atlas.py", "site", "--cache", config.cache, "--site", site, "--quiet"]
        done = run(shim, words, environment)
        assert done.returncode == 0, done.stderr
        digests[name] = digest(read_tree(site))
    wanted = digest(read_tree(config.site))
    assert digests == dict.fromkeys(PERTURBED, wanted)
    score(row="site: determinism", tried=len(PERTURBED), survived=len(PERTURBED))
