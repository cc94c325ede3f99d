"""Every network of torchvision's lists, with random weights, through the real stages of an atlas.

`python -m tests.test_every_model` prints the tables of docs/models.md.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torchvision import models as torchvision_models

from atlas.errors import InputError
from atlas.models.blueprint import Blueprint
from atlas.models.load import Model
from atlas.models.probes import probe_images
from atlas.models.selection import class_layer, readout_layer, select_layers
from atlas.models.table import layer_table
from atlas.models.timm import import_timm
from atlas.models.torchvision import (
    REFUSED,
    check_torchvision_name,
    classifier,
    names_of,
    torchvision_network,
    torchvision_weights,
)
from atlas.network.network import Network
from atlas.ranking.activations import measure_layers
from atlas.records.network import LayerInfo, ModelInfo
from atlas.rendering.engine import render
from atlas.rendering.kinds import FourierRecipe, Octave
from tests.helpers import job_of, smooth_images

DOCUMENT = Path(__file__).parent.parent / "docs" / "models.md"

SIDE = 64
SIDES = {
    "inception_v3": 80,
    "maxvit_t": 224,
    "ssd300_vgg16": 300,
    "ssdlite320_mobilenet_v3_large": 128,
}
"""Smallest input that a network takes, where that is more than 64 px."""

SHORT = FourierRecipe(name="short", octaves=(Octave(share=1.0, steps=2),))

TIMM = (
    *("resnet18", "mobilenetv3_small_100", "convnext_atto", "regnety_002", "pvt_v2_b0"),
    *("vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "vit_small_patch16_dinov3"),
    *("swin_tiny_patch4_window7_224", "mixer_s32_224"),
)


def kinds() -> Iterator[tuple[str, str]]:
    """(kind, name) of every network that is built."""
    for kind in ("classification", "segmentation", "detection"):
        for name in names_of(kind):
            yield kind, name


def cases() -> list[Any]:
    """The same as test cases, all but the smallest of each family marked slow."""
    smallest = {min(names, key=weights_of) for names in families().values()}
    return [
        pytest.param(kind, name, id=name, marks=[] if name in smallest else [pytest.mark.slow])
        for kind, name in kinds()
    ]


def family(name: str) -> str:
    """`resnext101_32x8d` → `resnext`, `efficientnet_v2_s` → `efficientnet_v2`."""
    version = re.match(r"[a-z]+_v\d", name)
    return version.group() if version else re.split(r"\d|_[a-z](?:\d|_|$)|_[a-z]+$", name)[0]


def families() -> dict[str, list[str]]:
    """Family of classifiers, or kind of the others → names."""
    found: dict[str, list[str]] = {}
    for kind, name in kinds():
        found.setdefault(family(name) if kind == "classification" else kind, []).append(name)
    return found


def weights_of(name: str) -> int:
    """Number of weights, as published."""
    return int(torchvision_weights(name).meta["num_params"])


@contextmanager
def uninitialised() -> Iterator[None]:
    """Networks built inside get no first weights: most of the time would go into drawing them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in dir(nn.init):
            if name.endswith("_") and not name.startswith("_"):
                patch.setattr(nn.init, name, lambda tensor, *args, **kwargs: tensor)
        yield


def fill(network: nn.Module) -> None:
    """Give every weight a number from one pool of noise, of a size that keeps activations alive."""
    pool = torch.randn(1_000_003, generator=torch.Generator().manual_seed(0))
    for name, weight in network.named_parameters():
        if weight.ndim < 2:
            weight.data.fill_(0 if name.endswith("bias") else 1)
            continue
        spread = (2 / weight[0].numel()) ** 0.5
        flat = weight.data.view(-1)
        for first in range(0, len(flat), len(pool)):
            part = flat[first : first + len(pool)]
            torch.mul(pool[: len(part)], spread, out=part)


def built(name: str) -> tuple[Blueprint, int]:
    """A network with weights that cost nothing to draw, and the side it is run at."""
    with uninitialised():
        if name.startswith("vit_"):
            side = 2 * int(name.rpartition("_")[2])  # four patches
            plan = classifier(name, image_size=side)
        else:
            side, plan = SIDES.get(name, SIDE), torchvision_network(name)
    fill(plan.network)
    plan.network.eval().requires_grad_(False)
    return plan, side


def model_of(plan: Blueprint, side: int) -> Model:
    """A network as `load_model` gives it, run at another side than its own."""
    info = ModelInfo(
        name="test",
        title=plan.title,
        source=plan.source,
        weights_sha256="0" * 64,
        licence=plan.licence,
        parameters=sum(weight.numel() for weight in plan.network.parameters()),
        input_size=side,
        mean=plan.mean,
        std=plan.std,
        class_names=plan.class_names,
    )
    table = layer_table(plan.network, probe_images(side, side, plan.mean, plan.std))
    return Model(info=info, network=plan.network, layers=table)


