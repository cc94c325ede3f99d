"""No weights file runs code, and none that is not what it should be is taken for it."""

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from atlas.config import Config
from atlas.errors import InputError
from atlas.files.digests import sha256_file
from atlas.models.load import identify, load_model
from atlas.models.state_dict import digest_tensors
from tests.faults.conftest import SOAK
from tests.helpers import tiny_network

ROW = "weights"
TINY = "tests.helpers:tiny_network"


class Evil:
    """Runs a command where it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


def tensors() -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in tiny_network().state_dict().items()}


def load(path: Path, **changes: Any) -> Any:
    return load_model(Config(model=TINY, weights=str(path), input_size=16, **changes))


def refusal(path: Path, **changes: Any) -> str:
    """Return the message about a file that is refused: one line that names it."""
    with pytest.raises(InputError) as caught:
        load(path, **changes)
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.exit_code == 3
    return text


def evil_files(folder: Path, marker: Path) -> list[Path]:
    """Files that run a command in anything but the restricted unpickler."""
    evil = Evil(f"touch {marker}")
    plain, zipped, inside, legacy = (folder / f"{n}.pth" for n in ("plain", "zip", "in", "old"))
    plain.write_bytes(pickle.dumps(evil))
    torch.save(evil, zipped)
    torch.save({**tensors(), "extra": evil}, inside)
    torch.save({"state_dict": evil}, legacy, _use_new_zipfile_serialization=False)
    named = folder / "renamed.safetensors"
    named.write_bytes(plain.read_bytes())
    return [plain, zipped, inside, legacy, named]


def test_no_weights_file_runs_code(tmp_path: Path, score: Callable[..., None]) -> None:
    marker = tmp_path / "was-run"
    files = evil_files(tmp_path, marker)
    for path in files:
        assert str(path) in refusal(path)
        assert not marker.exists()
    pickle.loads(files[0].read_bytes())  # the file would have done it
    assert marker.exists()
    score(row=ROW, tried=len(files), survived=len(files))


def saved(state: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def test_objects_beside_the_weights_are_not_run(tmp_path: Path, score: Callable[..., None]) -> None:
    """`eval` is no module that torch itself refuses."""
    marker = tmp_path / "was-run"

    class Evaluated:
        def __reduce__(self) -> Any:
            return eval, (f"open({str(marker)!r}, 'w')",)

    path = tmp_path / "checkpoint.pth"
    torch.save({"state_dict": tensors(), "args": Evaluated()}, path)
    assert load(path).info.weights_sha256 == digest_tensors(tiny_network())
    torch.save({"state_dict": Evaluated(), "epoch": 3}, path)
    assert "builtins.eval" in refusal(path).replace("__builtin__", "builtins")
    assert not marker.exists()
    score(row=ROW, tried=2, survived=2)


def test_a_truncated_file_is_refused_wherever_it_ends(
    tmp_path: Path, score: Callable[..., None]
) -> None:
    path, whole = tmp_path / "cut.pth", saved(tensors())
    cuts = 500 if SOAK else 25
    for number in range(cuts):
        path.write_bytes(whole[: len(whole) * number // cuts])
        assert str(path) in refusal(path)
    score(row=ROW, tried=cuts, survived=cuts)


def test_every_flipped_byte_fails_the_digest(tmp_path: Path, score: Callable[..., None]) -> None:
    path, whole = tmp_path / "flipped.pth", saved(tensors())
    path.write_bytes(whole)
    digest = sha256_file(path)
    assert load(path, weights_sha256=digest).info.weights_sha256 == digest_tensors(tiny_network())
    for number in range(40):
        data = bytearray(whole)
        data[len(data) * number // 40] ^= 4
        path.write_bytes(data)
        text = refusal(path, weights_sha256=digest[:16])
        assert digest[:16] in text
        assert sha256_file(path) in text
    score(row=ROW, tried=40, survived=40)


def test_the_digest_is_compared_before_a_finished_atlas_is_trusted(
    tmp_path: Path, score: Callable[..., None]
) -> None:
    path = tmp_path / "any.pth"
    path.write_bytes(saved(tensors()))
    config = Config(model="squeezenet1_1", weights=str(path), weights_sha256="0" * 64)
    with pytest.raises(InputError, match="--weights-sha256 expects 0000"):
        identify(config)
    with pytest.raises(InputError, match="--weights-sha256 expects 0000"):
        load_model(Config(model=TINY, weights_sha256="0" * 8))
    score(row=ROW, tried=2, survived=2)


FOREIGN: dict[str, tuple[bytes, str]] = {
    "page.pth": (b"<!DOCTYPE html><title>Sign in</title>", "HTML page"),
    "pointer.pth": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "LFS pointer"),
    "empty.pth": (b"", "empty"),
    "text.pth": (b"hello", "no weights file"),
    "archive.pth": (b"PK\5\6" + bytes(18), "no weights file"),
    "header.safetensors": (struct.pack("<Q", 2**60) + b"{}", "no weights file"),
    "short.safetensors": (b"\1", "no weights file"),
    "page.safetensors": (b"<html>", "HTML page"),
    "list.pth": (saved([1, 2]), "a state_dict is wanted"),
    "numbers.pth": (saved({"epoch": 3}), "no tensors with names (epoch)"),
    "nothing.pth": (saved({}), "no tensors with names"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_no_state_dict_is_named(
    tmp_path: Path, name: str, score: Callable[..., None]
) -> None:
    data, says = FOREIGN[name]
    (tmp_path / name).write_bytes(data)
    assert says in refusal(tmp_path / name)
    score(row=ROW, tried=1, survived=1)


def lying_header(path: Path) -> None:
    """A safetensors file whose header claims a tensor beyond the end of the file."""
    head = {"conv1.weight": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}
    text = json.dumps(head).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text)


def zip_bomb(path: Path) -> None:
    """A file of torch.save whose record claims to hold more than there is."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", b"\x80\x02}q\x00.")
        archive.writestr("a/version", b"3\n")
        archive.writestr("a/data/0", b"")


