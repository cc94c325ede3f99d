"""Whatever happens to a block on the disk is noticed, and only that block is made again."""

import json
import os
import random
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from atlas import pipeline
from atlas.cache.audit import check
from atlas.cache.store import Store
from atlas.config import Config
from atlas.files.digests import sha256_bytes
from atlas.progress import Progress
from tests.faults.conftest import SOAK
from tests.faults.exhaust import read_tree
from tests.store_records import KEY, fill

ROW = "storage: damage"
FLIPS = 5000 if SOAK else 200


def blocks(folder: Path) -> list[Path]:
    """Every file that is named by its digest, but for sidecars."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.name.count(".") >= 2
        and not (path.suffix == ".json" and path.parent != folder)
        and path.parent.name != "quarantine"
    ]


def repaired(folder: Path, hurt: Path) -> bool:
    """Return whether exactly `hurt` is found, moved away, and made again with the same bytes."""
    whole = [path for path in blocks(folder) if path != hurt and path.is_file()]
    before = {path: path.stat().st_ino for path in whole}
    findings = check(folder)
    with Store.open(folder.parents[1], "tiny", KEY) as store:
        noticed = len(store.quarantined) == 1 and str(hurt) in store.quarantined[0]
        gone = not os.path.lexists(hurt)
        fill(store)
    untouched = {path: path.stat().st_ino for path in whole} == before
    found = len(findings) == 1 and str(hurt) in findings[0]
    return found and noticed and gone and untouched and check(folder) == []


def test_every_flipped_byte_is_noticed(filled: Path, score: Callable[..., None]) -> None:
    end, survived = read_tree(filled), 0
    for seed in range(FLIPS):
        chance = random.Random(seed)
        hurt = chance.choice(blocks(filled))
        data = bytearray(hurt.read_bytes())
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        hurt.write_bytes(data)
        survived += repaired(filled, hurt)
    kept = {name: data for name, data in read_tree(filled).items() if "quarantine" not in name}
    score(row=ROW, tried=FLIPS, survived=survived, units=3 * FLIPS)
    assert survived == FLIPS
    assert kept == end


def into_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "inside").write_bytes(b"x")


def into_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def into_socket(path: Path) -> None:
    path.unlink()
    here = os.getcwd()
    os.chdir(path.parent)  # the path of a socket may have 108 bytes only
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)
    os.chdir(here)


def into_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def into_other_block(path: Path) -> None:
    folder = next(one for one in path.parents if (one / "key.json").exists())
    others = [one for one in blocks(folder) if one.suffix == path.suffix and one != path]
    path.write_bytes(others[0].read_bytes() if others else b"")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "foreign": lambda path: path.write_bytes(b"hello, this is no block\n" * 50),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "another block": into_other_block,
    "folder": into_folder,
    "FIFO": into_fifo,
    "socket": into_socket,
    "link to itself": into_loop,
    **{
        f"cut at {n}0 %": lambda path, n=n: path.write_bytes(
            path.read_bytes()[: path.stat().st_size * n // 10]
        )
        for n in range(1, 10)
    },
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damage_to_every_file_is_noticed(
    filled: Path, damage: str, score: Callable[..., None]
) -> None:
    count, survived = len(blocks(filled)), 0
    for number in range(count):
        hurt = blocks(filled)[number]
        DAMAGES[damage](hurt)
        survived += repaired(filled, hurt)
    score(row=ROW, tried=count, survived=survived, units=3 * count)
    assert survived == count == 17


def test_leftovers_of_any_place_are_removed(filled: Path, score: Callable[..., None]) -> None:
    end, places = read_tree(filled), ["", "ranking/", "images/", "renderings/conv/"]
    for number, place in enumerate(places):
        (filled / f"{place}.tmp-99-{number}").write_bytes(b"half")
    orphan = filled / "renderings" / "conv" / f"8-9.{sha256_bytes(b'')[:12]}.json"
    orphan.write_text("{}")
    assert len(check(filled)) == len(places) + 1
    with Store.open(filled.parents[1], "tiny", KEY) as store:
        assert store.quarantined == []
    survived = len(places) + 1 if read_tree(filled) == end else 0
    score(row=ROW, tried=len(places) + 1, survived=survived)
    assert read_tree(filled) == end


def test_a_build_makes_only_the_damaged_block_again(
    tiny: Callable[..., Config], score: Callable[..., None]
) -> None:
    config = tiny(recipe=("pyramid",), precision="fp32")
    progress = Progress(quiet=True)
    pipeline.build(config, progress)
    end = {name: data for name, data in read_tree(config.cache).items() if name.endswith(".h5")}
    survived = 0
    for name in end:
        before = {other: (config.cache / other).stat().st_ino for other in end if other != name}
        hurt = config.cache / name
        hurt.write_bytes(hurt.read_bytes()[:-1])
        assert pipeline.build(config, progress) == 0
        after = {other: (config.cache / other).stat().st_ino for other in before}
        survived += after == before and hurt.read_bytes() == end[name]
    score(row=ROW, tried=len(end), survived=survived)
    assert survived == len(end) == 13


def test_a_damaged_sidecar_stops_nothing(
    tiny: Callable[..., Config], score: Callable[..., None]
) -> None:
    config = tiny(recipe=("pyramid",), precision="fp32", layers=("relu1",))
    pipeline.build(config, Progress(quiet=True))
    end = {name: data for name, data in read_tree(config.cache).items() if name.endswith(".h5")}
    sidecars = [*config.cache.glob("*/*/renderings/*/*.json")]
    for note in sidecars:
        for data in (b"", b"[", b"[1, 2]", b'{"seconds": 3}', b"\xff\xfe"):
            note.write_bytes(data)
            assert pipeline.build(config, Progress(quiet=True)) == 0
    now = {name: data for name, data in read_tree(config.cache).items() if name.endswith(".h5")}
    tried = 5 * len(sidecars)
    score(row=ROW, tried=tried, survived=tried if now == end else 0)
    assert now == end
    assert json.loads(next(config.cache.rglob("key.json")).read_bytes())["schema"] == 1
