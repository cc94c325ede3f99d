"""The cache: what goes in comes out, and nothing committed is ever lost."""

import errno
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from atlas.cache import blocks
from atlas.cache.audit import check
from atlas.cache.folder import key_folders
from atlas.cache.merge import merge_store
from atlas.cache.opened import OPEN_FILES, OpenBlocks
from atlas.cache.store import Store
from atlas.errors import CacheError
from atlas.files.digests import sha256_bytes
from atlas.records.attribution import NO_MASKS
from atlas.records.units import Unit
from tests.store_records import (
    FINGERPRINT,
    KEY,
    LAYER,
    MEANINGS,
    MODEL,
    READOUT,
    RUN,
    SAMPLES,
    circuit,
    damage_flip,
    fill,
    layer_map,
    lens,
    map_cell,
    masks,
    rendering,
    reopen,
    responses,
    same,
    stats,
    tree,
)


def test_masks_come_back_bit_for_bit_with_pixels_and_without(filled):
    with Store.read(filled) as opened:
        known = opened.masks("conv", FINGERPRINT)
        assert sorted(known) == [0, 2, 3]
        for channel, examples in ((2, 9), (0, 3), (3, 0)):
            whole, unit = masks(channel, examples=examples), Unit(layer="conv", channel=channel)
            assert same(opened.unit_masks(unit, FINGERPRINT), whole)
            assert same(known[channel], replace(whole, masks=NO_MASKS))
        assert opened.masks("conv", "0" * 64) == opened.masks("head", FINGERPRINT) == {}
        with pytest.raises(CacheError, match="masks of conv:1"):
            opened.unit_masks(Unit(layer="conv", channel=1), FINGERPRINT)


def test_circuits_come_back_bit_for_bit(filled):
    with Store.read(filled) as opened:
        known = opened.circuits("conv", FINGERPRINT)
        assert sorted(known) == [2, 3]
        assert same(known[2], circuit(2))
        assert same(known[3], circuit(3, links=0))
        assert opened.circuits("conv", "0" * 64) == opened.circuits("head", FINGERPRINT) == {}


def test_circuits_without_any_link_come_back(tmp_path):
    with Store.open(tmp_path, "tiny", KEY) as opened:
        opened.write_circuits("conv", FINGERPRINT, [circuit(0, links=0)])
        assert same(opened.circuits("conv", FINGERPRINT), {0: circuit(0, links=0)})


def test_meanings_come_back_bit_for_bit(filled):
    with Store.read(filled) as opened:
        assert opened.meanings("conv", FINGERPRINT) == {one.channel: one for one in MEANINGS}
        assert opened.meanings("conv", "0" * 64) == opened.meanings("head", FINGERPRINT) == {}


def test_cells_of_a_map_come_back_bit_for_bit_and_join_those_that_are_there(filled):
    with reopen(filled) as opened:
        opened.write_map("conv", FINGERPRINT, layer_map(3))
        known = opened.layer_map("conv", FINGERPRINT)
        assert [one.cell for one in known.cells] == [0, 2, 3]
        assert (known.rows, known.columns, known.positions, known.total) == (2, 3, 40, 4)
        assert known.reason == "no cläss"
        assert not known.complete
        for one in known.cells:
            assert same(one, replace(map_cell(one.cell), image=one.image))
            picture = opened.map_picture("conv", FINGERPRINT, one.cell)
            assert same(picture, map_cell(one.cell).image)
        assert opened.layer_map("head", FINGERPRINT) is opened.layer_map("conv", "0" * 64) is None
        with pytest.raises(CacheError, match="cell 5 of the map of conv"):
            opened.map_picture("conv", FINGERPRINT, 5)


def test_responses_come_back_bit_for_bit_and_new_ones_replace_them(filled):
    with reopen(filled) as opened:
        assert same(opened.responses("conv", FINGERPRINT), responses())
        assert opened.responses("conv", "0" * 64) is opened.responses("head", FINGERPRINT) is None
        opened.write_responses(responses(seed=1), "0" * 64)
        assert opened.responses("conv", FINGERPRINT) is None
        assert same(opened.responses("conv", "0" * 64), responses(seed=1))
    assert len(list((filled / "tuning").iterdir())) == 1


