"""The layer table, on networks small enough to work out by hand."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from atlas.errors import InputError, UsageError
from atlas.models.probes import probe_images
from atlas.models.selection import class_layer, readout_layer, select_layers
from atlas.models.table import layer_table
from tests.helpers import tiny_network
from tests.layer_tables import Small, message, names, random_layers, row, table_of


def test_tiny_network_table_by_hand() -> None:
    """conv1 sees 3; pooling 3 + 1 = 4 at stride 2; conv2 4 + 2·2 = 8. Padding keeps 16 and 8 px."""
    conv1 = 16 * 16 * 4 * 3 * 3 * 3
    conv2 = 8 * 8 * 3 * 4 * 3 * 3
    expected = [
        ("conv1", 4, 16, 3, 1, conv1),
        ("relu1", 4, 16, 3, 1, conv1),
        ("pool", 4, 8, 4, 2, conv1),
        ("conv2", 3, 8, 8, 2, conv1 + conv2),
        ("relu2", 3, 8, 8, 2, conv1 + conv2),
        ("class scores", 2, 1, 0, 0, conv1 + conv2 + 3 * 2),
    ]
    got = [
        (
            layer.name,
            layer.channels,
            layer.height,
            layer.receptive_field,
            layer.stride,
            layer.multiply_adds,
        )
        for layer in layer_table(tiny_network(), probe_images(16, 16))
        if layer.groups
    ]
    assert got == expected
    assert names(select_layers(layer_table(tiny_network(), probe_images(16, 16)), ["blocks"])) == [
        "relu1",
        "relu2",
    ]


def test_googlenet_children_are_conv1_to_inception5b() -> None:
    inceptions = ["4a", "4b", "4c", "4d", "4e"]
    expected = ["conv1", "maxpool1", "conv2", "conv3", "maxpool2", "inception3a", "inception3b"]
    expected += ["maxpool3", *(f"inception{name}" for name in inceptions), "maxpool4"]
    expected += ["inception5a", "inception5b"]
    layers = random_layers("googlenet")
    assert names(select_layers(layers, ["children"])) == expected
    assert row(layers, "conv1").receptive_field == 7, "transform_input sees single pixels"
    assert names(select_layers(layers, ["blocks"])) == [
        name for name in expected if "pool" not in name
    ]


def test_module_called_again_has_a_row_for_each_call() -> None:
    layers = table_of(
        lambda net, x: net.relu(net.b(net.relu(net.a(x)))),
        a=nn.Conv2d(3, 2, 3),
        b=nn.Conv2d(2, 2, 3),
        relu=nn.ReLU(inplace=True),
    )
    assert names(layers) == ["a", "relu", "b", "relu:1"]
    assert [layer.receptive_field for layer in layers] == [3, 3, 5, 5]
    assert [layer.index for layer in layers] == [0, 1, 2, 3]
    assert names(select_layers(layers, ["blocks"])) == ["relu", "relu:1"]


def test_channels_last_are_told_by_what_moves() -> None:
    layers = table_of(
        lambda net, x: net.back(net.norm(net.a(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)),
        a=nn.Conv2d(3, 2, 3),
        norm=nn.LayerNorm(2),
        back=nn.Identity(),
    )
    got = [(one.name, one.channels, one.height, one.layout) for one in layers if one.groups]
    assert got == [("a", 2, 14, "NCHW"), ("norm", 2, 14, "NHWC"), ("back", 2, 14, "NCHW")]


class Tokens(nn.Module):
    """Patches of 4 px as tokens, others in front of or behind them, attention, class scores."""

    def __init__(self, front: int, behind: int = 0) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 8, 4, stride=4)
        self.join = nn.Identity()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = nn.LayerNorm(8)
        self.part = nn.Identity()
        self.head = nn.Linear(8, 5)
        self.front, self.behind = front, behind

    def forward(self, images: Tensor) -> Tensor:
        x = self.patch(images).flatten(2).transpose(1, 2)
        front, behind = (torch.zeros(len(x), count, 8) for count in (self.front, self.behind))
        x = self.join(torch.cat([front, x, behind], dim=1))
        x = self.norm(x + self.attention(x, x, x, need_weights=False)[0])
        scores: Tensor = self.head(self.part(x[:, 1:]).mean(1))
        return scores


def test_tokens_are_placed_on_the_grid_of_their_patches() -> None:
    """16 px in patches of 4: a grid of 4 × 4; behind attention each sees the whole image."""
    layers = layer_table(Tokens(front=2).eval(), probe_images(16, 16))
    got = {
        one.name: (one.layout, one.channels, one.height, one.width, one.receptive_field, one.stride)
        for one in layers
        if one.groups
    }
    assert got == {
        "patch": ("NCHW", 8, 4, 4, 4, 4),
        "join": ("NLC+2", 8, 4, 4, 4, 4),
        "norm": ("NLC+2", 8, 4, 4, 16, 4),
        "part": ("NLC+1", 8, 4, 4, 16, 4),
        "class scores": ("NCHW", 5, 1, 1, 0, 0),
    }


def test_tokens_without_others_are_a_grid_too() -> None:
    assert row(layer_table(Tokens(front=0).eval(), probe_images(16, 16)), "join").layout == "NLC"


def test_tokens_before_and_behind_are_told_by_what_does_not_move() -> None:
    """20 tokens could be 4 × 5, but are 16 patches, one before and three behind."""
    found = row(layer_table(Tokens(front=1, behind=3).eval(), probe_images(16, 16)), "join")
    assert (found.layout, found.height, found.width) == ("NLC+1-3", 4, 4)


def test_tokens_that_are_no_grid_are_refused_by_name_with_their_shape() -> None:
    order = torch.randperm(16, generator=torch.Generator().manual_seed(0))
    layers = table_of(
        lambda net, x: net.mixed(net.patch(x).flatten(2).transpose(1, 2)[:, order]),
        patch=nn.Conv2d(3, 8, 4, stride=4),
        mixed=nn.Identity(),
    )
    assert names(layers) == ["patch"], "16 patches in no order"
    text = message(UsageError, lambda: select_layers(layers, ["patch", "mixed"]))
    assert "mixed (Identity) puts out (N, 16, 8)" in text


def test_module_that_puts_out_no_map_is_refused_by_name() -> None:
    layers = table_of(
        lambda net, x: net.head(net.many(net.a(x))["x"].mean((2, 3))),
        a=nn.Conv2d(3, 2, 3),
        many=Small(lambda net, x: {"x": x, "y": x}),
        head=nn.Linear(2, 4),
    )
    text = message(UsageError, lambda: select_layers(layers, ["many"]))
    assert "many (Small) puts out dict of (N, 2, 14, 14), (N, 2, 14, 14)" in text
    text = message(UsageError, lambda: select_layers(layers, ["a", "head"]))
    assert "head (Linear) puts out (N, 4)" in text
    assert names(select_layers(layers, ["*"])) == ["a"], "globs pick layers only"


def test_only_map_of_a_tuple_or_dict_is_the_layer() -> None:
    layers = table_of(
        lambda net, x: net.pair(net.out(net.a(x))["out"]),
        a=nn.Conv2d(3, 2, 3),
        out=Small(lambda net, x: {"out": x, "loss": x.sum()}),
        pair=Small(lambda net, x: (x, x.mean((2, 3)))),
    )
    assert names(layers) == ["a", "out", "pair"]


def test_tokens_of_several_maps_are_those_of_the_last_grid() -> None:
    """Tokens of 8 × 8 made a map, halved, and tokens again: 4 × 4."""
    layers = table_of(
        lambda net, x: net.second(
            net.smaller(
                net.first(net.a(x).flatten(2).transpose(1, 2)).transpose(1, 2).view(1, 4, 8, 8)
            )
            .flatten(2)
            .transpose(1, 2)
        ),
        a=nn.Conv2d(3, 4, 2, stride=2),
        first=nn.LayerNorm(4),
        smaller=nn.MaxPool2d(2),
        second=nn.LayerNorm(4),
    )
    got = [(one.name, one.height, one.layout) for one in layers if one.groups]
    assert got == [
        ("a", 8, "NCHW"),
        ("first", 8, "NLC"),
        ("smaller", 4, "NCHW"),
        ("second", 4, "NLC"),
    ]


def test_unused_modules_and_tuple_outputs_have_no_row() -> None:
    layers = table_of(
        lambda net, x: net.both(net.a(x)),
        a=nn.Conv2d(3, 2, 3),
        both=Small(lambda net, x: (x, {"again": x})),
        unused=nn.Conv2d(3, 2, 3),
    )
    assert names(layers) == ["a"]


def test_failure_names_the_module_and_leaves_no_hooks() -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Sequential(nn.ReLU(), nn.Conv2d(5, 2, 3)))
    text = message(InputError, lambda: layer_table(network, probe_images(16, 16)))
    assert "module '1.1'" in text
    assert "RuntimeError" in text
    assert not any(module._forward_hooks for module in network.modules())


def test_network_without_maps_says_what_its_outputs_are() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 5))
    text = message(InputError, lambda: layer_table(network, probe_images(16, 16)))
    assert "0 (N, 768), 1 (N, 5)" in text
    assert "convolutional" in text


# --- the classifier -------------------------------------------------------------------------------


def test_class_scores_are_the_last_layer_of_a_classifier() -> None:
    layers = random_layers("squeezenet1_1")
    scores = class_layer(layers)
    assert scores is not None
    assert (scores.channels, scores.height, scores.groups) == (1000, 1, ("classes",))
    assert scores.index == len(names(layers))
    assert scores.name not in names(select_layers(layers, ["all"]))


def test_layer_whose_means_the_classifier_reads_is_marked() -> None:
    read = readout_layer(random_layers("googlenet"))
    assert read is not None
    assert read.name == "inception5b"
    assert "blocks" in read.groups


def test_readout_behind_the_blocks_is_made_one_of_them() -> None:
    layers = random_layers("mobilenet_v3_large")
    read = readout_layer(layers)
    assert read is None, "two linear maps: the last one reads no means"
    read = readout_layer(random_layers("densenet121"))
    assert read is None, "a functional ReLU stands between the last layer and the means"
    read = readout_layer(random_layers("shufflenet_v2_x0_5"))
    assert read is not None
    assert read.name == "conv5"


def test_classifier_that_averages_scores_has_no_readout() -> None:
    assert readout_layer(random_layers("squeezenet1_1")) is None


@pytest.mark.parametrize(
    "ends",
    [
        lambda scores, maps: {"out": scores, "aux": maps},
        lambda scores, maps: (maps, scores),
        lambda scores, maps: scores.squeeze(),
        lambda scores, maps: scores.softmax(1),
    ],
)
def test_scores_are_found_in_what_is_put_out_and_so_is_the_layer_they_read(
    ends: Callable[[Tensor, Tensor], object],
) -> None:
    def forward(net: Any, images: Tensor) -> object:
        maps = net.a(images)
        return ends(net.head(maps.mean((2, 3))), maps)

    layers = table_of(
        forward,
        a=nn.Conv2d(3, 2, 3),
        head=nn.Linear(2, 4),
    )
    scores, read = class_layer(layers), readout_layer(layers)
    assert scores is not None
    assert scores.channels == 4
    assert read is not None
    assert read.name == "a"


def test_two_tables_of_scores_are_no_classifier() -> None:
    layers = table_of(
        lambda net, x: (net.head(net.a(x).mean((2, 3))), net.a(x).amax((2, 3))),
        a=nn.Conv2d(3, 2, 3),
        head=nn.Linear(2, 4),
    )
    assert class_layer(layers) is None
