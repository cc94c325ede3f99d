"""Dictionaries come back bit for bit, and what belongs to one goes with it."""

from dataclasses import replace
from pathlib import Path

from atlas.cache.audit import check
from atlas.cache.store import Store
from atlas.records.units import Unit
from tests.store_records import (
    FINGERPRINT,
    KEY,
    RUN,
    circuit,
    dictionary,
    fill,
    masks,
    rendering,
    responses,
    same,
    stats,
    tree,
)

NAME = "conv@pca2"


def test_a_dictionary_comes_back_as_it_was(tmp_path: Path) -> None:
    with Store.open(tmp_path, "tiny", KEY) as store:
        store.write_dictionary(dictionary(), FINGERPRINT)
    with Store.read(store.folder) as read:
        assert same(read.dictionary(NAME), dictionary())
        assert same(read.dictionary(NAME, FINGERPRINT), dictionary())
        assert read.dictionary(NAME, "another") is None
        assert read.dictionary("conv") is None
        assert [one.name for one in read.dictionaries(["conv", NAME])] == [NAME]


def test_statistics_know_the_dictionary_that_they_were_made_with(tmp_path: Path) -> None:
    with Store.open(tmp_path, "tiny", KEY) as store:
        assert store.fits_dictionary(NAME), "there are none yet"
        store.write_dictionary(dictionary(), FINGERPRINT)
        store.write_stats(stats(NAME))
        assert store.fits_dictionary(NAME)
        (path,) = (store.folder / "dictionaries").iterdir()
        path.unlink()
    with Store.open(tmp_path, "tiny", KEY) as store:
        store.write_dictionary(dictionary(seed=1), FINGERPRINT)
        assert not store.fits_dictionary(NAME)


def test_forgetting_a_dictionary_leaves_everything_else(tmp_path: Path) -> None:
    with Store.open(tmp_path, "tiny", KEY) as store:
        fill(store)
        store.forget_layer(NAME)
        before = tree(store.folder)
        store.write_dictionary(dictionary(), FINGERPRINT)
        store.write_stats(stats(NAME))
        made = replace(rendering(1), unit=Unit(layer=NAME, channel=1))
        store.write_renderings(0, 0, FINGERPRINT, [made], RUN)
        store.write_masks(NAME, FINGERPRINT, [masks(1)])
        store.write_circuits(NAME, FINGERPRINT, [circuit(1)])
        store.write_responses(responses(NAME), FINGERPRINT)
        assert store.forget_layer(NAME) == 6
        assert tree(store.folder) == before
        assert not store.has_rendering(Unit(layer=NAME, channel=1), FINGERPRINT)
        assert store.has_rendering(Unit(layer="conv", channel=2), FINGERPRINT)
    assert check(store.folder) == []