@pytest.mark.parametrize("way", [reopen, Store.read])
def test_everything_comes_back_bit_for_bit(filled, way):
    with way(filled) as opened:
        model, layers = opened.read_network()
        assert same(model, MODEL)
        assert same(layers, (LAYER,))
        assert same(opened.read_samples(), SAMPLES)
        assert same(opened.read_stats("conv"), stats("conv"))
        assert same(opened.read_stats("head"), stats("head"))
        squares = [opened.sample(index) for index in range(4)]
        assert squares == [b"jpeg 0", b"", b"jpeg 2", b"jpeg 3"]
        for channel in (0, 2, 3):
            unit = Unit(layer="conv", channel=channel)
            assert same(opened.rendering(unit, FINGERPRINT), rendering(channel))
        assert opened.quarantined == []
        assert opened.key == KEY


def test_results_can_be_read_by_the_store_that_wrote_them(tmp_path):
    with Store.open(tmp_path, "tiny", KEY) as opened:
        assert not opened.has("network")
        assert not opened.has_stats("conv")
        assert not opened.has_square(0)
        fill(opened)
        assert opened.has("network")
        assert opened.has("samples")
        assert opened.has_stats("conv")
        assert not opened.has_stats("other")
        assert opened.has_square(3)
        assert not opened.has_square(4)
        assert same(opened.read_stats("head"), stats("head"))
        assert list(opened.finished(FINGERPRINT)["conv"]) == [2, 0, 3]


def test_finished_units_come_without_pixels(filled):
    opened = Store.read(filled)
    found = opened.finished(FINGERPRINT)
    assert list(found) == ["conv"]
    empty = {
        "image": np.zeros((3, 0, 0), np.float16),
        "snapshots": np.zeros((0, 3, 0, 0), np.float16),
    }
    for channel, got in found["conv"].items():
        assert same(got, replace(rendering(channel), **empty))
    assert opened.finished("0" * 64) == {}
    opened.close()


def test_more_blocks_than_stay_open_are_all_read(tmp_path):
    count = OPEN_FILES + 3
    with Store.open(tmp_path, "tiny", KEY) as opened:
        for channel in range(count):
            opened.write_renderings(channel, channel, FINGERPRINT, [rendering(channel)], RUN)
        for channel in [*range(count), *range(count)]:
            unit = Unit(layer="conv", channel=channel)
            assert same(opened.rendering(unit, FINGERPRINT), rendering(channel))
            assert len(opened.opened.files) <= OPEN_FILES


def test_hostile_layer_names_stay_inside_the_folder_and_come_back(tmp_path):
    names = ["../../etc", "a/b", "<script>", ".", "conv", "Conv", "x" * 400, "é\n"]
    with Store.open(tmp_path / "cache", "../evil", KEY) as opened:
        for name in names:
            opened.write_stats(stats(name))
            opened.write_renderings(0, 0, FINGERPRINT, [rendering(0, layer=name)], RUN)
    assert os.listdir(tmp_path) == ["cache"]
    assert os.listdir(tmp_path / "cache") == ["~2E.~2Fevil"]
    with Store.read(opened.folder) as opened:
        assert sorted(opened.finished(FINGERPRINT)) == sorted(names)
        assert all(same(opened.read_stats(name), stats(name)) for name in names)


def test_pictures_know_recipes_by_name(filled):
    with Store.read(filled) as opened:
        pictures = opened.pictures({"octaves": FINGERPRINT})
        unit = Unit(layer="conv", channel=3)
        assert same(pictures.rendering(unit, "octaves"), rendering(3))
        assert pictures.sample(2) == b"jpeg 2"


def test_what_is_not_there_is_named(filled):
    with Store.read(filled) as opened:
        for read, what in [
            (lambda: opened.read_stats("x"), "statistics of layer 'x'"),
            (lambda: opened.sample(4), "square of sample image 4"),
            (lambda: opened.rendering(Unit(layer="conv", channel=1), FINGERPRINT), "conv:1"),
        ]:
            with pytest.raises(CacheError, match=what):
                read()


def test_a_square_that_many_units_start_from_is_read_once(filled, monkeypatch):
    opened_files, file = [], OpenBlocks.file

    def noted(self, path):
        opened_files.append(path.name)
        return file(self, path)

    monkeypatch.setattr(OpenBlocks, "file", noted)
    with Store.read(filled) as opened:
        squares = [opened.sample(2) for _ in range(5)]
        assert squares == [b"jpeg 2"] * 5
        assert len(opened_files) == 1
        assert opened.sample(0) == b"jpeg 0"
        assert len(opened_files) == 2


