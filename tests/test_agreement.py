"""Statistics are those of plain hooks on the untouched network: six networks of two libraries.

`python -m tests.agreement` does the same for all of torchvision's classifiers and twenty of timm.
"""

import pytest

from tests.agreement import largest_difference


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("resnet18", "googlenet", "mobilenet_v3_small", "swin_t"),
        *("timm/mobilenetv3_small_050", "timm/vit_tiny_patch16_224"),
    ],
)
def test_all_layers_agree_with_plain_hooks(name: str) -> None:
    worst, where, _ = largest_difference(name)
    assert worst < 1e-4, where
