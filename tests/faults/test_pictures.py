"""Whatever lies in a folder of images: every file is accounted for once, soon, in little memory."""

import json
import os
import random
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from atlas import pipeline
from atlas.config import Config
from atlas.errors import InputError
from atlas.files.names import escape_name
from atlas.images.decode import decode
from atlas.images.load import TIME_LIMIT, Loaded, find_images, load
from atlas.progress import Progress
from atlas.records.samples import SkippedFile
from tests.faults.conftest import SOAK
from tests.faults.shim import run
from tests.images.test_headers import bombs
from tests.images.test_sandbox import deadly_decoder, hanging_decoder
from tests.picture_files import RED, encode, fill, flat, picture, reds, save

FORMATS = {"PNG": "png", "JPEG": "jpg", "GIF": "gif", "BMP": "bmp", "WEBP": "webp", "TIFF": "tif"}
FUZZED = 2000 if SOAK else 40
"""Damaged files of each format."""


def measured(folder: Path) -> dict[str, Any]:
    """The measures of `hostile.py` for a folder; none may take half of the time limit, or 1 GB."""
    done = run(None, ["-m", "tests.faults.hostile", folder])
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["megabytes"] < 1000
    slow = {
        name: one["seconds"]
        for name, one in found["files"].items()
        if one["seconds"] > TIME_LIMIT / 2
    }
    assert slow == {}
    files = [path for path in folder.iterdir() if path.suffix != ".md"]
    assert sorted(found["files"]) == sorted(path.name for path in files)
    return found["files"]