def test_a_square_that_was_replaced_is_read_again(filled):
    with reopen(filled) as opened:
        assert opened.sample(3) == b"jpeg 3"
        opened.write_squares(3, [b"another"])
        assert opened.sample(3) == b"another"


def test_finished_channels_are_known_without_opening_a_block(filled, monkeypatch):
    monkeypatch.setattr(OpenBlocks, "file", None)
    with Store.read(filled) as opened:
        assert opened.finished_channels(FINGERPRINT) == {"conv": {2, 0, 3}}
        assert opened.finished_channels("0" * 64) == {}


def test_a_later_network_takes_the_place_of_an_earlier_one(filled):
    with reopen(filled) as opened:
        opened.write_network(replace(MODEL, title="Other"), [])
        assert opened.read_network() == (replace(MODEL, title="Other"), ())
    assert len(list(filled.glob("network.*"))) == 1
    with Store.read(filled) as opened:
        assert opened.read_network()[0].title == "Other"


def test_of_two_blocks_with_one_unit_the_greater_name_counts(tmp_path):
    one, two = rendering(0, seconds=1.0), rendering(0, seconds=1.0, attempts=2)
    by_name = {}
    with Store.open(tmp_path, "tiny", KEY) as opened:
        for made in (one, two):
            opened.write_renderings(0, 0, FINGERPRINT, [made], RUN)
            by_name[max(map(str, opened.index.blocks), key=os.path.getmtime)] = made
        held = {path.name for path in opened.index.blocks}
    assert len(held) == 2
    winner = max(held)
    with h5py.File(next(tmp_path.rglob(winner)), "r") as file:
        attempts = int(file["attempts"][0])
    for way in (reopen, Store.read):
        with way(opened.folder) as again:
            assert again.finished(FINGERPRINT)["conv"][0].attempts == attempts
            assert again.rendering(one.unit, FINGERPRINT).attempts == attempts


def test_seconds_and_run_do_not_change_a_block(filled):
    before = tree(filled)
    with reopen(filled) as opened:
        slower = replace(rendering(3), seconds=99.0)
        opened.write_renderings(2, 2, FINGERPRINT, [slower], replace(RUN, device="gpu"))
        assert opened.finished(FINGERPRINT)["conv"][3].seconds == 99.0
    after = tree(filled)
    changed = [name for name in before if before[name] != after[name]]
    assert list(before) == list(after)
    assert [Path(name).suffix for name in changed] == [".json"]


def test_a_missing_sidecar_leaves_the_seconds_unknown(filled):
    for sidecar in filled.glob("renderings/*/*.json"):
        sidecar.unlink()
    with Store.read(filled) as opened:
        got = opened.finished(FINGERPRINT)["conv"][3]
        assert same(replace(got, seconds=0.0).seconds, 0.0)
        assert np.isnan(got.seconds)
        assert opened.quarantined == []


def test_no_result_is_written_twice(filled, monkeypatch):
    def refuse(*args):
        raise AssertionError(args)

    with reopen(filled) as opened:
        monkeypatch.setattr(blocks, "atomic_write", refuse)
        opened.write_stats(stats("conv"))
        opened.write_squares(3, [b"jpeg 3"])
        opened.write_network(MODEL, [LAYER])


def test_the_same_file_damaged_twice_is_kept_twice(filled):
    for _ in range(2):
        with reopen(filled) as opened:
            fill(opened)
        damage_flip(next(filled.glob("ranking/conv.*")))
    with reopen(filled) as opened:
        assert len(opened.quarantined) == 1
    assert len(list((filled / "quarantine").iterdir())) == 4


def test_leftovers_of_interrupted_writes_are_deleted(filled):
    before = tree(filled)
    for place in (".tmp-1-a", "ranking/.tmp-1-a", "renderings/conv/.tmp-2-b"):
        (filled / place).write_bytes(b"half")
    orphan = filled / "renderings" / "conv" / "8-9.0123456789ab.json"
    orphan.write_text("{}")
    assert len(check(filled)) == 4
    with reopen(filled) as opened:
        assert opened.quarantined == []
    assert tree(filled) == before


