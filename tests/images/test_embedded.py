"""Image sets that come from elsewhere: embedded photographs, and Imagenette."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from atlas.errors import InputError
from atlas.images import embedded as photographs
from atlas.images.load import find_images
from tests.picture_files import fill


def test_the_embedded_photographs_are_cut_into_a_few_hundred_squares():
    pytest.importorskip("skimage")
    found = find_images("sample")
    assert found.skipped == ()
    assert 250 <= len(found.items) <= 350
    assert len({item.sha256 for item in found.items}) == len(photographs.PHOTOGRAPHS) == 14
    assert len({item.name for item in found.items}) == len(found.items)
    assert len(found.credits) == 14
    for item in found.items:
        y0, x0, y1, x1 = item.crop
        assert y1 - y0 == x1 - x0 >= 150
        assert item.name.endswith(f"#{y0},{x0},{y1 - y0}")
    assert found == find_images("sample")


def test_the_crops_of_a_photograph_cover_it():
    """600 × 400: squares of 400 overlap by 55 %, so steps of 180 at most: 200 needs 2."""
    assert photographs.crop_starts(600, 400) == [0, 100, 200]
    assert photographs.crop_starts(400, 400) == [0]
    assert photographs.crop_starts(400, 200) == [0, 67, 133, 200]


def test_without_the_photographs_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(photographs.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r'pip install "cnn-atlas\[demo\]".* or give --images'):
        find_images("sample")


def stand_in(monkeypatch, tmp_path, download):
    """Put a function in the place of torchvision's class, and a folder in that of the cache."""
    for name in ("torchvision", "torchvision.datasets"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(Imagenette=download))
    monkeypatch.setattr(photographs, "IMAGENETTE_ROOT", tmp_path / "home")


def test_imagenette_is_downloaded_once(tmp_path, monkeypatch):
    calls = []

    def download(root, split, size, download):
        calls.append((split, size, download))
        fill(Path(root) / "imagenette2-320" / "train" / "n01440764", 2)

    stand_in(monkeypatch, tmp_path, download)
    found = find_images("imagenette")
    assert found.title == "Imagenette"
    assert [item.name for item in found.items] == ["n01440764/000.png", "n01440764/001.png"]
    assert find_images("imagenette") == found
    assert calls == [("train", "320px", True)]


def test_without_network_imagenette_names_the_ways_out(tmp_path, monkeypatch):
    def download(*args, **options):
        raise OSError("<urlopen error\n no route>")

    stand_in(monkeypatch, tmp_path, download)
    with pytest.raises(
        InputError, match=r"cannot download Imagenette .*: <urlopen error no route>;"
    ):
        find_images("imagenette")


def test_a_half_unpacked_imagenette_is_unpacked_again(tmp_path, monkeypatch):
    half = tmp_path / "home" / "imagenette2-320" / "train"
    fill(half, 5)

    def download(root, **options):
        assert not half.exists()
        fill(half, 2)

    stand_in(monkeypatch, tmp_path, lambda root, **options: download(root, **options))
    assert len(find_images("imagenette").items) == 2
