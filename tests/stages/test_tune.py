"""The pass over the stimuli: what is kept is what the network says, and nothing is done twice."""

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from atlas import pipeline
from atlas.cache.audit import check
from atlas.cache.store import Store
from atlas.config import Config
from atlas.errors import InputError
from atlas.models.layouts import to_maps
from atlas.progress import Progress
from atlas.ranking import activations
from atlas.ranking.stimuli import draw, make_stimuli
from atlas.records.tuning import PREFERENCES
from atlas.stages import rank
from atlas.stages.tune import Tuner
from tests.helpers import tiny_network
from tests.schemas import problems
from tests.store_records import merge_one

Tiny = Callable[..., Config]


def build(config: Config) -> int:
    return pipeline.build(config, Progress(config.quiet))


def ranked(config: Config) -> int:
    return pipeline.rank(config, Progress(config.quiet))


PLAIN: dict[str, object] = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
"""A normalisation that changes nothing."""


def key_folder(config: Config) -> Path:
    (path,) = config.cache.glob("*/*/key.json")
    return path.parent


def stored(config: Config, layer: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means and deviations (S, C) of a layer, in the network's own units."""
    with Store.read(key_folder(config)) as store:
        found = store.responses(layer, Tuner(store.read_network()[0]).mark)
        assert found is not None
        scale = found.scale.astype(np.float64)
        return found.means * scale, found.deviations * scale


def asked(
    plain: nn.Module,
    layer: str,
    shape: tuple[int, int],
    planes: int,
    maps: Callable[[Tensor], Tensor] = lambda output: output,
    prepare: Callable[[Tensor], Tensor] = lambda image: image,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The same by a plain loop, one stimulus at a time, with an ordinary hook."""
    seen: list[Tensor] = []
    hook = plain.get_submodule(layer).register_forward_hook(
        lambda _module, _given, output: seen.append(maps(output).flatten(2).double()[0])
    )
    channels = 1 if planes == 3 and prepare(torch.zeros(1, 3, 1, 1)).shape[1] == 1 else planes
    with torch.no_grad():
        for one in make_stimuli(shape, channels):
            picture = draw(one, shape, planes)
            white = np.iinfo(picture.dtype).max
            image = torch.from_numpy(picture.astype(np.float32) / white).permute(2, 0, 1)[None]
            plain(prepare(image))
    hook.remove()
    stack = torch.stack(seen)
    return stack.mean(2).numpy(), stack.std(2, correction=0).numpy()


def assert_same(config: Config, layer: str, expected: tuple[NDArray[Any], NDArray[Any]]) -> None:
    for got, wanted in zip(stored(config, layer), expected, strict=True):
        largest = max(np.abs(part).max() for part in expected)
        np.testing.assert_allclose(got, wanted, rtol=2e-3, atol=1e-3 * largest)


@pytest.mark.parametrize("layer", ["conv1", "relu1", "relu2"])
def test_the_matrix_is_what_an_ordinary_hook_sees(tiny: Tiny, layer: str) -> None:
    config = tiny(layers=(layer,), mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
    assert ranked(config) == 0

    def prepare(image: Tensor) -> Tensor:
        mean, std = torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.2, 0.3, 0.4])
        return (image - mean.view(3, 1, 1)) / std.view(3, 1, 1)

    assert_same(config, layer, asked(tiny_network(), layer, (32, 32), 3, prepare=prepare))


def grey_network() -> nn.Module:
    """One channel in, vertical edges and their opposite out."""
    layer = nn.Conv2d(1, 2, 3, padding=1, bias=False)
    edge = torch.tensor([[-1.0, 0.0, 1.0]]).expand(3, 3)
    layer.load_state_dict({"weight": torch.stack([edge, -edge])[:, None]})
    return nn.Sequential(layer, nn.ReLU())


def banded_network() -> nn.Module:
    """Five channels in."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return nn.Sequential(nn.Conv2d(5, 4, 3, padding=1), nn.ReLU())


class Tokens(nn.Module):
    """Patches of 8 × 8 pixels become tokens, row by row."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(5)
            self.patch = nn.Conv2d(3, 6, 8, stride=8)
            self.mix = nn.Linear(6, 6)
            self.head = nn.Linear(6, 3)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.mix(self.patch(images).flatten(2).transpose(1, 2))
        return self.head(tokens.mean(1))  # type: ignore[no-any-return]


def test_a_grey_network_sees_luminance_and_no_hues(tiny: Tiny) -> None:
    config = tiny(
        model="tests.stages.test_tune:grey_network",
        layers=("1",),
        channels=1,
        mean=(0.0,),
        std=(1.0,),
    )
    assert build(config) == 0
    assert len(stored(config, "1")[0]) == 135

    def luminance(image: Tensor) -> Tensor:
        return image[:, :1]  # the colours of all these stimuli are alike

    assert_same(config, "1", asked(grey_network(), "1", (32, 32), 3, prepare=luminance))
    unit = unit_of(config, "1")
    assert unit["orientation"] == pytest.approx(90, abs=1), "upright edges"
    assert unit["hue"] is unit["colour"] is None
    page = page_of(config, "1")
    assert "The network sees no colours" in page
    assert "<h3>Hue</h3>" not in page


def test_other_channels_are_all_shown_the_same(tiny: Tiny, tmp_path: Path) -> None:
    folder = tmp_path / "bands"
    folder.mkdir()
    random = np.random.default_rng(0)
    for index in range(4):
        np.save(folder / f"{index}.npy", random.random((24, 24, 5), np.float32))
    name = "tests.stages.test_tune:banded_network"
    config = tiny(model=name, layers=("1",), images=str(folder), channels=5, input_size=24)
    assert build(config) == 0
    assert_same(config, "1", asked(banded_network(), "1", (24, 24), 5))
    assert "the same in all 5 channels" in page_of(config, "1")


def test_inputs_that_are_no_square_have_stimuli_of_their_shape(tiny: Tiny) -> None:
    config = tiny(layers=("relu1",), input_size=(24, 40), units=4, **PLAIN)
    assert build(config) == 0
    assert_same(config, "relu1", asked(tiny_network(), "relu1", (24, 40), 3))
    (edges,) = (one for one in units_of(config, "relu1") if one["channel"] == 3)
    assert edges["cycles"] == pytest.approx(24 * edges["frequency"], rel=1e-5)


def test_tokens_answer_as_maps(tiny: Tiny) -> None:
    config = tiny(model="tests.stages.test_tune:Tokens", layers=("mix",), **PLAIN)
    assert ranked(config) == 0
    plain = Tokens().eval()
    expected = asked(plain, "mix", (32, 32), 3, maps=lambda output: to_maps(output, "NLC", (4, 4)))
    assert_same(config, "mix", expected)


def test_class_scores_are_not_asked(tiny: Tiny) -> None:
    config = tiny(classes=2)
    assert ranked(config) == 0
    names = {path.name.split(".")[0] for path in (key_folder(config) / "tuning").iterdir()}
    assert names == {"relu1", "relu2"}


# --- what is known is not done again --------------------------------------------------------------


def results(config: Config) -> dict[str, bytes]:
    folder = key_folder(config)
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*.h5"))
    }


def test_an_old_cache_is_completed_by_the_stimuli_alone(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert build(tiny()) == 0
    whole = results(tiny())
    for path in (key_folder(tiny()) / "tuning").iterdir():
        path.unlink()
    assert pipeline.site(tiny(), Progress(True)) == 0, "pages do without tuning"
    assert unit_of(tiny(), "relu1")["orientation"] is None
    assert 'id="tuning"' not in page_of(tiny(), "relu1")
    monkeypatch.setattr(rank, "measure", not_again)
    monkeypatch.setattr("atlas.stages.render.render_units", not_again)
    assert build(tiny()) == 0
    assert results(tiny()) == whole
    assert 'id="tuning"' in page_of(tiny(), "relu1")
    monkeypatch.setattr(rank, "open_network", not_again)
    assert build(tiny()) == 0


def not_again(*_given: object, **_named: object) -> None:
    raise AssertionError("this is there already")


def test_layers_that_come_later_are_asked_alone(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ranked(tiny(layers=("relu2",))) == 0
    before = results(tiny())
    assert ranked(tiny(layers=("relu1", "relu2"))) == 0
    after = results(tiny())
    assert before.items() <= after.items()
    assert len([name for name in after if name.startswith("tuning/")]) == 2


def test_other_stimuli_are_asked_anew_and_replace_the_old_answers(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ranked(tiny()) == 0
    monkeypatch.setattr("atlas.stages.tune.STIMULI_VERSION", 99)
    assert ranked(tiny()) == 0
    assert len(list((key_folder(tiny()) / "tuning").iterdir())) == 2
    assert check(key_folder(tiny())) == []


def test_shards_that_come_together_hold_the_same_tuning(tiny: Tiny, tmp_path: Path) -> None:
    whole = tiny(cache=tmp_path / "whole")
    assert ranked(whole) == 0
    for part in (1, 2):
        assert ranked(tiny(cache=tmp_path / f"shard {part}", shard=(part, 2))) == 0
    first, second = tiny(cache=tmp_path / "shard 1"), tiny(cache=tmp_path / "shard 2")
    merge_one(second.cache, first.cache)
    of_tuning = [
        {name: data for name, data in results(one).items() if name.startswith("tuning/")}
        for one in (whole, first)
    ]
    assert of_tuning[0] == of_tuning[1]
    assert len(of_tuning[0]) == 2
    for path in (key_folder(first) / "tuning").iterdir():
        path.unlink()
    assert merge_one(second.cache, first.cache).copied == 2
    assert check(key_folder(first)) == []


def test_a_damaged_answer_is_found_and_asked_again(tiny: Tiny) -> None:
    assert ranked(tiny()) == 0
    whole = results(tiny())
    path = next((key_folder(tiny()) / "tuning").iterdir())
    path.write_bytes(path.read_bytes()[:-1])
    assert any("digest" in line for line in check(key_folder(tiny())))
    assert ranked(tiny()) == 0
    assert {name: data for name, data in results(tiny()).items() if "quarantine" not in name} == (
        whole
    )


# --- networks that take no stimuli, and what is said ----------------------------------------------


def refuse_stimuli(monkeypatch: pytest.MonkeyPatch) -> None:
    def observe(*_given: object) -> None:
        raise InputError("the network fails on every image; on the first: no")

    monkeypatch.setattr("atlas.stages.tune.observe", observe)


def test_a_network_that_takes_no_stimuli_has_its_atlas_all_the_same(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refuse_stimuli(monkeypatch)
    assert build(tiny()) == 0
    assert "warning: no tuning curves: the network fails on every image" in capsys.readouterr().err
    assert unit_of(tiny(), "relu1")["orientation"] is None
    with pytest.raises(InputError, match="fails on every image"):
        build(tiny(strict=True))


def test_the_seconds_are_said_with_those_of_the_ranking(
    tiny: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ranked(tiny(quiet=False)) == 0
    said = capsys.readouterr().err
    assert re.search(r"ranked over 10 images in \S+ s\ntuned over 159 synthetic stimuli in", said)


def test_one_pass_takes_each_stimulus_once(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []
    monkeypatch.setattr("atlas.stages.tune.draw", lambda *given: counted.append(1) or draw(*given))
    monkeypatch.setattr(activations, "PASS_BATCH", 7)
    assert ranked(tiny()) == 0
    assert len(counted) == 159


# --- where it is shown ----------------------------------------------------------------------------


def units_of(config: Config, layer: str) -> list[dict[str, Any]]:
    """The units of a layer, from its file."""
    (path,) = config.site.glob(f"*/{layer}/layer.json")
    units: list[dict[str, Any]] = json.loads(path.read_text())["units"]
    return units


def unit_of(config: Config, layer: str) -> dict[str, Any]:
    """The first unit of a layer, from its own file."""
    (path,) = config.site.glob(f"*/{layer}/{units_of(config, layer)[0]['channel']}.json")
    value: dict[str, Any] = json.loads(path.read_text())
    assert not problems(value, "unit")
    return value


def page_of(config: Config, layer: str) -> str:
    (path,) = config.site.glob(f"*/{layer}/{units_of(config, layer)[0]['channel']}.html")
    return path.read_text()


def test_json_csv_and_the_order_of_the_grid_say_the_same(tiny: Tiny) -> None:
    config = tiny(layers=("relu1",), units=4)
    assert build(config) == 0
    (model,) = (path.parent for path in config.site.glob("*/model.json"))
    layer = json.loads((model / "relu1" / "layer.json").read_text())
    assert not problems(layer, "layer")
    head, *rows = (model / "units.csv").read_text().splitlines()
    assert head.split(",")[-8:] == list(PREFERENCES)
    for unit, row in zip(layer["units"], rows, strict=True):
        known = [unit[name] for name in PREFERENCES]
        assert row.split(",")[-8:] == ["" if one is None else str(one) for one in known]
    page = (model / "relu1" / "index.html").read_text()
    cards = [json.loads(html.unescape(one)) for one in re.findall(r'data-v="([^"]*)"', page)]
    by_channel = {unit["channel"]: unit for unit in layer["units"]}
    for card in cards:
        unit = by_channel[card[0][1]]
        assert card[-1] == [unit[name] for name in ("orientation", "frequency", "hue", "colour")]
        assert len(card) == 2 + len(unit["renderings"])
    assert '<option value="orientation">' in page


def test_hand_made_channels_are_told_apart_on_their_pages(tiny: Tiny) -> None:
    config = tiny(layers=("relu1",), units=4)
    assert build(config) == 0
    by_channel = {unit["channel"]: unit for unit in units_of(config, "relu1")}
    for channel, hue in ((0, 0), (1, 120), (2, 240)):
        assert abs((by_channel[channel]["hue"] - hue + 180) % 360 - 180) < 3
        assert by_channel[channel]["colour"] == pytest.approx(1, abs=0.01)
    assert by_channel[3]["orientation"] == pytest.approx(90, abs=1)
    assert by_channel[3]["colour"] == 0
    (page,) = config.site.glob("*/relu1/0.html")
    assert "Raised most by red" in page.read_text()


def test_export_holds_stimuli_responses_and_preferences(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny(layers=("relu1",), units=4, classes=2, out=str(tmp_path / "atlas.h5"))
    assert build(config) == 0
    assert pipeline.export(config, Progress(True)) == 0
    means, deviations = stored(config, "relu1")
    with h5py.File(tmp_path / "atlas.h5") as file:
        stimuli, tuning = file["stimuli"], file["layers/relu1/tuning"]
        kinds = stimuli["kind"].asstr()[:]
        assert len(kinds) == 159
        assert set(kinds[:96]) == {"grating"}
        np.testing.assert_array_equal(tuning["means"][:] * tuning["scale"][:].astype(float), means)
        np.testing.assert_array_equal(
            tuning["deviations"][:] * tuning["scale"][:].astype(float), deviations
        )
        best = int((tuning["means"][:96, 3]).argmax())
        assert stimuli["orientation"][best] == 90
        for name in PREFERENCES:
            assert tuning[name].shape == (4,)
        assert "tuning" not in file["layers/class~20scores"]
