"""Files that hold a dictionary, and those that do not."""

from pathlib import Path

import numpy as np
import pytest

from atlas.dictionaries.files import read_code
from atlas.errors import InputError

GOOD = {
    "encoder": np.arange(6, dtype=np.float64).reshape(2, 3),
    "decoder": np.ones((2, 3), np.float32),
    "bias": np.zeros(2, np.float32),
}


def save(path: Path, **changes: np.ndarray) -> Path:
    np.savez(path, **{**GOOD, **changes})
    return path


def test_a_file_without_threshold_and_offset_is_cut_off_at_zero(tmp_path: Path) -> None:
    code = read_code(save(tmp_path / "a.npz"), "conv", 3)
    assert code.encoder.dtype == np.float32
    assert code.encoder.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert code.threshold.tolist() == [0, 0]
    assert code.offset.tolist() == [0, 0, 0]


def test_both_formats_are_the_same(tmp_path: Path) -> None:
    save_file = pytest.importorskip("safetensors.numpy").save_file
    further = {"threshold": np.array([0.5, -np.inf], np.float32), "offset": np.ones(3, np.float32)}
    save_file({**GOOD, **further}, tmp_path / "a.safetensors")
    one = read_code(tmp_path / "a.safetensors", "conv", 3)
    other = read_code(save(tmp_path / "a.npz", **further), "conv", 3)
    assert one.threshold.tolist() == other.threshold.tolist() == [0.5, -np.inf]
    assert one.encoder.tolist() == other.encoder.tolist()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder": np.ones((2, 4))}, r"encoder has shape \(2, 4\), expected \(2, 3\) for conv"),
        ({"decoder": np.ones((3, 2))}, r"decoder has shape \(3, 2\).*turn it with .T"),
        ({"bias": np.ones(3)}, r"bias has shape \(3,\), expected \(2,\)"),
        ({"offset": np.ones(2)}, r"offset has shape \(2,\), expected \(3,\)"),
        ({"bias": np.array([1, np.nan])}, "bias holds something else than numbers"),
        ({"threshold": np.array([1, np.inf])}, "threshold holds something else than numbers"),
        ({"bias": np.array(["a", "b"])}, "bias holds something else than numbers"),
    ],
)
def test_wrong_arrays_are_named(
    tmp_path: Path, changes: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_code(save(tmp_path / "a.npz", **changes), "conv", 3)


def test_missing_arrays_are_named_with_what_is_there(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", W_enc=np.ones((3, 2)), bias=np.ones(2))
    with pytest.raises(InputError, match="lacks encoder and decoder; it holds W_enc, bias"):
        read_code(tmp_path / "a.npz", "conv", 3)


@pytest.mark.parametrize("name", ["a.npz", "a.safetensors"])
@pytest.mark.parametrize("data", [b"", b"hello", b"PK\3\4 but no more"])
def test_no_such_file_is_no_traceback(tmp_path: Path, name: str, data: bytes) -> None:
    if name.endswith("safetensors"):
        pytest.importorskip("safetensors")
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=r"cannot be read"):
        read_code(tmp_path / name, "conv", 3)


def test_one_array_is_no_dictionary(tmp_path: Path) -> None:
    with (tmp_path / "a.npz").open("wb") as file:
        np.save(file, np.ones(3))
    with pytest.raises(InputError, match="cannot be read"):
        read_code(tmp_path / "a.npz", "conv", 3)


def test_python_objects_are_not_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **{**GOOD, "bias": np.array([{}, {}], object)})
    with pytest.raises(InputError, match="cannot be read"):
        read_code(tmp_path / "a.npz", "conv", 3)