def test_the_folder_is_named_by_model_and_key(tmp_path):
    with Store.open(tmp_path, "timm/x", KEY) as opened:
        text = '{"model":"tiny","schema":1,"seed":0}'
        assert opened.folder == tmp_path / "timm~2Fx" / sha256_bytes(text.encode())[:16]
    assert key_folders(tmp_path) == [opened.folder]
    assert json.loads((opened.folder / "key.json").read_text())["key"] == KEY


def test_another_key_is_another_folder(tmp_path):
    folders = set()
    for key in (KEY, {**KEY, "seed": 1}, {**KEY, "more": None}):
        with Store.open(tmp_path, "tiny", key) as opened:
            folders.add(opened.folder)
    assert sorted(folders) == key_folders(tmp_path)
    assert len(folders) == 3


def test_a_key_file_that_is_not_of_its_folder_is_refused(filled):
    path = filled / "key.json"
    path.write_text(json.dumps({"schema": 1, "key": {**KEY, "seed": 5}}))
    with pytest.raises(CacheError, match="not the key of its folder"):
        reopen(filled)
    assert check(filled) == [f"{path}: not the key of this folder"]
    path.write_text("{")
    with pytest.raises(CacheError, match="is damaged"):
        reopen(filled)
    with pytest.raises(CacheError, match="is damaged"):
        Store.read(filled)
    assert len(check(filled)) == 1


def test_two_writers_exclude_each_other_and_readers_do_not(filled):
    with reopen(filled):
        with pytest.raises(CacheError, match=rf"in use by process {os.getpid()} on "):
            reopen(filled)
        with Store.read(filled) as reader:
            assert reader.has_stats("conv")
    with reopen(filled):
        pass


def test_a_reader_of_nothing_is_told_what_to_run(tmp_path):
    with pytest.raises(CacheError, match=r"no key\.json; run `build_atlas\.py build`"):
        Store.read(tmp_path / "no")


