"""Building blocks: those that the papers name."""

import pytest
from torch import nn
from torchvision import models as torchvision_models

from atlas.layers import select_layers
from tests.layer_tables import names, random_layers, table_of


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
        ("shufflenet_v2_x0_5", 16),
        ("mnasnet0_5", 16),
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
