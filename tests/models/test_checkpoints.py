"""The part of a checkpoint that is meant: words before the names, several copies, other things."""

import argparse
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from atlas.errors import InputError
from atlas.models.checkpoints import open_wrappers
from atlas.models.state_dict import load_weights
from atlas.models.weights import read_weights
from tests.layer_tables import message

State = dict[str, Any]


def network() -> nn.Sequential:
    """Three children of which none has tensors of another one's shapes."""
    parts = {"stem": nn.Conv2d(3, 4, 3), "norm": nn.BatchNorm2d(4), "fc": nn.Linear(4, 2)}
    return nn.Sequential(OrderedDict(parts))


def filled(value: float) -> State:
    """A state_dict of that network with one number everywhere."""
    return {name: torch.full_like(one, value) for name, one in network().state_dict().items()}


def behind(words: str, state: State) -> State:
    return {words + name: tensor for name, tensor in state.items()}


def loaded(tmp_path: Path, held: object, into: nn.Module | None = None) -> tuple[set[float], str]:
    """The numbers that the network has afterwards, and what is said of the choice."""
    path = tmp_path / "checkpoint.pth"
    torch.save(held, path)
    net = into or network()
    words = load_weights(net, read_weights(path), path, "")
    return {float(one) for tensor in net.state_dict().values() for one in tensor.flatten()}, words


def refusal(tmp_path: Path, held: object, into: nn.Module | None = None) -> str:
    text = message(InputError, lambda: loaded(tmp_path, held, into))
    assert "\n" not in text
    return text


# --- words before the names -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        *("module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "model.", "net."),
        *("net.module.", "module.encoder.", "a.b.c.d.e.", "_forward_module.model._orig_mod."),
    ],
)
def test_any_words_before_every_name_are_taken_off(tmp_path: Path, words: str) -> None:
    assert loaded(tmp_path, behind(words, filled(3))) == ({3}, "")


@pytest.mark.parametrize(
    "keys",
    [
        *(("state_dict",), ("model_state_dict",), ("model",), ("net",), ("network",), ("weights",)),
        *(("params",), ("module",), ("ema",), ("state_dict_ema",), ("generator", "params_ema")),
        *(("teacher",), ("a", "b", "c", "state_dict")),
    ],
)
def test_wrappers_are_opened_to_any_depth(tmp_path: Path, keys: tuple[str, ...]) -> None:
    held: object = behind("module.", filled(3))
    for key in reversed(keys):
        held = {"epoch": 3, key: held, "loss": torch.tensor(0.5), "note": None}
    assert loaded(tmp_path, held)[0] == {3}


def test_words_inside_the_names_are_taken_off(tmp_path: Path) -> None:
    """One part of the network in DataParallel, as in PyTorch's ImageNet example for VGG."""
    state = {name.replace("stem.", "stem.module."): one for name, one in filled(3).items()}
    assert loaded(tmp_path, {"state_dict": state}) == ({3}, "")


@pytest.mark.parametrize(
    "wrap",
    [
        nn.DataParallel,
        lambda net: nn.ModuleDict({"backbone": net}),
        lambda net: nn.ModuleDict({"model": nn.ModuleDict({"net": net})}),
    ],
)
@pytest.mark.parametrize("words", ["", "module.", "encoder."])
def test_words_of_the_network_that_the_file_lacks_are_put_on(
    tmp_path: Path, wrap: Callable[[nn.Module], nn.Module], words: str
) -> None:
    assert loaded(tmp_path, behind(words, filled(3)), wrap(network())) == ({3}, "")


def test_a_part_in_a_wrapper_inside_the_network_takes_plain_names(tmp_path: Path) -> None:
    net = network()
    net.stem = nn.DataParallel(net.stem)
    assert loaded(tmp_path, filled(3), net) == ({3}, "")


def test_parts_saved_one_by_one_are_put_together(tmp_path: Path) -> None:
    whole = filled(3)
    held = {part: {} for part in ("stem", "norm", "fc")}
    for name, tensor in whole.items():
        part, rest = name.split(".")
        held[part][rest] = tensor
    assert loaded(tmp_path, {"epoch": 1, **held}) == ({3}, "")


# --- more than the network ------------------------------------------------------------------------


