"""A file that kills or hangs its decoder costs that file, and no process is left behind."""

import gc
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from atlas.images import sandbox as decoders
from atlas.images.decode import decode
from atlas.images.load import find_images, load
from atlas.images.squares import cut, spare_factor
from atlas.records.samples import USUAL_CROP
from tests.picture_files import fill, reds


def deadly_decoder(data, max_pixels):
    """Kill the process at the file of `fill` that is number 3."""
    pixels = decode(data)
    if pixels[0, 0, 0] == 3:
        os.kill(os.getpid(), signal.SIGSEGV)
    return pixels


def hanging_decoder(data, max_pixels):
    """Never come back from the file of `fill` that is number 3."""
    pixels = decode(data)
    while pixels[0, 0, 0] == 3:
        pass
    return pixels


def test_a_file_that_kills_its_process_is_blamed_and_the_rest_goes_on(tmp_path):
    fill(tmp_path, 6)
    got = list(load(find_images(str(tmp_path)), 8, 8, workers=2, decoder=deadly_decoder))
    assert reds(got) == [0, 1, 2, 4, 5]
    assert got[3].name == "003.png"
    assert got[3].reason == "ended the process that decoded it (SIGSEGV), 2 times"
    assert_no_children()


def test_a_path_in_the_search_path_is_no_hindrance(tmp_path, monkeypatch):
    """Python skips it; people put one there in notebooks."""
    fill(tmp_path, 2)
    monkeypatch.setattr(sys, "path", [*sys.path, tmp_path])
    got = list(load(find_images(str(tmp_path)), 8, 8, workers=1))
    assert [one.sample.index for one in got] == [0, 1]


def test_a_file_that_hangs_is_blamed_and_the_rest_goes_on(tmp_path):
    fill(tmp_path, 5)
    found = find_images(str(tmp_path))
    got = list(load(found, 8, 8, workers=1, decoder=hanging_decoder, time_limit=1))
    assert reds(got) == [0, 1, 2, 4]
    assert got[3].reason == "took more than 1 s to decode, 2 times"
    assert_no_children()


def assert_no_children():
    """No process that we started is left, not even a zombie."""
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_closing_early_leaves_no_process(tmp_path):
    fill(tmp_path, 40)
    results = load(find_images(str(tmp_path)), 8, 8, workers=2)
    assert reds([next(results)]) == [0]
    results.close()
    gc.collect()
    assert_no_children()


def test_an_error_of_the_consumer_leaves_no_process(tmp_path):
    fill(tmp_path, 40)
    with pytest.raises(KeyboardInterrupt):
        consume_and_interrupt(find_images(str(tmp_path)))
    gc.collect()
    assert_no_children()


def consume_and_interrupt(found):
    for _ in load(found, 8, 8, workers=2):
        raise KeyboardInterrupt


def test_a_worker_ends_when_its_parent_is_gone():
    here, there = decoders.Pipe()
    with there:
        program = decoders.START.format(
            path=sys.path, arguments=(there.fileno(), "atlas.images.decode:decode", 1.0)
        )
        worker = subprocess.Popen([sys.executable, "-c", program], pass_fds=[there.fileno()])
    assert here.recv_bytes() == b"ready"
    here.close()
    assert worker.wait(20) == 0


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_jpeg_is_decoded_at_reduced_size_to_nearly_the_same_square(tmp_path, orientation):
    height, width = 600, 800
    rows, columns = np.mgrid[:height, :width]
    waves = [127 + 100 * np.sin(rows / 40 + k) * np.cos(columns / 50) for k in range(3)]
    picture = np.stack(waves, 2)
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / "large.jpg"
    Image.fromarray(picture.astype(np.uint8)).save(path, quality=95, exif=exif)
    data = path.read_bytes()
    assert spare_factor(data, ("centre",), USUAL_CROP, 32) == 8
    assert spare_factor(data, ("centre",), USUAL_CROP, 100) == 2
    assert spare_factor(data, ((0, 0, 9, 9),), USUAL_CROP, 32) == 1
    (reduced,) = load(find_images(str(tmp_path)), 32, 32, workers=0)
    whole = cut(decode(data), "centre", USUAL_CROP, 32, 32)
    error = np.square(reduced.pixels.astype(float) - whole.pixels).mean()
    assert 10 * np.log10(255**2 / error) > 30  # the square may lie 4 of 600 pixels beside
    assert np.abs(np.subtract(reduced.sample.box, whole.box)).max() <= 8
