"""Weights files: every fault a file can have, every form that is understood."""

import hashlib
import os
import pickle
import socket
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from atlas.config import Config
from atlas.errors import InputError
from atlas.models.load import identify, load_model
from atlas.models.weights import download_weights, read_weights
from tests.helpers import tiny_network
from tests.layer_tables import message

TINY = "tests.helpers:tiny_network"


class Code:
    """Unpickling it would run a command."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("echo run > code-was-run",)


def saved(path: Path, value: object) -> Path:
    torch.save(value, path)
    return path


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


# --- fetching -------------------------------------------------------------------------------------


def test_download_is_kept_only_with_the_digest_of_its_name(tmp_path: Path) -> None:
    """A file URL stands for the network."""
    source = written(tmp_path / "source", b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()[:8]
    right, wrong = (tmp_path / "hub" / f"net-{name}.pth" for name in (digest, "0123abcd"))
    download_weights("net", source.as_uri(), right, progress=False)
    text = message(
        InputError, lambda: download_weights("net", source.as_uri(), wrong, progress=False)
    )
    assert "net-0123abcd.pth" in text
    assert [path.name for path in right.parent.iterdir()] == [right.name]
    assert right.read_bytes() == b"weights"
    assert socket.getdefaulttimeout() is None


# --- reading --------------------------------------------------------------------------------------


def test_file_with_code_is_refused_unrun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (
        saved(tmp_path / "code.pth", {"weight": Code()}),
        written(tmp_path / "code.pkl", pickle.dumps({"weight": Code()})),
        saved(tmp_path / "whole.pth", nn.Conv2d(1, 1, 1)),
    ):
        text = message(InputError, lambda path=path: read_weights(path))
        assert "could run code" in text
    assert "torch.nn.modules.conv.Conv2d" in text
    assert "state_dict()" in text
    assert not (tmp_path / "code-was-run").exists()


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_truncated_file_is_refused(tmp_path: Path, kind: str, share: float) -> None:
    weights = {"weight": torch.arange(1000.0)}
    path = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pth")
    if kind == "safetensors":
        save_file(weights, path)
    else:
        torch.save(weights, path, _use_new_zipfile_serialization=kind == "zip")
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert "cut short or damaged" in message(InputError, lambda: read_weights(path))


def test_empty_file_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "weights.pth", b"")
    assert "empty (0 bytes)" in message(InputError, lambda: read_weights(path))


def test_folder_pipe_and_missing_file_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, says in (
        (tmp_path, "a folder"),
        (tmp_path / "pipe", "not a regular file"),
        (tmp_path / "none.pth", "No such file"),
    ):
        config = Config(model="resnet18", weights=str(path))
        assert says in message(InputError, lambda config=config: load_model(config))
        assert says in message(InputError, lambda config=config: identify(config))


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ([1, 2], "(0, 1)"),
        ({}, "and nothing else"),
        ({"epoch": 3, "loss": 0.5}, "(epoch, loss)"),
        (torch.zeros(3), "and nothing else"),
        ({"model": {"epoch": 3}}, "(model.epoch)"),
        ({"state_dict": {}, "optimizer": {"state": {0: torch.zeros(3)}}}, "and nothing else"),
    ],
)
def test_file_without_named_tensors_is_refused(tmp_path: Path, value: object, says: str) -> None:
    path = saved(tmp_path / "other.pth", value)
    text = message(InputError, lambda: read_weights(path))
    assert f"no tensors with names {says}" in text
    assert "a state_dict is wanted" in text


def test_list_of_tensors_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = saved(tmp_path / "list.pth", [torch.zeros(3), torch.zeros(2)])
    text = message(InputError, lambda: read_weights(path))
    assert "a list of 2 tensors without names" in text
    assert "torch.save(network.state_dict(), file)" in text


def test_safetensors_are_read_under_any_suffix(tmp_path: Path) -> None:
    weights = {name: tensor + 1 for name, tensor in tiny_network().state_dict().items()}
    for name in ("w.safetensors", "pytorch_model.bin", "w.pth"):
        save_file(weights, tmp_path / name)
        model = load_model(Config(model=TINY, weights=str(tmp_path / name)))
        assert torch.equal(model.network.state_dict()["conv2.bias"], torch.tensor([1.0, 1.0, 0.0]))