def test_what_lies_beside_the_network_is_left_and_said(tmp_path: Path) -> None:
    lightning = {
        **behind("model.", filled(3)),
        "criterion.weight": torch.ones(2),
        "decoder.fc.weight": torch.ones(2, 4),
    }
    held = {"epoch": 1, "state_dict": lightning, "hyper_parameters": {"lr": 0.1}}
    assert loaded(tmp_path, held) == ({3}, "its state_dict.model")


@pytest.mark.parametrize("name", ["criterion.weight", "loss_fn.pos_weight", "train_acc.total"])
def test_what_serves_training_alone_may_lie_among_the_names(tmp_path: Path, name: str) -> None:
    assert loaded(tmp_path, {**filled(3), name: torch.ones(2)}) == ({3}, "")


def test_layer_that_the_network_lacks_is_refused(tmp_path: Path) -> None:
    """A bias or a block that is not there: another network, though all of its own names fit."""
    for words in ("", "model."):
        held = behind(words, {**filled(3), "stem2.bias": torch.ones(4)})
        assert "1 unexpected (stem2.bias)" in refusal(tmp_path, held)


def test_averaged_model_of_torch_is_read(tmp_path: Path) -> None:
    net = network()
    net.load_state_dict(filled(3))
    averaged = torch.optim.swa_utils.AveragedModel(net).state_dict()
    assert loaded(tmp_path, averaged) == ({3}, "")


def test_the_state_of_the_optimiser_is_no_copy(tmp_path: Path) -> None:
    held = {"model": filled(3), "optimizer_state_dict": {"momentum": filled(5)}}
    assert loaded(tmp_path, held) == ({3}, "")


def test_layer_that_the_file_lacks_is_refused(tmp_path: Path) -> None:
    state = behind("model.", filled(3))
    del state["model.fc.bias"]
    text = refusal(tmp_path, {"state_dict": state})
    assert "do not fit Sequential: 1 missing (fc.bias)" in text


# --- several copies -------------------------------------------------------------------------------


@pytest.mark.parametrize("average", ["ema", "state_dict_ema", "model_ema", "EMA", "ema_state_dict"])
def test_average_of_the_training_is_preferred_and_said(tmp_path: Path, average: str) -> None:
    mean = {"n_averaged": torch.tensor(9), **behind("module.", filled(5))}
    numbers, words = loaded(tmp_path, {"model": filled(3), average: mean})
    assert numbers == {5}
    assert words == f"its {average}.module, not model"


def test_average_among_the_names_is_preferred_and_said(tmp_path: Path) -> None:
    held = {"state_dict": {**behind("net.", filled(3)), **behind("ema_net.", filled(5))}}
    assert loaded(tmp_path, held) == ({5}, "its state_dict.ema_net, not state_dict.net")


def test_mmengine_writes_its_average_to_the_other_place(tmp_path: Path) -> None:
    """Source: mmengine's EMAHook, which swaps the two before a checkpoint is saved."""
    held = {
        "meta": {"mmengine_version": "0.10.4"},
        "state_dict": filled(3),
        "ema_state_dict": {"steps": torch.tensor(9), **behind("module.", filled(5))},
    }
    assert loaded(tmp_path, held) == ({3}, "its state_dict, not ema_state_dict.module")


@pytest.mark.parametrize(
    "held",
    [
        {"teacher": filled(3), "student": behind("module.", filled(5))},
        {**behind("teacher.", filled(3)), **behind("student.module.", filled(5))},
        {"teacher": filled(3), "student": {"module": filled(5)}, "model_ema": filled(7)},
    ],
)
def test_copies_that_nothing_tells_apart_are_named(tmp_path: Path, held: object) -> None:
    text = refusal(tmp_path, held)
    assert "copies of the network that differ: teacher, student.module" in text


def test_plain_names_with_another_copy_beside_are_no_choice(tmp_path: Path) -> None:
    text = refusal(tmp_path, {**filled(3), **behind("best.", filled(5))})
    assert "differ: the top level, best" in text


def test_equal_copies_are_one(tmp_path: Path) -> None:
    assert loaded(tmp_path, {"teacher": filled(3), "student": filled(3)})[0] == {3}
    shared = filled(3)
    assert loaded(tmp_path, {"model": shared, "state_dict": shared}) == ({3}, "")


