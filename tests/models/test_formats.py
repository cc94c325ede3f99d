"""Files of every kind that people give as weights: each is called by its name."""

import gzip
import io
import json
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from atlas.errors import InputError
from atlas.models.formats import SAFETENSORS, TORCH, recognise
from tests.layer_tables import message

STATE = {"weight": torch.arange(4.0)}
PROTOBUF = {
    "an ONNX model": [
        # ir_version 8, producer "pytorch", its version "2.1"
        b"\x08\x08\x12\x07pytorch\x1a\x032.1" + bytes(40),
        # ir_version 3, three empty texts, then the graph
        b"\x08\x03\x12\x00\x1a\x00\x22\x00\x3a\x90\x4e\x0a\x20",
        # ir_version 10, no producer; a producer whose name has ten letters
        b"\x08\x0a\x3a\xc8\x01\x0a\x05\x0a\x01x",
        b"\x08\x07\x12\x0amx-convert\x3a\x05",
    ],
    # saved_model_schema_version 1, then a MetaGraphDef that begins with its MetaInfoDef
    "a TensorFlow SavedModel": [b"\x08\x01\x12\xd5\x9d\x02\x0a\x9a\x06\x0a\x00"],
    # a node of 25 bytes whose name has 5
    "a TensorFlow graph": [b"\x0a\x19\x0a\x05input\x12\x0bPlaceholder"],
    "a Caffe model": [b"\x0a\x07AlexNet\xa2\x06\x10"],
}
BEGINNINGS = {
    "HTML page": [b"\n <!DOCTYPE html><html>", b"<html>", b"\xef\xbb\xbf<!doctype HTML>"],
    "XML text": [b"<?xml version='1.0'?><net name='a'>"],
    "git lfs pull": [b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"],
    "JSON text": [b'{"architectures": ["ResNet"]}', b"[1, 2]", b'{"cut": '],
    "'weights, but in words'": [b"weights, but in words"],
    "PDF": [b"%PDF-1.7\n%\xe2\xe3"],
    "GGUF": [b"GGUF\3\0\0\0"],
    "TensorFlow Lite": [b"\x1c\0\0\0TFL3"],
    "picture": [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"],
    "bzip2": [b"BZh91AY&SY"],
    "xz": [b"\xfd7zXZ\0\0"],
    "Zstandard": [b"\x28\xb5\x2f\xfd\0"],
    "7z": [b"7z\xbc\xaf\x27\x1c\0\4"],
    "Darknet": [b"\0\0\0\0\2\0\0\0\5\0\0\0"],
    "MATLAB": [b"MATLAB 5.0 MAT-file, Platform: GLNXA64"],
    "zeros": [bytes(5000)],
    "plain Python pickle": [pickle.dumps({"weight": [1.0]}), pickle.dumps([1], protocol=2)],
    "msgpack": [b"\x82\xa6params\x81"],
    "in no form that is known (first bytes 00 01 02 03": [bytes(range(256)) * 4],
    "part of a TensorFlow checkpoint": [bytes(range(9)) + b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"],
    **PROTOBUF,
}


@pytest.mark.parametrize(
    ("says", "content"), [(says, one) for says, all_ in BEGINNINGS.items() for one in all_]
)
def test_foreign_file_is_called_by_its_name(tmp_path: Path, says: str, content: bytes) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    text = message(InputError, lambda: recognise(path))
    assert says in text
    assert str(path) in text
    assert "cut short" not in text
    assert "\n" not in text


def export(path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, 3)).eval()
    torch.export.save(torch.export.export(network, (torch.zeros(1, 3, 8, 8),)), path)


def script(path: Path) -> None:
    """As torch.jit.save writes it; the function itself warns that it will go."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("net/data.pkl", "net/code/__torch__/net.py", "net/constants.pkl"):
            archive.writestr(name, b"")


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("run/best.pth", b"weights")


def empty_zip(path: Path) -> None:
    zipfile.ZipFile(path, "w").close()


def keras(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", b"{}")
        archive.writestr("model.weights.h5", b"")


def arrays(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, weight=np.zeros(3))


def array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def hdf5(path: Path) -> None:
    h5py.File(path, "w").close()


def gzipped(path: Path) -> None:
    path.write_bytes(gzip.compress(b"weights"))


def tarred(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("weights.pth"), io.BytesIO())


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (export, "torch.export"),
        (script, "TorchScript"),
        (zipped, "a ZIP archive of run/best.pth, no weights file that can be read here; unpack it"),
        (empty_zip, "empty ZIP"),
        (keras, "Keras"),
        (arrays, ".npz"),
        (array, ".npy"),
        (hdf5, "HDF5"),
        (gzipped, "gzip"),
        (tarred, "tar archive"),
    ],
)
def test_file_of_another_program_is_called_by_its_name(
    tmp_path: Path, write: Callable[[Path], None], says: str
) -> None:
    path = tmp_path / "weights.safetensors"
    write(path)
    text = message(InputError, lambda: recognise(path))
    assert says in text
    assert "cut short" not in text


@pytest.mark.parametrize("suffix", ["pth", "bin", "safetensors", "ckpt", ""])
def test_weights_are_recognised_under_any_suffix(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"weights.{suffix}"
    save_file(STATE, path)
    assert recognise(path) == SAFETENSORS
    for zipped in (True, False):
        torch.save(STATE, path, _use_new_zipfile_serialization=zipped)
        assert recognise(path) == TORCH


def test_index_of_several_files_names_them(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors.index.json"
    parts = {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}
    path.write_text(json.dumps({"metadata": {"total_size": 8}, "weight_map": parts}))
    text = message(InputError, lambda: recognise(path))
    assert "a checkpoint in 2 files (model-1-of-2.safetensors, model-2-of-2.safetensors)" in text
    assert "join" in text
