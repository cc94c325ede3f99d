"""Building blocks: those that the papers name."""

import pytest
from torch import Tensor, nn
from torchvision import models as torchvision_models

from atlas.models.selection import select_layers
from tests.layer_tables import Small, names, random_layers, table_of


@pytest.mark.parametrize(
    ("model", "count"),
    [
        ("googlenet", 12),
        ("resnet50", 16),
        ("squeezenet1_1", 8),
        ("mobilenet_v2", 19),  # 17 inverted residuals, a convolution before and after
        ("vgg16", 13),
        ("vgg11_bn", 8),
        ("alexnet", 5),
        ("densenet121", 7),  # 4 dense blocks, 3 transitions
        ("convnext_tiny", 19),  # the stem and 18
        ("regnet_y_400mf", 17),  # the stem and 1 + 3 + 6 + 6
        ("shufflenet_v2_x0_5", 17),  # 16 and the last convolution, which the classifier reads
        ("mnasnet0_5", 17),  # the same
    ],
)
def test_blocks_are_those_of_the_papers(model: str, count: int) -> None:
    assert len(select_layers(random_layers(model), ["blocks"])) == count


def test_backbone_in_a_wrapper_is_opened() -> None:
    layers = table_of(
        lambda net, x: net.head(net.backbone(x)),
        backbone=torchvision_models.resnet18(weights=None),
        head=nn.Linear(1000, 2),
    )
    stages = [f"backbone.layer{stage}.{block}" for stage in (1, 2) for block in (0, 1)]
    assert names(select_layers(layers, ["blocks"])) == stages, "layer3 is one position at 16 px"


def deep() -> nn.Sequential:
    """A block: three channels to three, one of its parts more than a leaf."""
    return Deep(nn.Conv2d(3, 3, 1), nn.Sequential(nn.ReLU(), nn.Conv2d(3, 3, 1)))


class Deep(nn.Sequential):
    """A block of its own class."""

    def forward(self, input: Tensor) -> Tensor:
        return input + nn.Sequential.forward(self, input)


def in_turn(blocks: nn.Module, x: Tensor) -> Tensor:
    for block in blocks.children():
        x = block(x)
    return x


def test_stage_of_blocks_of_one_class_is_opened() -> None:
    layers = table_of(
        lambda net, x: net.third(net.second(net.first(x))),
        first=Small(lambda own, x: in_turn(own.parts, x), parts=nn.ModuleList([deep(), deep()])),
        second=Small(in_turn, one=deep(), two=deep()),
        third=deep(),
    )
    stages = ["first.parts.0", "first.parts.1", "second.one", "second.two", "third"]
    assert names(select_layers(layers, ["blocks"])) == stages


def test_block_of_different_parts_or_of_plain_runs_is_not_opened() -> None:
    run = [nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU()) for _ in range(2)]
    layers = table_of(
        lambda net, x: net.third(net.second(net.first(x))),
        first=Small(in_turn, one=deep(), two=nn.Sequential(deep(), nn.ReLU())),
        second=Small(in_turn, one=run[0], two=run[1]),
        third=deep(),
    )
    assert names(select_layers(layers, ["blocks"])) == ["first", "second", "third"]
