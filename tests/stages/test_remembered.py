"""Pages are made again exactly where something of them, or of what they are made from, changed."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from atlas import pipeline
from atlas.cache.selection import selection_path
from atlas.config import Config
from atlas.errors import CacheError
from atlas.files.names import escape_name
from atlas.gallery import memory as remembering
from atlas.gallery.pages import frame
from atlas.progress import Progress
from atlas.stages import remembered, site, write
from tests.faults.exhaust import Files, read_tree
from tests.test_pipeline import Tiny, build, only_model

Made = Callable[..., Config]


@pytest.fixture
def made(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    """An atlas that was built, by an empty folder for the files of people."""
    (tmp_path / "people").mkdir()
    for module in (site, write):
        monkeypatch.setattr(module, "LABEL_FOLDERS", (tmp_path / "people",))

    def make(**changes: object) -> Config:
        config = tiny(**{"layers": ("relu1", "relu2"), "recipe": ("pyramid",), **changes})
        assert build(config) == 0
        return config

    return make


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of atlases whose pages are made while the block runs."""
    names: list[str] = []
    full = site.write_site
    with monkeypatch.context() as patch:
        patch.setattr(
            site,
            "write_site",
            lambda atlas, *a, **k: names.append(atlas.key) or full(atlas, *a, **k),
        )
        yield names