def rank_and_render(model: Model) -> LayerInfo:
    """Rank a layer in the middle over two images, and render its first unit."""
    blocks = select_layers(model.layers, ["blocks"])
    layer = blocks[len(blocks) // 2]
    network = Network(model, [layer.name], torch.device("cpu"))
    (stats,) = measure_layers(network, [layer], smooth_images(2, model.info.input_size))
    assert stats.channels == layer.channels
    assert stats.finite.all()
    assert (stats.std > 0).any(), "the images make a difference"
    job = job_of(SHORT, layer.name, [int(np.argmax(stats.mean))], stats, size=32)
    (draft,) = render(network, job)
    assert draft.finite
    assert draft.image.shape == (3, 32, 32)
    assert not draft.silent
    return layer


@pytest.mark.parametrize(("kind", "name"), cases())
def test_network_of_torchvision_is_listed_ranked_and_rendered(kind: str, name: str) -> None:
    plan, side = built(name)
    model = model_of(plan, side)
    assert 5 <= len(select_layers(model.layers, ["blocks"])) <= 100
    scores = class_layer(model.layers)
    if kind == "classification":
        assert scores is not None
        assert scores.channels == len(plan.class_names) == 1000
    else:
        assert scores is None
        assert readout_layer(model.layers) is None
    rank_and_render(model)


@pytest.mark.parametrize("name", TIMM)
def test_network_of_timm_is_listed_ranked_and_rendered(name: str) -> None:
    with uninitialised():
        network = import_timm(name).create_model(name, pretrained=False)
    fill(network)
    network.eval().requires_grad_(False)
    facts = network.pretrained_cfg
    plan = Blueprint(network=network, title=name, source="timm", mean=tuple(facts["mean"]))
    model = model_of(plan, int(facts["input_size"][-1]))
    assert 5 <= len(select_layers(model.layers, ["blocks"])) <= 30
    rank_and_render(model)


@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        ("resnet50", 16),
        ("densenet121", 7),  # 4 dense blocks, 3 transitions
        ("vit_b_32", 12),
        ("swin_t", 16),  # 12, 3 mergings of patches, and what the classifier reads
        ("swin_v2_t", 16),
        ("maxvit_t", 13),  # 11, and two convolutions before them
    ],
)
def test_blocks_and_multiply_adds_are_the_published_ones(name: str, blocks: int) -> None:
    """Source: the papers; `_ops` of each entry of weights, giga multiply-adds at its size."""
    weights = torchvision_weights(name)
    with uninitialised():
        plan = torchvision_network(name)
    fill(plan.network)
    table = layer_table(plan.network.eval(), probe_images(plan.input_size, plan.input_size))
    scores = class_layer(table)
    assert scores is not None
    assert scores.multiply_adds / 1e9 == pytest.approx(weights.meta["_ops"], rel=0.01)
    assert len(select_layers(table, ["blocks"])) == blocks


def test_all_names_of_torchvision_are_built_or_refused() -> None:
    refused = {name for kind in REFUSED for name in names_of(kind)}
    supported = {name for _, name in kinds()}
    assert supported | refused == set(torchvision_models.list_models())
    assert not supported & refused
    for name in refused:
        with pytest.raises(InputError) as caught:
            check_torchvision_name(name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_document_states_the_true_counts() -> None:
    text = DOCUMENT.read_text("utf-8")
    for name, members in families().items():
        assert f"| {name} | {len(members)} | {len(members)} |" in text
    for kind in REFUSED:
        assert f"| {kind} | {len(names_of(kind))} | 0 |" in text
    classifiers = len(names_of("classification"))
    assert f"{classifiers} of {classifiers} classification networks" in text
    for name in TIMM:
        assert f"`timm/{name}`" in text


# --- the tables of docs/models.md -----------------------------------------------------------------


def block_counts(names: list[str]) -> list[int]:
    """Count the layers that `--layers blocks` means in each network."""
    return sorted(len(select_layers(model_of(*built(name)).layers, ["blocks"])) for name in names)


def main() -> None:
    print("| family | networks | built | layers by `blocks` |\n|---|---|---|---|")
    for name, members in families().items():
        counts = block_counts(members)
        print(f"| {name} | {len(members)} | {len(counts)} | {counts[0]}–{counts[-1]} |", flush=True)
    for kind, reason in REFUSED.items():
        print(f"| {kind} | {len(names_of(kind))} | 0 | {reason} |")


if __name__ == "__main__":
    main()
