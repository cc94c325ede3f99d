"""Tensors of a file in a network: whole or not at all, and what does not fit is named."""

import re
from pathlib import Path

import pytest
import torch
from torchvision import models as torchvision_models

from atlas.config import Config
from atlas.errors import InputError
from atlas.models.checkpoints import open_wrappers
from atlas.models.load import load_model
from atlas.models.state_dict import digest_tensors, load_weights
from tests.helpers import tiny_network
from tests.layer_tables import message

TINY = "tests.helpers:tiny_network"


def saved(path: Path, value: object) -> Path:
    torch.save(value, path)
    return path


@pytest.mark.parametrize("key", ["", "state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_training_checkpoints_are_understood(
    tmp_path: Path, key: str, prefix: str, dtype: torch.dtype
) -> None:
    own = {name: tensor + 0.25 for name, tensor in tiny_network().state_dict().items()}
    weights = {prefix + name: tensor.to(dtype) for name, tensor in own.items()}
    path = saved(tmp_path / "w.pth", {key: weights, "epoch": 3} if key else weights)
    network = load_model(Config(model=TINY, weights=str(path))).network
    for name, tensor in network.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, own[name].to(dtype).float())


def test_weights_that_do_not_fit_are_counted_and_named(tmp_path: Path) -> None:
    weights = tiny_network().state_dict()
    del weights["conv1.weight"]
    weights["conv9.weight"] = torch.zeros(1)
    weights["conv2.weight"] = torch.zeros(3, 4, 5, 5)
    config = Config(model=TINY, weights=str(saved(tmp_path / "w.pth", weights)))
    text = message(InputError, lambda: load_model(config))
    assert "1 missing (conv1.weight)" in text
    assert "1 unexpected (conv9.weight)" in text
    assert "1 of another shape (conv2.weight expected 3×4×3×3 got 3×4×5×5)" in text


def test_classifier_of_another_size_is_explained(tmp_path: Path) -> None:
    network = torchvision_models.squeezenet1_1(weights=None, num_classes=10)
    path = saved(tmp_path / "ten.pth", network.state_dict())
    config = Config(model="squeezenet1_1", weights=str(path))
    assert "10 classes, the model's 1000" in message(InputError, lambda: load_model(config))


def test_densenet_files_of_older_naming_load(tmp_path: Path) -> None:
    """The published file has `denselayer1.norm.1.weight` where the network has `norm1.weight`."""
    network = torchvision_models.densenet121(weights=None)
    old = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2.", name): tensor
        for name, tensor in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    fresh = torchvision_models.densenet121(weights=None)
    assert load_weights(fresh, open_wrappers(old, tmp_path), tmp_path, "") == ""
    assert digest_tensors(fresh) == digest_tensors(network)


def test_flipped_weight_changes_the_digest() -> None:
    network = tiny_network()
    before = digest_tensors(network)
    assert digest_tensors(tiny_network()) == before
    network.state_dict()["conv2.bias"][2] = -1.0000001
    assert digest_tensors(network) != before
