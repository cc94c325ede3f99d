"""Whole atlases of networks as people write them: what can be shown is shown, the rest is named."""

import json
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from atlas import pipeline
from atlas.config import Config
from atlas.errors import InputError
from atlas.gallery import write as gallery
from atlas.progress import Progress
from atlas.stages import look as looking
from tests import foreign as foreign_networks

Tiny = Callable[..., Config]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Torch's own warnings about what these networks use."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture
def foreign(tiny: Tiny) -> Callable[..., Config]:
    """Settings for an atlas of a network of tests/foreign.py."""

    def config(name: str, **changes: object) -> Config:
        settings: dict[str, object] = {
            "model": f"tests.foreign:{name}",
            "input_size": 16,
            "mean": (0.0,),
            "std": (1.0,),
            "layers": ("second",),
            "units": 1,
            "precision": "fp32",
            "recipe": ("octaves",),
        }
        return tiny(**{**settings, **changes})

    return config


def build(config: Config) -> int:
    return pipeline.build(config, Progress(quiet=True))


def data(config: Config, pattern: str) -> list[Any]:
    return [json.loads(path.read_text()) for path in sorted(config.site.glob(pattern))]


def add_black(photographs: Path) -> None:
    cv2.imwrite(str(photographs / "black.png"), np.zeros((48, 48, 3), np.uint8))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("DividesByDeviation", "gives values that are not finite in layer second"),
        ("RefusesBlack", "the network fails on it with LookupError"),
    ],
)
def test_one_picture_without_an_answer_costs_that_picture(
    name: str,
    reason: str,
    foreign: Callable[..., Config],
    photographs: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    add_black(photographs)
    config = foreign(name, classes=2, lenses=2)
    assert build(config) == 0
    assert f"left out black.png: {reason}" in capsys.readouterr().err
    (layer,) = data(config, "*/second/layer.json")
    assert layer["units"][0]["status"] in ("ok", "weak")
    assert np.isfinite(layer["mean"]).all()
    assert {one["image_index"] for one in layer["units"][0]["examples"]} <= set(range(10))
    assert len(data(config, "*/classes/*.json")) == 2


def test_picture_that_was_left_out_stays_so_when_layers_are_added(
    foreign: Callable[..., Config], photographs: Path
) -> None:
    add_black(photographs)
    assert build(foreign("DividesByDeviation")) == 0
    assert build(foreign("DividesByDeviation", layers=("first", "second"))) == 0


def test_strict_stops_at_a_picture_without_an_answer(
    foreign: Callable[..., Config], photographs: Path
) -> None:
    add_black(photographs)
    with pytest.raises(InputError, match=r"black\.png: gives values that are not finite"):
        build(foreign("DividesByDeviation", strict=True))


def test_channel_that_is_never_finite_costs_no_picture(foreign: Callable[..., Config]) -> None:
    config = foreign("OneChannelNaN", layers=("first",), units="all")
    assert build(config) == 0
    (layer,) = data(config, "*/first/layer.json")
    assert 2 not in {unit["channel"] for unit in layer["units"]}
    assert len(layer["units"]) == 5


@pytest.mark.parametrize(
    ("name", "layers"), [("Detached", ("first", "second")), ("DetachedInside", ("first", "second"))]
)
def test_layers_without_a_gradient_are_marked_and_the_others_shown(
    name: str, layers: tuple[str, ...], foreign: Callable[..., Config]
) -> None:
    config = foreign(name, layers=layers, classes=2, lenses=1, size=64)  # smaller ones are all mesh
    assert build(config) == 1
    status = {
        layer["layer"]: layer["units"][0]["status"] for layer in data(config, "*/*/layer.json")
    }
    assert status == {"first": "ok", "second": "ok" if name == "Detached" else "failed"}
    pages = [json.loads(path.read_text()) for path in config.site.glob("*/classes/*.json")]
    assert [page["renderings"][0]["status"] for page in pages] == ["failed", "failed"]
    assert "no gradient" in pages[0]["renderings"][0]["reason"]
    (image,) = data(config, "*/images/*.json")
    assert image["predictions"]
    assert image["saliency"] is None


@pytest.mark.parametrize(
    "name",
    [
        *("Frozen", "Checkpointed", "CheckpointedAnew", "BatchStatistics"),
        *("CastsToDouble", "Swallows", "DerivesInside", "ChangesInput"),
    ],
)
def test_such_networks_have_everything(name: str, foreign: Callable[..., Config]) -> None:
    config = foreign(name, classes=2, lenses=1)
    assert build(config) == 0
    (image,) = data(config, "*/images/*.json")
    assert image["saliency"]
    assert len(data(config, "*/classes/*.json")) == 2


def test_unit_is_the_same_alone_and_among_others_where_answers_depend_on_the_batch(
    foreign: Callable[..., Config], tmp_path: Path
) -> None:
    few = foreign("MeanOfBatch", units=1)
    many = foreign("MeanOfBatch", units=4, cache=tmp_path / "other", site=tmp_path / "others")
    assert build(few) == build(many) == 0
    first, same = (data(one, "*/second/layer.json")[0]["units"][0] for one in (few, many))
    assert (first["channel"], first["reach"]) == (same["channel"], same["reach"])


def test_network_that_drifts_over_the_pass_is_refused(
    foreign: Callable[..., Config], photographs: Path
) -> None:
    for number in range(60):  # four batches of sixteen
        shutil.copy(photographs / f"{number % 10}.png", photographs / f"more{number}.png")
    with pytest.raises(InputError, match="layer second answers the same image differently"):
        build(foreign("Drifts"))


def test_image_pages_are_of_the_picture_itself_and_not_of_its_view(
    foreign: Callable[..., Config], photographs: Path
) -> None:
    for path in photographs.glob("*.png"):  # noise, of which JPEG loses most; of the input's size
        pixels = np.random.default_rng(int(path.stem)).integers(0, 256, (16, 16, 3), np.uint8)
        cv2.imwrite(str(path), pixels)
    config = foreign("Base", lenses=3, classes=2)
    assert build(config) == 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        plain = foreign_networks.Base().eval()
    for page in data(config, "*/images/*.json"):
        picture = cv2.imread(str(photographs / page["name"]))[..., ::-1] / 255
        x = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float()
        with torch.no_grad():
            wanted = plain(x)[0].softmax(0)
        for one in page["predictions"]:
            assert one["probability"] == pytest.approx(float(wanted[one["index"]]), abs=1e-5)


# --- a stage that fails hides nothing that is finished --------------------------------------------


def broken(*_: object, **__: object) -> Any:
    raise ZeroDivisionError("somebody's mistake")


def test_image_that_cannot_be_looked_at_has_no_page_and_the_site_is_built(
    foreign: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = foreign("Base", lenses=2)
    monkeypatch.setattr(looking, "look", broken)
    assert build(config) == 1
    assert (
        "no page of image 0.png: ZeroDivisionError: somebody's mistake" in capsys.readouterr().err
    )
    assert len(data(config, "*/second/layer.json")) == 1
    monkeypatch.undo()
    assert build(config) == 0, "and it is tried again"
    assert len(data(config, "*/images/*.json")) == 2


def test_network_that_cannot_be_set_up_for_images_costs_their_pages_only(
    foreign: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = foreign("Base", lenses=2)
    monkeypatch.setattr(looking, "Network", broken)
    assert build(config) == 1
    assert len(data(config, "*/second/layer.json")) == 1


@pytest.mark.parametrize(
    ("module", "function", "kind"),
    [
        ("imagepages", "write_images", "image pages"),
        ("classpages", "write_classes", "class pages"),
    ],
)
def test_site_is_written_without_the_kind_of_pages_that_fails(
    module: str,
    function: str,
    kind: str,
    foreign: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = foreign("Base", classes=2, lenses=2)
    real = getattr(getattr(gallery, module), function)

    def fails_if_any(book: Any, *rest: Any) -> Any:
        if book.atlas.lenses if module == "imagepages" else book.atlas.classes:
            broken()
        return real(book, *rest)

    monkeypatch.setattr(getattr(gallery, module), function, fails_if_any)
    assert build(config) == 1
    assert f"the site is without its {kind}: ZeroDivisionError" in capsys.readouterr().err
    assert len(data(config, "*/second/layer.json")) == 1
    assert pipeline.check(config, Progress(quiet=True)) == 0


# --- code that is edited --------------------------------------------------------------------------


def test_edited_forward_is_another_atlas_and_the_old_one_is_found_again(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(model="tests.foreign:Base", input_size=16, layers=("second",))
    counts = []
    for factor in (1.0, -10.0, 1.0 + 1e-7, -10.0):
        plain = foreign_networks.Base.maps

        def edited(self: Any, x: Any, plain: Any = plain, factor: float = factor) -> Any:
            return plain(self, factor * x)

        with monkeypatch.context() as patch:
            patch.setattr(foreign_networks.Base, "maps", edited)
            pipeline.rank(config, Progress(quiet=True))
        counts.append(len(list(config.cache.glob("*/*/key.json"))))
    assert counts == [1, 2, 2, 2]
