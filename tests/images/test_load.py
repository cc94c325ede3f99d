"""Sample images come in order, and nothing hostile among them stops the run."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atlas.errors import InputError
from atlas.images import load as images
from atlas.images.decode import decode
from atlas.images.load import Loaded, find_images, load
from atlas.images.sandbox import LOOKAHEAD
from atlas.records.samples import SkippedFile
from tests.picture_files import encode, fill, flat, reds, save


def test_finding_and_decoding_import_neither_torch_nor_skimage():
    program = (
        "import sys; from atlas.images.load import find_images, load; "
        "next(load(find_images('sample'), 8, 8)); "
        "sys.exit(bool({'torch', 'skimage', 'torchvision'} & set(sys.modules)))"
    )
    pytest.importorskip("skimage")
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2])


def test_a_loaded_image_is_the_square_the_box_says(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    save(tmp_path, "a.png", encode(Image.fromarray(noise), "PNG"))
    (one,) = load(find_images(str(tmp_path)), 56, 400)
    y0, x0, y1, x1 = one.sample.box
    assert (y0, x0, y1, x1) == (4, 20, 60, 76)
    assert np.array_equal(one.pixels, noise[y0:y1, x0:x1])
    assert one.pixels.flags.writeable
    square = decode(one.square)
    assert square.shape == (56, 56, 3)  # never larger than the square
    assert one.square.startswith(b"\xff\xd8\xff")
    (one,) = load(find_images(str(tmp_path)), 7, 20)
    assert one.pixels.shape == (7, 7, 3)
    assert decode(one.square).shape == (20, 20, 3)


def mixed(folder):
    """Good and bad files in turn."""
    fill(folder, 5)
    save(folder, "001.png", b"")
    save(folder, "003.png", b"<html>")
    good = encode(flat((3, 0, 0)), "PNG")
    save(folder, "0025.jpg", good)  # PNG named .jpg
    return find_images(str(folder))


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_good_files_are_numbered_and_bad_ones_are_skipped_in_order(tmp_path, workers):
    found = mixed(tmp_path)
    got = list(load(found, 8, 8, workers=workers))
    assert [type(one) for one in got] == [Loaded, SkippedFile, Loaded, Loaded, SkippedFile, Loaded]
    assert [one.sample.index for one in got if isinstance(one, Loaded)] == [0, 1, 2, 3]
    assert reds(got) == [0, 2, 3, 4]
    assert [one.name for one in got if isinstance(one, SkippedFile)] == ["001.png", "003.png"]
    assert got[4].reason.startswith("is a web page")


def test_more_files_than_fit_ahead_come_back_in_order(tmp_path):
    count = LOOKAHEAD * 2 + 5
    fill(tmp_path, count)
    assert reds(load(find_images(str(tmp_path)), 4, 4)) == list(range(count))


def test_only_the_embedded_photographs_are_decoded_in_this_process(tmp_path):
    pytest.importorskip("skimage")
    assert images.auto_workers(find_images("sample")) == 0
    fill(tmp_path, images.FEW_FILES)
    assert images.auto_workers(find_images(str(tmp_path))) == 1
    fill(tmp_path, images.FEW_FILES + 1)
    assert 1 <= images.auto_workers(find_images(str(tmp_path))) <= 2


def test_processes_and_this_process_give_the_same(tmp_path):
    for number in range(3):
        noise = np.random.default_rng(number).integers(0, 256, (40, 30, 3), np.uint8)
        save(tmp_path, f"{number}.jpg", encode(Image.fromarray(noise), "JPEG"))
    found = find_images(str(tmp_path))
    for here, there in zip(load(found, 9, 9), load(found, 9, 9, workers=1), strict=True):
        assert here.sample == there.sample
        assert here.square == there.square
        assert np.array_equal(here.pixels, there.pixels)
        assert there.pixels.flags.writeable


def counting_decoder(data, max_pixels):
    """Decode, and count it."""
    counting_decoder.calls += 1
    return decode(data, max_pixels)


def test_all_crops_of_a_file_are_cut_from_one_decoding(tmp_path):
    fill(tmp_path, 1)
    found = find_images(str(tmp_path))
    crops = [replace(found.items[0], crop=(y, 0, y + 8, 8), name=f"a#{y}") for y in (0, 4)]
    counting_decoder.calls = 0
    got = list(load(replace(found, items=tuple(crops)), 4, 4, decoder=counting_decoder, workers=0))
    assert counting_decoder.calls == 1
    assert [one.sample.box for one in got] == [(0, 0, 8, 8), (4, 0, 12, 8)]


def test_one_reason_is_given_for_a_file_of_several_crops(tmp_path):
    save(tmp_path, "a#b.png", b"broken")
    fill(tmp_path, 1)
    found = find_images(str(tmp_path))
    broken = found.items[1]
    assert broken.name == "a#b.png"
    crops = [replace(broken, crop=(y, 0, y + 8, 8), name=f"a#b.png#{y},0,8") for y in (0, 4)]
    got = list(load(replace(found, items=(found.items[0], *crops)), 4, 4))
    assert [type(one) for one in got] == [Loaded, SkippedFile]
    assert got[1].name == "a#b.png"


def test_files_that_change_or_vanish_are_skipped(tmp_path):
    fill(tmp_path, 3)
    found = find_images(str(tmp_path))
    (tmp_path / "000.png").unlink()
    save(tmp_path, "001.png", encode(flat((9, 9, 9)), "PNG"))
    got = list(load(found, 8, 8))
    assert [one.reason for one in got[:2]] == ["has vanished", "changed after the run had begun"]
    assert got[2].sample.index == 0


def test_a_set_without_one_good_file_is_an_error_that_quotes_the_first_reason(tmp_path):
    for name in ("a.png", "b.png"):
        save(tmp_path, name, b"")
    results = load(find_images(str(tmp_path)), 8, 8)
    assert isinstance(next(results), SkippedFile)
    assert isinstance(next(results), SkippedFile)
    with pytest.raises(InputError, match=r"the first of 2: a\.png is empty, not a PNG"):
        next(results)


def test_an_unforeseen_error_of_the_decoder_costs_one_file(tmp_path):
    fill(tmp_path, 2)
    got = list(load(find_images(str(tmp_path)), 8, 8, decoder=surprising_decoder))
    assert got[0].reason == "cannot be decoded (ZeroDivisionError: surprise)"
    assert reds(got) == [1]


def surprising_decoder(data, max_pixels):
    """Fail on the first file of `fill` in a way that nobody expects."""
    pixels = decode(data)
    if not pixels[0, 0, 0]:
        raise ZeroDivisionError("surprise")
    return pixels