def test_two_entries_of_one_name_are_refused(tmp_path: Path) -> None:
    held = {**behind("model.", filled(3)), "model": filled(5)}
    assert "two entries model.stem.weight" in refusal(tmp_path, held)


def test_file_that_holds_itself_is_read() -> None:
    held: dict[str, object] = {"weight": torch.zeros(1)}
    held["again"] = held
    assert list(open_wrappers(held, Path()).values) == ["weight"]


# --- what the values are --------------------------------------------------------------------------


def test_objects_beside_the_weights_are_passed_over(tmp_path: Path) -> None:
    args = argparse.Namespace(lr=0.1, folder=Path("runs"), best=np.float64(0.9))
    counts = defaultdict(list, {"step": [1]})
    history = [np.zeros(3), deque([1]), datetime(2024, 1, 1)]
    held = {"args": args, "counts": counts, "history": history, "state_dict": filled(3)}
    assert loaded(tmp_path, held) == ({3}, "")
    torch.save(held, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert (
        read_weights(tmp_path / "old.pth").tensors.keys() == behind("state_dict.", filled(3)).keys()
    )


def test_object_in_place_of_a_tensor_is_named(tmp_path: Path) -> None:
    state = {name: tensor.numpy() for name, tensor in filled(3).items()}
    assert "a Python object (numpy" in refusal(tmp_path, state)
    assert "Sequential), which could run code" in refusal(tmp_path, {"model": network()})
    part = {**filled(3), "fc.weight": np.ones((2, 4))}
    text = refusal(tmp_path, part)
    assert "1 missing (fc.weight); its Python objects (numpy" in text


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_numbers_of_other_lengths_become_float32(tmp_path: Path, dtype: torch.dtype) -> None:
    state = {name: tensor.to(dtype) for name, tensor in filled(3).items()}
    net = network()
    assert loaded(tmp_path, state, net) == ({3}, "")
    assert net.stem.weight.dtype == torch.float32


def changed(name: str, change: Callable[[Tensor], Tensor]) -> State:
    return {**filled(3), name: change(filled(3)[name])}


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")
def test_parameters_sparse_and_quantised_tensors_are_read(tmp_path: Path) -> None:
    for change in (nn.Parameter, Tensor.to_sparse):
        assert loaded(tmp_path, changed("fc.weight", change)) == ({3}, "")
    net = network()
    integers = torch._make_per_tensor_quantized_tensor(
        torch.full((2, 4), 7, dtype=torch.int8), 0.5, 1
    )
    loaded(tmp_path, changed("fc.weight", lambda one: integers), net)
    assert torch.equal(net.fc.weight, torch.full((2, 4), (7 - 1) * 0.5))


def test_integers_are_no_weights(tmp_path: Path) -> None:
    text = refusal(tmp_path, changed("fc.weight", lambda one: one.to(torch.int8)))
    assert "1 of another type (fc.weight expected torch.float32 got torch.int8)" in text
    assert "complex64" in refusal(tmp_path, changed("fc.weight", lambda one: one + 0j))


def test_tensors_without_numbers_are_refused(tmp_path: Path) -> None:
    text = refusal(tmp_path, changed("fc.weight", lambda one: one.to("meta")))
    assert "no numbers for fc.weight" in text


def test_counters_of_training_are_not_needed(tmp_path: Path) -> None:
    state = filled(3)
    del state["norm.num_batches_tracked"]
    assert loaded(tmp_path, behind("model.", state)) == ({3, 0}, "")


def test_versions_of_modules_are_kept_behind_words(tmp_path: Path) -> None:
    """A module that was named otherwise in its first version, as those of torchvision's ViT."""

    class Renamed(nn.Linear):
        _version = 2

        def _load_from_state_dict(self, state: Any, prefix: str, local: Any, *rest: Any) -> None:
            if local.get("version") == 1:
                state[f"{prefix}weight"] = state.pop(f"{prefix}kernel")
            super()._load_from_state_dict(state, prefix, local, *rest)

    old = OrderedDict([("model.fc.kernel", torch.ones(2, 2)), ("model.fc.bias", torch.ones(2))])
    old._metadata = {"": {}, "model": {}, "model.fc": {"version": 1}}  # type: ignore[attr-defined]
    net = nn.ModuleDict({"fc": Renamed(2, 2)})
    assert loaded(tmp_path, {"state_dict": old}, net) == ({1}, "")
