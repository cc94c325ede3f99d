"""Atlases of networks that end in anything: what the pages say is what the network says."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atlas import pipeline
from atlas.cache.reference import check_reference, read_reference
from atlas.config import Config
from atlas.errors import InputError, UsageError
from atlas.progress import Progress
from atlas.records.network import CLASSES
from atlas.stages import rank as measuring
from tests.classifiers import conv_network
from tests.store_records import MODEL

Tiny = Callable[..., Config]
HERE = "tests.test_last_layer:"


class Ends(nn.Module):
    """Three class scores, spread far apart, and one function more."""

    def __init__(self, end: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.plain, self.end = conv_network(3), end

    def forward(self, images: Tensor) -> Tensor:
        return self.end(20 * self.plain(images))


def logits() -> nn.Module:
    return Ends(lambda scores: scores)


def softmax() -> nn.Module:
    return Ends(lambda scores: scores.softmax(1))


def log_softmax() -> nn.Module:
    return Ends(lambda scores: scores.log_softmax(1))


def sigmoid() -> nn.Module:
    return Ends(lambda scores: scores.sigmoid())


def squeezed() -> nn.Module:
    return Ends(lambda scores: scores.squeeze())


def unit_length() -> nn.Module:
    return Ends(F.normalize)


def build(config: Config) -> int:
    return pipeline.build(config, Progress(config.quiet))


def of(tiny: Tiny, name: str, **changes: object) -> Config:
    settings: dict[str, object] = {"layers": ("plain.act2",), "units": 1, "lenses": 2, "classes": 3}
    settings["precision"] = "fp32"
    return tiny(model=HERE + name, **{**settings, **changes})


def pages(config: Config, pattern: str) -> list[dict[str, Any]]:
    """The JSON files beside the pages that this build has written, in the order of their names."""
    name = config.model.replace(":", "~3A")
    found = sorted(config.site.glob(f"{name}/{pattern}"))
    assert found, pattern
    return [json.loads(path.read_text()) for path in found]


def plain_scores(config: Config, name: str) -> Tensor:
    """(1, 3) what the network itself gives a sample image, written out."""
    picture = cv2.imread(str(Path(config.images) / name))[3:45, 3:45, ::-1]
    small = cv2.resize(picture, (32, 32), interpolation=cv2.INTER_AREA)
    image = torch.from_numpy(np.ascontiguousarray(small)).permute(2, 0, 1)[None].float() / 255
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        rows: Tensor = 20 * conv_network(3)((image - mean.view(3, 1, 1)) / std.view(3, 1, 1))
    return rows


def test_softmax_is_taken_once(tiny: Tiny) -> None:
    """Pages, pictures and scores are the same whether the network has taken it or not."""
    found = []
    for name in ("logits", "softmax", "log_softmax"):
        config = of(tiny, name)
        assert build(config) == 0
        images, classes = pages(config, "images/*.json"), pages(config, "classes/*.json")
        found.append(
            (
                [(image["predictions"], image["saliency"], image["fooling"]) for image in images],
                [(one["renderings"][0]["confidence"], one["most_sure"]) for one in classes],
            )
        )
    assert len(found[0][0]) == 2
    assert found[0] == found[1] == found[2]


def test_probabilities_on_the_pages_are_those_of_the_network(tiny: Tiny) -> None:
    for name, last in (("softmax", lambda s: s.softmax(1)), ("sigmoid", torch.sigmoid)):
        config = of(tiny, name)
        build(config)
        for image in pages(config, "images/*.json"):
            expected = last(plain_scores(config, image["name"]))[0]
            shown = {one["index"]: one["probability"] for one in image["predictions"]}
            assert len(shown) == 3
            assert [shown[k] for k in range(3)] == pytest.approx(expected.tolist(), abs=0.05)


def test_classes_by_themselves_say_so_and_do_not_share(tiny: Tiny) -> None:
    config = of(tiny, "sigmoid")
    build(config)
    (model,) = pages(config, "model.json")
    assert model["outputs"] == "multilabel"
    folder = config.site / config.model.replace(":", "~3A")
    for page in ("classes/index.html", "classes/0.html", "images/0.html"):
        text = (folder / page).read_text()
        assert "each class by itself" in text
        assert "of all probability" not in text
    assert re.search("outputs.*a probability for each class by itself", about(config))


def about(config: Config) -> str:
    return (config.site / "about.html").read_text().replace("\n", " ")


def test_probabilities_are_said_to_be_the_networks_own(tiny: Tiny) -> None:
    config = of(tiny, "softmax")
    build(config)
    (model,) = pages(config, "model.json")
    assert model["outputs"] == "probabilities"
    folder = config.site / config.model.replace(":", "~3A")
    assert "as the network gives them" in (folder / "images" / "0.html").read_text()
    assert "less the mean of that over all classes" in about(config)


def test_a_network_that_squeezes_keeps_its_classes(tiny: Tiny) -> None:
    config = of(tiny, "squeezed")
    assert build(config) == 0
    assert [one["index"] for one in pages(config, "classes/*.json")] == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "outputs", "what"),
    [
        ("unit_length", "auto", "embeddings, not class scores"),
        ("logits", "none", "no class scores"),
    ],
)
def test_what_is_no_list_of_classes_has_no_class_pages_and_says_so(
    tiny: Tiny, capsys: pytest.CaptureFixture[str], name: str, outputs: str, what: str
) -> None:
    config = of(tiny, name, outputs=outputs, quiet=False)
    assert build(config) == 0
    assert f"{name} puts out {what}: no class pages, no saliency" in capsys.readouterr().err
    (model,) = pages(config, "model.json")
    assert model["n_classes"] == 0
    assert [image["predictions"] for image in pages(config, "images/*.json")] == [[], []]


def test_raw_scores_are_a_class_by_itself_where_the_user_says_so(tiny: Tiny) -> None:
    before = of(tiny, "logits")
    build(before)
    config = of(tiny, "logits", outputs="multilabel")
    build(config)
    (image, _) = pages(config, "images/*.json")
    expected = plain_scores(config, image["name"]).sigmoid()[0]
    shown = {one["index"]: one["probability"] for one in image["predictions"]}
    assert [shown[k] for k in range(3)] == pytest.approx(expected.tolist(), abs=0.05)


def test_what_the_outputs_are_is_part_of_the_key_only_where_it_changes_something(
    tiny: Tiny,
) -> None:
    build(of(tiny, "logits"))
    (folder,) = config_keys(of(tiny, "logits"))
    build(of(tiny, "logits", outputs="logits"))
    assert config_keys(of(tiny, "logits")) == [folder]
    assert "outputs" not in json.loads((folder / "key.json").read_text())["key"]["model"]
    build(of(tiny, "logits", outputs="multilabel"))
    assert len(config_keys(of(tiny, "logits"))) == 2


def config_keys(config: Config) -> list[Path]:
    return sorted(path.parent for path in config.cache.glob("*/*/key.json"))


def test_a_wrong_word_for_the_outputs_is_answered_before_any_work(tiny: Tiny) -> None:
    config = of(tiny, "logits", outputs="probabilities")
    with pytest.raises(UsageError, match="do not add up to 1; allowed: auto"):
        build(config)
    assert not list(config.cache.rglob("*.h5"))
    with pytest.raises(UsageError, match=r"--outputs is 'logit'; allowed: .*did you mean logits"):
        of(tiny, "logits", outputs="logit")


def test_a_reference_of_other_scores_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    path = tmp_path / "reference.h5"
    config = of(tiny, "softmax", save_reference=str(path))
    pipeline.rank(config, Progress(quiet=True))
    reference = read_reference(path)
    assert reference.outputs == "probabilities"
    assert CLASSES in reference.stats
    build(of(tiny, "softmax", reference=str(path)))
    build(of(tiny, "softmax", reference=str(path), outputs="none"))
    with pytest.raises(InputError, match="class scores of probabilities, this network has logits"):
        build(of(tiny, "softmax", reference=str(path), outputs="logits"))
    assert MODEL.outputs == "logits", "of older records, which do not say"
    assert check_reference.__doc__


# --- names of the classes -------------------------------------------------------------------------


def called(config: Config) -> list[str]:
    return [one["name"] for one in sorted(pages(config, "classes/*.json"), key=by_index)]


def by_index(one: dict[str, Any]) -> int:
    return int(one["index"])


def test_an_edit_of_the_names_shows_without_any_work(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "names.txt"
    path.write_text("cat\ndog\nfrog\n")
    config = of(tiny, "logits", class_names=str(path))
    build(config)
    assert called(config) == ["cat", "dog", "frog"]
    cache = {one: one.read_bytes() for one in config.cache.rglob("*.h5")}
    monkeypatch.setattr(measuring, "Network", None)
    path.write_text("cat\nDog\ntoad\n")
    build(config)
    assert called(config) == ["cat", "Dog", "toad"]
    pipeline.site(config, Progress(quiet=True))
    assert called(config) == ["cat", "Dog", "toad"]
    build(of(tiny, "logits"))
    assert called(config) == ["class 0", "class 1", "class 2"]
    assert {one: one.read_bytes() for one in config.cache.rglob("*.h5")} == cache


def test_classes_and_targets_are_found_by_these_names(tiny: Tiny, tmp_path: Path) -> None:
    path = tmp_path / "names.json"
    path.write_text('{"cat": 0, "dog": 1, "frog": 2}')
    config = of(tiny, "logits", class_names=str(path), classes=("frog", "cat"), target="dog")
    build(config)
    (model,) = pages(config, "model.json")
    assert [(row["index"], row["name"]) for row in model["classes"]] == [(2, "frog"), (0, "cat")]
    targets = [image["fooling"]["target"] for image in pages(config, "images/*.json")]
    assert targets == [{"index": 1, "name": "dog"}] * 2
    path.write_text('{"cat": 0, "dog": 2, "frog": 1}')  # the word means another class now
    build(config)
    targets = [image["fooling"]["target"] for image in pages(config, "images/*.json")]
    assert targets == [{"index": 2, "name": "dog"}] * 2
    with pytest.raises(UsageError, match="--target: there is no class 'dig'; closest: dog"):
        build(of(tiny, "logits", class_names=str(path), target="dig"))


def test_folders_of_images_name_the_classes_and_it_is_said(
    tiny: Tiny, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "sorted"
    for index, path in enumerate(sorted(photographs.iterdir())):
        folder = root / ("dog", "Cat", "frog")[index % 3]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder)
    config = of(tiny, "logits", images=str(root), quiet=False)
    build(config)
    assert "classes are called by the 3 folders of sorted, Cat to frog" in capsys.readouterr().err
    assert called(config) == ["Cat", "dog", "frog"]
    build(of(tiny, "logits", images=str(root), class_names="none"))
    assert called(config) == ["class 0", "class 1", "class 2"]


def test_names_that_do_not_fit_are_answered_before_any_work(tiny: Tiny, tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_text("cat\ndog\n")
    config = of(tiny, "logits", class_names=str(path))
    with pytest.raises(InputError, match="has 2 names, the network 3 classes"):
        build(config)
    with pytest.raises(UsageError, match="--class-names: logits puts out no class scores"):
        build(of(tiny, "logits", class_names=str(path), outputs="none"))
    assert not list(config.cache.rglob("*.h5"))