def rewrite(config: Config, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Run `site`; returns whether any pages of a model had to be made."""
    with counted(monkeypatch) as names:
        assert pipeline.site(config, Progress(quiet=True)) == 0
    return bool(names)


def from_nothing(config: Config, tmp_path: Path) -> Files:
    """The site that the cache makes in an empty folder, without any memory."""
    fresh, cache = tmp_path / "fresh", tmp_path / "forgetful"
    shutil.copytree(config.cache, cache)
    for path in cache.rglob(remembered.MEMORY):
        path.unlink()
    changed = Config(cache=cache, site=fresh, site_url=config.site_url, quiet=True)
    assert pipeline.site(changed, Progress(quiet=True)) == 0
    files = read_tree(fresh)
    shutil.rmtree(fresh)
    shutil.rmtree(cache)
    return files


def memory_of(config: Config) -> Path:
    (path,) = config.cache.rglob(remembered.MEMORY)
    return path


def test_unchanged_atlas_is_not_made_again(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = made()
    before = {path: path.stat().st_mtime_ns for path in config.site.rglob("*")}
    with counted(monkeypatch) as names:
        assert build(config) == 0
    assert not names
    assert not rewrite(config, monkeypatch)
    assert {path: path.stat().st_mtime_ns for path in config.site.rglob("*")} == before
    assert read_tree(config.site) == from_nothing(config, tmp_path)


def test_unchanged_atlas_is_told_without_opening_a_block(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = made()

    def refuse(path: Path) -> None:
        raise AssertionError(f"{path} was opened")

    monkeypatch.setattr("atlas.cache.audit.open_block", refuse)
    monkeypatch.setattr("atlas.cache.opened.open_block", refuse)
    assert pipeline.site(config, Progress(quiet=True)) == 0


def delete(path: Path) -> None:
    path.unlink()


def append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b" ")


def change_one_byte_and_set_the_time_back(path: Path) -> None:
    before, data = path.stat(), bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def put_a_link_in_its_place(path: Path) -> None:
    copy = path.parents[3] / "copy"
    path.rename(copy)
    path.symlink_to(copy)


SPOILT = (delete, append, change_one_byte_and_set_the_time_back, put_a_link_in_its_place)


def test_file_that_was_deleted_or_changed_by_hand_is_made_again(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = made(units=4)
    before = read_tree(config.site)
    picture = next(only_model(config).glob("relu1/img/*.jpg")).relative_to(only_model(config))
    for file in ("relu1/3.html", str(picture), "model.json"):
        for spoil in SPOILT if file == "relu1/3.html" else SPOILT[:2]:
            spoil(only_model(config) / file)
            assert rewrite(config, monkeypatch), (file, spoil)
            assert read_tree(config.site) == before
            assert not (only_model(config) / file).is_symlink()
    assert not rewrite(config, monkeypatch)


def test_page_above_the_models_is_made_again_alone(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = made()
    before = read_tree(config.site)
    (config.site / "index.html").write_text("by hand")
    (config.site / "assets" / "atlas.css").unlink()
    assert not rewrite(config, monkeypatch)
    assert read_tree(config.site) == before


def test_files_that_were_only_touched_are_read_once_and_not_made_again(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = made()
    for path in only_model(config).rglob("*"):
        os.utime(path, ns=(1, 1))
    read: list[str] = []
    plain = remembering.has_digits
    monkeypatch.setattr(
        remembering, "has_digits", lambda path, told: read.append(path) or plain(path, told)
    )
    assert not rewrite(config, monkeypatch)
    assert len(read) == len([path for path in only_model(config).rglob("*") if path.is_file()])
    read.clear()
    assert not rewrite(config, monkeypatch)
    assert not read


def test_label_is_shown_as_soon_as_it_is_written_and_not_longer(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = made(units=4)
    plain, page = read_tree(config.site), only_model(config) / "relu1" / "3.html"
    labels = tmp_path / "people" / "labels.toml"
    labels.write_text(f'"{config.model}/relu1:3" = "left edges"\n')
    assert rewrite(config, monkeypatch)
    assert "left edges" in page.read_text()
    assert read_tree(config.site) == from_nothing(config, tmp_path)
    labels.unlink()
    assert rewrite(config, monkeypatch)
    assert read_tree(config.site) == plain


def test_unknown_label_is_told_at_every_build(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "people" / "labels.toml").write_text('"nothing/relu1:3" = "edges"\n')
    config = made()
    for _ in range(2):
        assert "there is no unit nothing/relu1:3" in capsys.readouterr().err
        pipeline.site(config, Progress(quiet=True))


def test_changed_template_changes_the_pages(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(frame.TEMPLATES, tmp_path / "templates")
    monkeypatch.setattr(frame, "TEMPLATES", tmp_path / "templates")
    monkeypatch.setattr(remembered, "PROGRAM", (*remembered.PROGRAM[:1], tmp_path / "templates"))
    config = made()
    assert not rewrite(config, monkeypatch)
    unit = tmp_path / "templates" / "unit.html"
    unit.write_text(unit.read_text().replace("{% endblock %}", "Another word.{% endblock %}", 1))
    assert rewrite(config, monkeypatch)
    page = next(only_model(config).glob("relu1/*[0-9].html"))
    assert "Another word." in page.read_text()


def test_public_address_counts(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = made()
    told = Config(
        cache=config.cache, site=config.site, site_url="https://atlas.example", quiet=True
    )
    assert rewrite(told, monkeypatch)
    assert read_tree(told.site) == from_nothing(told, tmp_path)
    assert not rewrite(told, monkeypatch)


def test_new_layer_and_removed_one_give_the_site_of_a_full_build(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = made(layers=("relu1",))
    for layers in (("relu1", "relu2"), ("relu2",)):
        with counted(monkeypatch) as names:
            config = made(layers=layers)
        assert names
        assert read_tree(config.site) == from_nothing(config, tmp_path)


def test_second_model_changes_the_home_page_and_no_page_of_the_first(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = made()
    second = made(name="second")
    with counted(monkeypatch) as names:
        assert build(first) == 0
    assert not names
    assert not rewrite(second, monkeypatch)
    assert read_tree(first.site) == from_nothing(first, tmp_path)


def test_atlas_that_compares_itself_follows_the_other(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(name="first", units=2)
    second = made(name="second", compare="first")
    assert not rewrite(second, monkeypatch)
    with counted(monkeypatch) as names:
        made(name="first", units=4)
    assert len(names) == 2
    assert not rewrite(second, monkeypatch)
    assert read_tree(second.site) == from_nothing(second, tmp_path)


def test_two_sites_of_one_cache_are_both_right(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = made()
    other = Config(cache=config.cache, site=tmp_path / "other", quiet=True)
    assert rewrite(other, monkeypatch)
    assert read_tree(other.site) == read_tree(config.site)
    assert not rewrite(config, monkeypatch)  # the bytes are those that the other one remembers


def flip(data: bytes) -> bytes:
    return data[:200] + bytes([data[200] ^ 1]) + data[201:]


@pytest.mark.parametrize(
    "damage",
    [lambda data: b"", lambda data: data[:-5], flip, lambda data: b"{}\n", lambda data: b"\xff\0"],
    ids=["empty", "cut short", "one bit", "of another kind", "no text"],
)
def test_damaged_memory_is_no_memory(
    made: Made, damage: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = made()
    before, path = read_tree(config.site), memory_of(config)
    path.write_bytes(damage(path.read_bytes()))
    assert rewrite(config, monkeypatch)
    assert read_tree(config.site) == before
    assert not rewrite(config, monkeypatch)


def test_memory_that_cannot_be_written_is_done_without(
    made: Made, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(path: Path, data: bytes) -> None:
        raise CacheError("the disk is full")

    monkeypatch.setattr(remembering, "atomic_write", fail)
    config = made()
    assert not list(config.cache.rglob(remembered.MEMORY))
    assert rewrite(config, monkeypatch)
    assert "full" not in capsys.readouterr().err


def test_block_that_was_damaged_while_pages_were_made_is_not_remembered(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = made()
    whole = read_tree(config.site)
    (block,) = config.cache.glob("*/*/renderings/relu1/*.h5")
    data = block.read_bytes()
    memory_of(config).unlink()
    block.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert rewrite(config, monkeypatch)
    assert read_tree(config.site) != whole
    block.write_bytes(data)
    assert rewrite(config, monkeypatch)
    assert read_tree(config.site) == whole


def test_block_added_while_pages_are_made_counts_as_new(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = made(units=4)
    (late,) = config.cache.glob("*/*/renderings/relu2/*.h5")
    aside, full = tmp_path / "aside.h5", site.write_site
    late.rename(aside)

    def write_and_add(*arguments: object, **given: object) -> object:
        report = full(*arguments, **given)  # type: ignore[arg-type]
        aside.rename(late)
        return report

    with monkeypatch.context() as patch:
        patch.setattr(site, "write_site", write_and_add)
        assert pipeline.site(config, Progress(quiet=True)) == 0
    assert late.exists()
    assert rewrite(config, monkeypatch)
    assert read_tree(config.site) == from_nothing(config, tmp_path)


def test_memory_is_beside_the_results_and_the_site_knows_no_time(made: Made) -> None:
    config = made()
    selection = json.loads(selection_path(config.cache, config.model).read_bytes())
    assert memory_of(config).parent == config.cache / escape_name(config.model) / selection["key"]
    published = b"".join(read_tree(config.site).values())
    some = next(only_model(config).glob("relu1/img/*.jpg"))
    assert str(some.stat().st_mtime_ns).encode() not in published
    assert pipeline.check(config, Progress(quiet=True)) == 0