@pytest.mark.parametrize("make", [lying_header, zip_bomb])
def test_a_file_that_lies_about_its_size_is_refused(
    tmp_path: Path, make: Callable[[Path], None], score: Callable[..., None]
) -> None:
    path = tmp_path / ("lying.safetensors" if make is lying_header else "lying.pth")
    make(path)
    assert str(path) in refusal(path)
    score(row=ROW, tried=1, survived=1)


def wrong_shape(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**state, "conv2.weight": torch.zeros(3, 4, 5, 5)}


def missing(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state.items() if name != "conv2.bias"}


def other_network(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.replace("conv", "block"): tensor for name, tensor in state.items()}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (wrong_shape, "conv2.weight expected 3×4×3×3 got 3×4×5×5"),
        (missing, "1 missing (conv2.bias)"),
        (other_network, "unexpected (block1.weight"),
    ],
)
def test_weights_of_another_network_are_refused_with_expected_and_got(
    tmp_path: Path, change: Callable[[Any], Any], says: str, score: Callable[..., None]
) -> None:
    path = tmp_path / "other.pth"
    path.write_bytes(saved(change(tensors())))
    assert says in refusal(path)
    score(row=ROW, tried=1, survived=1)


def in_a_wrapper(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"module.{name}": tensor for name, tensor in state.items()}


def in_half(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.half() for name, tensor in state.items()}


def in_a_checkpoint(state: dict[str, Tensor]) -> dict[str, Any]:
    return {"epoch": 7, "state_dict": state}


@pytest.mark.parametrize("change", [in_a_wrapper, in_half, in_a_checkpoint])
def test_what_only_looks_different_is_loaded(
    tmp_path: Path, change: Callable[[Any], Any], score: Callable[..., None]
) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(saved(change(tensors())))
    network = load(path).network
    for name, tensor in network.state_dict().items():
        assert torch.allclose(tensor, tensors()[name], atol=1e-3)
        assert tensor.dtype == torch.float32
    score(row=ROW, tried=1, survived=1)


def test_safetensors_give_the_same_network(tmp_path: Path, score: Callable[..., None]) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tensors().items()}, path)
    assert load(path).info.weights_sha256 == digest_tensors(tiny_network())
    score(row=ROW, tried=1, survived=1)


def test_a_fifo_or_a_folder_is_refused_without_waiting(
    tmp_path: Path, score: Callable[..., None]
) -> None:
    os.mkfifo(tmp_path / "pipe.pth")
    (tmp_path / "folder.pth").mkdir()
    assert "not a regular file" in refusal(tmp_path / "pipe.pth")
    assert "a folder" in refusal(tmp_path / "folder.pth")
    score(row=ROW, tried=2, survived=2)