def noise(side: int = 40) -> Image.Image:
    """A picture that does not compress."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8))


def test_truncated_and_foreign_files_are_skipped_and_wrong_names_do_not_matter(
    tmp_path: Path, score: Callable[..., None]
) -> None:
    broken = {"empty.jpg": b"", "text.jpg": b"hello", "page.jpg": b"<!DOCTYPE html><p>404"}
    for kind, suffix in FORMATS.items():
        data = encode(noise(), kind)
        for tenth in range(10):
            broken[f"{kind}-{tenth}.{suffix}"] = data[: len(data) * tenth // 10]
    good = {"png.jpg": encode(flat(), "PNG"), "jpeg.PNG": encode(flat(), "JPEG")}
    for name, data in {**broken, **good}.items():
        save(tmp_path, name, data)
    files = measured(tmp_path)
    skipped = {name for name, one in files.items() if one["reason"]}
    score(row="images: broken", tried=len(files), survived=len(skipped & {*broken}) + len(good))
    assert skipped == {*broken}


def resized(kind: str, at: int, layout: str, *values: int) -> bytes:
    """A small file with other numbers in its header."""
    data = bytearray(encode(flat(), kind))
    struct.pack_into(layout, data, at, *values)
    return bytes(data)


HEADERS = {
    "bits.bmp": resized("BMP", 28, "<H", 77),
    "planes.bmp": resized("BMP", 26, "<H", 9),
    "width.bmp": resized("BMP", 18, "<i", -5),
    "header.bmp": resized("BMP", 14, "<I", 2**31),
    "offset.bmp": resized("BMP", 10, "<I", 2**32 - 1),
    "run.bmp": resized("BMP", 30, "<I", 1),
    "directory.tif": b"II*\0" + struct.pack("<I", 2**32 - 8),
    "itself.tif": b"II*\0" + struct.pack("<IH", 8, 65535) + bytes(200),
    "chunk.png": encode(flat(), "PNG")[:8] + struct.pack(">I", 2**31) + b"IHDR" + bytes(40),
    "segment.jpg": b"\xff\xd8\xff\xe0\xff\xff" + bytes(60),
    "palette.gif": b"GIF89a" + struct.pack("<HHB", 1, 1, 0xFF) + bytes(20),
    "riff.webp": b"RIFF" + struct.pack("<I", 2**32 - 1) + b"WEBPVP8X" + bytes(40),
}


def test_headers_that_lie_and_bytes_that_were_changed_cost_nothing(
    tmp_path: Path, score: Callable[..., None]
) -> None:
    chance = random.Random(0)
    for name, data in HEADERS.items():
        save(tmp_path, name, data)
    for name, data in bombs().items():
        save(tmp_path, f"bomb {name}.png", data)
    for kind, suffix in FORMATS.items():
        whole = encode(noise(24), kind)
        for number in range(FUZZED):
            data = bytearray(whole)
            for _ in range(1 + number % 8):
                data[chance.randrange(len(data))] = chance.randrange(256)
            save(tmp_path, f"{kind}-{number}.{suffix}", bytes(data))
    files = measured(tmp_path)
    score(row="images: broken", tried=len(files), survived=len(files))
    for name in [f"bomb {name}.png" for name in bombs()]:
        assert "limit is 50 megapixels" in files[name]["reason"] or "trunc" in files[name]["reason"]


def test_a_folder_of_other_peoples_broken_files_is_accounted_for(
    photographs: Path, score: Callable[..., None]
) -> None:
    """The files of FAULTS_HOSTILE if it names a folder, else the photographs alone."""
    folder = Path(os.environ.get("FAULTS_HOSTILE", photographs))
    files = measured(folder)
    score(row="images: broken", tried=len(files), survived=len(files))


def animated(kind: str) -> bytes:
    """Two frames, of which the first is red."""
    later = [flat((0, 0, 255))]
    return encode(flat(), kind, save_all=True, append_images=later, lossless=True)


def sixteen_bits() -> bytes:
    import cv2

    pixels = np.full((16, 16, 3), RED[::-1], np.uint16) * 257
    done, data = cv2.imencode(".png", pixels)
    assert done
    return bytes(data)


def oriented(number: int) -> bytes:
    """Red above, white below when shown upright."""
    exif = Image.Exif()
    exif[274] = number
    return encode(flat(), "PNG", exif=exif)


RULE: dict[str, tuple[bytes, tuple[int, int, int], int]] = {
    "cmyk.jpg": (encode(flat((0, 255, 255, 0), mode="CMYK"), "JPEG"), (255, 0, 0), 12),
    "sixteen.png": (sixteen_bits(), RED, 0),
    "half.png": (encode(flat((*RED, 0), mode="RGBA"), "PNG"), (255, 255, 255), 0),
    "grey.png": (encode(flat(90, mode="L"), "PNG"), (90, 90, 90), 0),
    "grey alpha.png": (encode(flat((90, 0), mode="LA"), "PNG"), (255, 255, 255), 0),
    "palette.png": (encode(flat().quantize(4), "PNG"), RED, 0),
    "bit.png": (encode(flat(1, mode="1"), "PNG"), (255, 255, 255), 0),
    "animated.gif": (animated("GIF"), RED, 3),
    "animated.webp": (animated("WEBP"), RED, 0),
    **{f"exif{number}.png": (oriented(number), RED, 0) for number in range(1, 9)},
}
"""File → bytes, colour by the documented rule, tolerance of the format."""


def test_every_format_gives_the_colour_of_the_documented_rule(
    tmp_path: Path, score: Callable[..., None]
) -> None:
    for name, (data, _, _) in RULE.items():
        save(tmp_path, name, data)
    survived = 0
    for one in load(find_images(str(tmp_path)), 8, 8):
        assert isinstance(one, Loaded), one
        _, colour, tolerance = RULE[one.sample.name]
        survived += int(np.abs(one.pixels.astype(int) - colour).max()) <= tolerance
    score(row="images: formats", tried=len(RULE), survived=survived)
    assert survived == len(RULE)


def test_bombs_are_refused_by_the_limit_that_was_set(
    tmp_path: Path, score: Callable[..., None]
) -> None:
    save(tmp_path, "big.png", encode(flat(height=40, width=50), "PNG"))
    save(tmp_path, "small.png", encode(flat(), "PNG"))
    limited = find_images(str(tmp_path), max_pixels=1999)
    got = {getattr(one, "name", ""): one for one in load(limited, 8, 8)}
    refused = got["big.png"]
    assert isinstance(refused, SkippedFile)
    assert refused.reason == "is 50 × 40 pixels large; the limit is 0.001999 megapixels"
    assert limited.sha256 != find_images(str(tmp_path)).sha256
    score(row="images: formats", tried=1, survived=1)


NAMES = [
    *(b"-rf.png", b"a\nb.png", b'"><script>alert(1)</script>.png'.replace(b"/", b"%2F")),
    *(b"'\"`$(id).png", b"x" * 251 + b".png", b"\xff\xfe.png", "\u202egnp.png".encode()),
    *(b"{{ 7 * 7 }}.png", b"%s%n.png", b"con.png", b" .png", b"a\\b.png", b"#1.png", b"?.png"),
]


def test_hostile_names_and_things_that_are_no_files_stop_nothing(
    tiny: Callable[..., Config],
    photographs: Path,
    monkeypatch: pytest.MonkeyPatch,
    score: Callable[..., None],
) -> None:
    data = (photographs / "0.png").read_bytes()
    for name in NAMES:
        Path(os.fsdecode(os.path.join(os.fsencode(photographs), name))).write_bytes(data)
    (photographs.parent / "secret.png").write_bytes(data)
    (photographs / "<img src=x onerror=alert(1)>.png").write_bytes(b"broken")
    os.mkfifo(photographs / "fifo.png")
    (photographs / "loop.png").symlink_to("loop.png")
    (photographs / "out.png").symlink_to("../secret.png")
    (photographs / "nowhere.png").symlink_to("nothing.png")
    (photographs / "up").symlink_to("..")
    with monkeypatch.context() as patch, socket.socket(socket.AF_UNIX) as server:
        patch.chdir(photographs)
        server.bind("socket.png")
    skipped = ["fifo", "loop", "nowhere", "out", "socket", "up"]
    config = tiny(recipe=("pyramid",), layers=("relu1",), units=1)
    assert pipeline.build(config, Progress(quiet=True)) == 0
    about = (config.site / "about.html").read_text("utf-8")
    assert all(name in about for name in skipped)
    pages = [path.read_text("utf-8") for path in config.site.rglob("*.html")]
    assert not any("<script>alert" in page or "<img src=x" in page for page in pages)
    assert "secret" not in "".join(pages)
    tried = len(NAMES) + len(skipped) + 1
    score(row="images: names", tried=tried, survived=tried)


def test_files_that_vanish_or_change_are_counted(
    tmp_path: Path, score: Callable[..., None]
) -> None:
    fill(tmp_path, 4)
    found = find_images(str(tmp_path))
    (tmp_path / "000.png").unlink()
    save(tmp_path, "001.png", encode(flat(), "PNG"))
    (tmp_path / "002.png").unlink()
    os.mkfifo(tmp_path / "002.png")
    got = list(load(found, 8, 8))
    assert [type(one) for one in got] == [SkippedFile, SkippedFile, SkippedFile, Loaded]
    score(row="images: names", tried=3, survived=3)


TRIED: list[int] = []
NAME = st.binary(min_size=1, max_size=200).filter(
    lambda stem: not {0, 47} & set(stem) and bool(stem.strip(b"."))
)
"""Any bytes that a file system takes, but for dots alone, which make no ending of `.png`."""


@settings(
    max_examples=300 if SOAK else 60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    stem=st.binary(min_size=1, max_size=200).filter(
        lambda b: not {0, 47} & set(b) and b.strip(b".")
    )
)
def check_name(tmp_path: Path, stem: bytes) -> None:
    """One file of any name: listed once, decoded, and safe as a folder and in a URL."""
    path = os.path.join(os.fsencode(tmp_path), stem + b".png")
    with open(path, "wb") as file:
        file.write(encode(flat(), "PNG"))
    try:
        found = find_images(str(tmp_path))
        assert len(found.items) == 1
        assert isinstance(next(iter(load(found, 4, 4, workers=0))), Loaded)
        name = escape_name(found.items[0].name)
        assert 0 < len(name) <= 190
        assert name.isascii()
        assert not set(name) & set("/\\<>\"'&?#% \0\n")
        assert name not in (".", "..")
    finally:
        os.unlink(path)
    TRIED.append(1)


def test_any_name_is_listed_and_safe(tmp_path: Path, score: Callable[..., None]) -> None:
    TRIED.clear()
    check_name(tmp_path)
    score(row="images: names", tried=len(TRIED), survived=len(TRIED))


def test_unusable_sets_are_a_clear_error_and_small_ones_an_atlas(
    tiny: Callable[..., Config], tmp_path: Path, score: Callable[..., None]
) -> None:
    folders = {name: tmp_path / name for name in ("none", "corrupt", "one", "few", "twins")}
    for folder in folders.values():
        folder.mkdir()
    save(folders["corrupt"], "a.png", b"\x89PNG")
    save(folders["corrupt"], "b.jpg", b"")
    save(folders["one"], "a.png", encode(noise(), "PNG"))
    for number in range(3):
        save(folders["few"], f"{number}.png", encode(flat((80 * number, 9, 9)), "PNG"))
        save(folders["twins"], f"{number}.png", encode(picture(32, 32), "PNG"))
    for name in ("none", "corrupt"):
        with pytest.raises(InputError, match="no readable image"):
            pipeline.build(tiny(images=str(folders[name])), Progress(quiet=True))
    for name in ("one", "few", "twins"):
        config = tiny(
            images=str(folders[name]),
            cache=tmp_path / f"cache-{name}",
            recipe=("pyramid",),
            layers=("relu1",),
        )
        assert pipeline.build(config, Progress(quiet=True)) == 0
    score(row="images: sets", tried=5, survived=5)


def greedy_decoder(data: bytes, max_pixels: int) -> Any:
    """Ask for all memory at the file of `fill` that is number 3."""
    pixels = decode(data, max_pixels)
    if pixels[0, 0, 0] == 3:
        return np.ones((1 << 16, 1 << 16, 3), np.uint8)
    return pixels


@pytest.mark.parametrize(
    ("decoder", "reason"),
    [
        (deadly_decoder, "ended the process that decoded it (SIGSEGV), 2 times"),
        (hanging_decoder, "took more than 1 s to decode, 2 times"),
        (greedy_decoder, "cannot be decoded (MemoryError: Unable to allocate"),
    ],
)
def test_a_decoder_that_dies_hangs_or_swells_costs_one_file(
    tmp_path: Path, decoder: Any, reason: str, score: Callable[..., None]
) -> None:
    fill(tmp_path, 6)
    got = list(load(find_images(str(tmp_path)), 8, 8, workers=2, decoder=decoder, time_limit=1))
    assert reds(got) == [0, 1, 2, 4, 5]
    assert isinstance(got[3], SkippedFile)
    assert got[3].reason.startswith(reason)
    score(row="images: decoders", tried=1, survived=1)