@pytest.mark.parametrize(
    ("number", "reason"), [(errno.EROFS, "read-only"), (errno.EACCES, "no permission")]
)
def test_a_cache_that_cannot_be_written_says_why_at_once(filled, monkeypatch, number, reason):
    real = os.open

    def refuse(path, flags, *rest, **more):
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(number, os.strerror(number))
        return real(path, flags, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        with pytest.raises(CacheError, match=reason) as caught:
            reopen(filled)
        assert "\n" not in str(caught.value)
        with Store.read(filled) as reader:
            assert same(reader.read_stats("conv"), stats("conv"))


def test_a_file_in_the_place_of_the_cache_folder_is_named(tmp_path):
    (tmp_path / "cache").write_bytes(b"")
    with pytest.raises(CacheError, match="a file is in the place of a folder"):
        Store.open(tmp_path / "cache", "tiny", KEY)


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_full_disk_during_a_write_loses_nothing_and_the_rerun_completes(
    filled, monkeypatch, call
):
    before = tree(filled)

    def refuse(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with reopen(filled) as opened:
        with monkeypatch.context() as patch:
            patch.setattr(os, call, refuse)
            with pytest.raises(CacheError, match="the disk is full"):
                opened.write_stats(stats("late"))
        assert not opened.has_stats("late")
        assert tree(filled) == before
        opened.write_stats(stats("late"))
        assert opened.has_stats("late")


CRASH = """
import os, signal, sys
from pathlib import Path
from tests.store_records import FINGERPRINT, KEY, RUN, Store, fill, rendering
calls = 0
def counted(name):
    call = getattr(os, name)
    def wrapped(*args, **kwargs):
        global calls
        calls += 1
        if calls == int(sys.argv[2]):
            if name == "write":
                call(args[0], bytes(args[1])[: len(args[1]) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **kwargs)
    setattr(os, name, wrapped)
with Store.open(Path(sys.argv[1]), "tiny", KEY) as opened:
    fill(opened)
    for name in ("open", "write", "fsync", "close", "replace"):
        counted(name)
    opened.write_renderings(4, 4, FINGERPRINT, [rendering(1)], RUN)
print("done")
"""


@pytest.mark.parametrize("at", [2, 5, 9, 10, 13, 14, 99])
def test_a_kill_during_a_commit_loses_nothing_that_was_finished(tmp_path, at):
    """A commit is 8 calls for the sidecar and 8 for the block; the 99th is never reached."""
    run = subprocess.run(
        [sys.executable, "-c", CRASH, tmp_path, str(at)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
    )
    assert run.returncode == (0 if at == 99 else -signal.SIGKILL)
    with Store.open(tmp_path, "tiny", KEY) as opened:
        assert opened.quarantined == []
        found = opened.finished(FINGERPRINT)["conv"]
        assert set(found) >= {0, 2, 3}
        opened.write_renderings(4, 4, FINGERPRINT, [rendering(1)], RUN)
        assert same(opened.rendering(Unit(layer="conv", channel=1), FINGERPRINT), rendering(1))
    assert check(opened.folder) == []
    with Store.open(tmp_path / "whole", "tiny", KEY) as whole:
        fill(whole)
        whole.write_renderings(4, 4, FINGERPRINT, [rendering(1)], RUN)
    assert tree(opened.folder) == tree(whole.folder)


# --- other caches ---------------------------------------------------------------------------------


def test_notes_of_older_versions_are_left_alone(filled):
    note = filled / "tuning.json"
    note.write_text('{"cpu auto auto conv 8": {"batch": 8, "precisions": {"8": "bf16"}}}')
    with reopen(filled) as opened:
        assert opened.quarantined == []
    assert note.exists()
    assert check(filled) == []


def test_merging_copies_what_is_missing(filled, tmp_path):
    with Store.open(tmp_path / "two", "tiny", KEY) as here, Store.read(filled) as there:
        here.write_stats(stats("conv"))
        here.write_network(replace(MODEL, title="Mine"), [])
        assert merge_store(here, there) == 15  # neither the statistics nor the network it has
        assert merge_store(here, there) == 0
        assert here.read_network()[0].title == "Mine"
        assert same(here.rendering(Unit(layer="conv", channel=3), FINGERPRINT), rendering(3))
        assert here.finished(FINGERPRINT)["conv"][3].seconds == 3.1
        assert same(here.unit_masks(Unit(layer="conv", channel=2), FINGERPRINT), masks(2))
    assert check(here.folder) == []


def test_merging_another_key_is_refused(filled, tmp_path):
    with (
        Store.open(tmp_path / "two", "tiny", {**KEY, "seed": 1}) as here,
        Store.read(filled) as there,
        pytest.raises(CacheError, match="different keys"),
    ):
        merge_store(here, there)


def test_what_is_recorded_of_the_run_lies_beside_the_block(filled):
    sidecar = json.loads(next(filled.glob("renderings/conv/2-2.*.json")).read_text())
    assert sidecar["seconds"] == {"3": 3.1}
    assert sidecar["run"] == json.loads(json.dumps(asdict(RUN)))


# --- what the classifier makes of the images -----------------------------------------------------


@pytest.mark.parametrize("classifier", [True, False])
def test_lenses_come_back_bit_for_bit(tmp_path, classifier):
    made = [lens(image, classifier=classifier) for image in (5, 7)]
    with Store.open(tmp_path, "tiny", KEY) as opened:
        opened.write_lenses(5, 7, FINGERPRINT, made)
        opened.write_lenses(8, 8, "e" * 64, [lens(8, layers=())])
    with Store.read(opened.folder) as store:
        assert store.finished_lenses(FINGERPRINT) == {5, 7}
        pictures = store.pictures({}, FINGERPRINT)
        assert all(same(pictures.lens(one.image), one) for one in made)
        assert same(store.lens(8, "e" * 64), lens(8, layers=()))
        with pytest.raises(CacheError, match="holds no lenses of image 8"):
            pictures.lens(8)


def test_readout_comes_back_and_is_none_before(tmp_path):
    with Store.open(tmp_path, "tiny", KEY) as opened:
        assert opened.read_readout() is None
        opened.write_readout(READOUT)
        assert same(opened.read_readout(), READOUT)
        assert opened.has_readout()
    with Store.read(opened.folder) as store:
        assert same(store.read_readout(), READOUT)


def test_a_readout_of_an_earlier_version_is_over_all_images_and_is_replaced(tmp_path):
    with Store.open(tmp_path, "tiny", KEY) as opened:
        old = {"channels": READOUT.channels, "contributions": READOUT.contributions}
        opened.write("readout", old, kind="readout", layer="conv")
        assert not opened.has_readout()
        assert opened.read_readout().images.tolist() == [0, 0]
        opened.write_readout(READOUT)
        assert same(opened.read_readout(), READOUT)
        assert len(opened.index.select("readout")) == 1
