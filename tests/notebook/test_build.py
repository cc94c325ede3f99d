"""`atlas.build` as notebooks and training scripts use it, on a network with weights set by hand."""

import base64
import json
import random
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import nn

import atlas
from atlas.images.pixels import to_pixels
from atlas.notebook.result import Result
from atlas.pipeline import export
from atlas.progress import Progress
from atlas.stages import rank as measuring
from atlas.stages import render as rendering
from atlas.workers import renderer
from tests.helpers import smooth_images, tiny_network
from tests.notebook.test_lending import in_training, portraits

ROOT = Path(__file__).parents[2]

Build = Callable[..., Result]


def write_images(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number, picture in enumerate(smooth_images(count, 48)):
        cv2.imwrite(str(folder / f"{number}.png"), picture)
    return folder


def options(folder: Path, **changes: object) -> dict[str, Any]:
    """Keywords for an atlas in a moment."""
    settings: dict[str, object] = {
        "layers": ["relu1"],
        "units": 2,
        "recipe": "pyramid",
        "input_size": 32,
        "size": 32,
        "classes": 0,
        "lenses": 0,
        "cache": folder / "cache",
        "site": folder / "site",
        "quiet": True,
    }
    return {**settings, **changes}


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """`atlas.build` over ten images; keywords change its options."""
    images = write_images(tmp_path / "pictures", 10)

    def call(model: nn.Module | str, **changes: object) -> Result:
        return atlas.build(model, images, **options(tmp_path, **changes))

    return call


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """An atlas to look at: two layers, two recipes, classes."""
    folder = tmp_path_factory.mktemp("atlas")
    images = write_images(folder / "pictures", 10)
    more = {"layers": ["relu1", "relu2"], "units": "all", "classes": 2}
    more["recipe"] = ["pyramid", "octaves"]
    return atlas.build(tiny_network(), images, **options(folder, name="epoch <3>", **more))


# --- what it returns ------------------------------------------------------------------------------


def data(result: Result, name: str) -> Any:
    (path,) = result.site.parent.glob(f"*/{name}")
    return json.loads(path.read_text())


def test_result_says_where_the_site_is(result: Result) -> None:
    assert result.site.is_absolute()
    assert result.site.name == "index.html"
    assert "epoch" in result.site.read_text()
    assert result.model.name == "epoch <3>"
    assert result.complete
    assert result.failures == {}


def test_layers_are_a_mapping_in_forward_order(result: Result) -> None:
    assert list(result) == ["relu1", "relu2"]
    assert [len(layer) for layer in result.values()] == [4, 3]
    assert "relu3" not in result
    with pytest.raises(KeyError, match="no layer 'relu3' in this atlas; closest: relu"):
        result["relu3"]


@pytest.mark.parametrize("layer", ["relu1", "relu2"])
def test_units_say_what_the_site_says(result: Result, layer: str) -> None:
    rows = data(result, f"{layer}/layer.json")["units"]
    assert [unit.channel for unit in result[layer]] == [row["channel"] for row in rows]
    for unit, row in zip(result[layer], rows, strict=True):
        assert unit.layer == layer
        for name in ("rank", "status", "recipe"):
            assert getattr(unit, name) == row[name]
        assert unit.reason == row["renderings"][0]["reason"]
        assert unit.mean_activation == pytest.approx(row["mean_activation"], rel=1e-6)
        assert unit.scores is not None
        for name in ("activation", "reach", "select", "robust", "hf"):
            assert getattr(unit.scores, name) == pytest.approx(row[name])
        assert len(unit.examples) == len(row["examples"]) == 9


def test_pictures_are_those_of_the_site(result: Result) -> None:
    for unit in result["relu1"]:
        assert unit.image is not None
        assert unit.image.dtype == np.uint8
        (path,) = result.site.parent.glob(f"*/relu1/img/{unit.channel}.jpg")
        page = cv2.imread(str(path))
        assert page is not None
        assert page.shape == unit.image.shape
        assert np.abs(page[..., ::-1].astype(float) - unit.image).mean() < 8
        assert {*unit.images} == {"pyramid", "octaves"}
        assert unit.images["octaves"].shape == (32, 32, 3)
        assert np.array_equal(unit.images["pyramid"], unit.image)


def test_pictures_are_the_roundings_of_the_cache(result: Result) -> None:
    unit = result["relu1"].units[0]
    record = unit._source.pictures.rendering(unit._renderings["pyramid"].unit, "pyramid")
    assert unit.image is not None
    assert np.array_equal(unit.image, to_pixels(record.image))


def test_scores_of_a_layer_are_columns(result: Result) -> None:
    scores = result["relu2"].scores
    assert {*scores} == {"activation", "reach", "select", "robust", "hf", "confidence"}
    for column, unit in zip(scores["reach"], result["relu2"], strict=True):
        assert unit.scores is not None
        assert column == unit.scores.reach


def test_classes_stand_beside_the_layers(result: Result) -> None:
    assert result.classes is not None
    assert {unit.name for unit in result.classes} == {"class 0", "class 1"}
    assert all(unit.image is not None for unit in result.classes)


def test_patches_are_cut_out_of_the_sample_images(result: Result) -> None:
    first = result["relu1"].units[0].examples[0]
    assert first.dtype == np.uint8
    assert first.ndim == 3
    assert max(first.shape) == 112


def test_repr_is_a_few_lines(result: Result) -> None:
    lines = repr(result).splitlines()
    assert lines[0].startswith("atlas of epoch <3>: 2 layers, 7 units (")
    assert lines[1:3] == ["  relu1: 4 units", "  relu2: 3 units"]
    assert lines[-1].strip() == str(result.site)
    assert "array" not in repr(result["relu1"].units[0])
    assert len(repr(result["relu1"]).splitlines()) == 1


class Figure(HTMLParser):
    """The parts of a figure: tags, attributes of its picture, its caption."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.picture: dict[str, str | None] = {}
        self.caption = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.picture |= dict(attributes) if tag == "img" else {}

    def handle_data(self, data: str) -> None:
        self.caption += data

    @property
    def pixels(self) -> Any:
        kind, _, text = (self.picture["src"] or "").partition(",")
        assert kind == "data:image/jpeg;base64"
        return cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), cv2.IMREAD_COLOR)


def test_a_notebook_shows_a_contact_sheet_one_row_a_layer(result: Result) -> None:
    figure = Figure(result._repr_html_())
    assert figure.tags == ["figure", "img", "figcaption"]
    assert figure.pixels.shape == (2 * 112, 4 * 112, 3)
    channels = ", ".join(str(unit.channel) for unit in result["relu1"])
    assert figure.caption.startswith("atlas of epoch <3>: 2 layers, 7 units")
    assert f"One row each, layer relu1: {channels}; layer relu2: " in figure.caption
    assert figure.picture["alt"] == figure.caption
    assert "<3>" not in result._repr_html_()


def test_layers_and_units_show_their_own(result: Result) -> None:
    layer, unit = result["relu1"], result["relu1"].units[0]
    assert Figure(layer._repr_html_()).pixels.shape == (112, 4 * 112, 3)
    assert Figure(unit._repr_html_()).pixels.shape == (112, 112, 3)
    assert f"relu1: {unit.channel} (" in Figure(unit._repr_html_()).caption


def test_commands_read_the_atlas_that_was_made_from_python(result: Result, tmp_path: Path) -> None:
    folder = result.site.parents[1] / "cache"
    config = atlas.keywords.Config(cache=folder, name="epoch <3>", out=str(tmp_path / "a.h5"))
    assert export(config, Progress(quiet=True)) == 0
    assert (tmp_path / "a.h5").stat().st_size > 10_000


def test_pages_name_the_call_that_makes_them(result: Result) -> None:
    command = data(result, "model.json")["provenance"]["command"]
    assert command.startswith("atlas.build(network, name='epoch <3>', images=")
    assert "layers=('relu1', 'relu2'), units='all'" in command


# --- the network and the program around it --------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Full backward hook")
def test_a_network_in_training_is_as_it_was(build: Build) -> None:
    network = in_training()
    before = portraits(network)
    build(network, layers=["second"], input_size=16, units=1)
    assert portraits(network) == before


def test_a_network_is_as_it_was_after_an_error_too(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = tiny_network().train().requires_grad_(True)
    before = portraits(network)
    with pytest.raises(atlas.UsageError, match="relu1"):
        build(network, layers=["relu9"])
    assert portraits(network) == before

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(renderer, "render_best", stop)
    with pytest.raises(KeyboardInterrupt):
        build(network)
    assert portraits(network) == before


def test_settings_of_the_program_count_for_nothing_and_stay(build: Build, tmp_path: Path) -> None:
    network = tiny_network()
    plain = build(network)
    torch.manual_seed(5)
    random.seed(5)
    np.random.seed(5)
    expected = float(torch.rand(1)), random.random(), np.random.rand()
    torch.manual_seed(5)
    random.seed(5)
    np.random.seed(5)
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    try:
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            other = build(network, cache=tmp_path / "other", site=tmp_path / "other site")
            assert torch.is_inference_mode_enabled()
            assert torch.is_autocast_enabled("cpu")
        assert torch.get_default_dtype() == torch.float64
        assert torch.get_default_device().type == "meta"
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
    assert (float(torch.rand(1)), random.random(), np.random.rand()) == expected
    for one, same in zip(plain["relu1"], other["relu1"], strict=True):
        assert repr(one.scores) == repr(same.scores)
        assert one.image is not None
        assert np.array_equal(one.image, same.image)  # type: ignore[arg-type]


def keys(folder: Path) -> set[str]:
    return {path.parent.name for path in folder.rglob("key.json")}


def test_a_training_step_is_another_atlas_and_the_same_state_the_same(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = tiny_network().requires_grad_(True)
    first = build(network)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    optimiser = torch.optim.SGD(network.parameters(), 0.1)
    network(torch.rand(2, 3, 32, 32)).sum().backward()
    optimiser.step()
    second = build(network)
    assert len(keys(tmp_path / "cache")) == 2
    assert first.model.weights_sha256 != second.model.weights_sha256
    fresh = tiny_network()
    fresh.load_state_dict(state)
    monkeypatch.setattr(rendering, "Network", None)
    monkeypatch.setattr(measuring, "Network", None)
    again = build(fresh)
    assert len(keys(tmp_path / "cache")) == 2
    assert again.model.weights_sha256 == first.model.weights_sha256


def test_an_edited_forward_is_another_atlas(build: Build, tmp_path: Path) -> None:
    network = tiny_network()
    build(network)
    network.relu1 = nn.LeakyReLU(0.3)
    build(network)
    assert len(keys(tmp_path / "cache")) == 2


def test_a_network_is_called_by_its_class_or_by_name(build: Build, tmp_path: Path) -> None:
    assert build(nn.DataParallel(tiny_network())).model.title == "Sequential"
    build(tiny_network(), name="epoch 3")
    assert {path.name for path in (tmp_path / "cache").iterdir()} == {"Sequential", "epoch~203"}


def test_a_text_is_the_name_of_a_model(build: Build) -> None:
    one = build("tests.helpers:tiny_network")
    assert one.model.name == "tests.helpers:tiny_network"
    with pytest.raises(atlas.InputError, match="googlenet"):
        build("gogolenet")


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (nn.ReLU, "got type, call it: ReLU()"),
        (tiny_network, "a torch.nn.Module or the name of a model, got function"),
        ({}, "got dict"),
    ],
)
def test_what_is_no_network_is_refused(model: Any, says: str, build: Build) -> None:
    with pytest.raises(atlas.UsageError, match=re.escape(says)):
        build(model)


def test_relative_folders_are_those_of_the_call(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    one = build(tiny_network(), cache="here", site=Path("there"), units=1)
    monkeypatch.chdir(ROOT)
    assert one.site == tmp_path / "there" / "index.html"
    assert one["relu1"].units[0].image is not None


def test_a_unit_that_fails_is_no_exception(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    real = renderer.render_best

    def fails_on_channel_1(network: Any, job: Any) -> object:
        if 1 in job.channels:
            raise ValueError("channel 1 is cursed")
        return real(network, job)

    monkeypatch.setattr(renderer, "render_best", fails_on_channel_1)
    one = build(tiny_network(), units=4)
    assert not one.complete
    assert one.failures == {"relu1:1 by pyramid": "ValueError: channel 1 is cursed"}
    failed = next(unit for unit in one["relu1"] if unit.channel == 1)
    assert (failed.status, failed.scores, failed.image) == ("failed", None, None)
    assert np.isnan(one["relu1"].scores["reach"][one["relu1"].units.index(failed)])
    assert Figure(one._repr_html_()).pixels.shape == (112, 4 * 112, 3)
    assert "failed: relu1:1 by pyramid: ValueError" in repr(one)


# --- the door -------------------------------------------------------------------------------------


def test_the_door_is_named_in_full() -> None:
    assert {name for name in atlas.__all__ if not hasattr(atlas, name)} == set()
    assert "atlas.build(network" in (atlas.__doc__ or "")


def test_import_takes_no_library() -> None:
    program = "import sys, atlas; print({'torch', 'numpy', 'cv2', 'tqdm'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "set()\n"


SCRIPT = """
import atlas, torch
from torch import nn

class Net(nn.Sequential):
    pass

torch.manual_seed(0)
net = Net(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
for epoch in range(2):
    optimiser = torch.optim.SGD(net.parameters(), 0.1)
    net(torch.rand(4, 3, 32, 32)).sum().backward()
    optimiser.step()
    result = atlas.build(net, "pictures", layers=["1"], units=1, recipe="pyramid", size=32,
        input_size=32, classes=0, lenses=1, name=f"epoch {epoch}", quiet=True)
    print(result.complete, len(result["1"]), net.training)
"""


@pytest.mark.slow
def test_a_training_script_in_another_folder(tmp_path: Path) -> None:
    write_images(tmp_path / "pictures", 17)  # so many are decoded by processes
    (tmp_path / "train.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "-W", "error", "train.py"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    assert done.stdout == "True 1 True\nTrue 1 True\n"
    assert {path.name for path in (tmp_path / "cache").iterdir()} == {"epoch~200", "epoch~201"}
    assert (tmp_path / "site" / "index.html").exists()
