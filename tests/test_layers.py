"""The layer table and the selection of its rows, on networks small enough to work out by hand."""

from torch import nn

from atlas.errors import InputError, UsageError
from atlas.layers import layer_table, select_layers
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
        for layer in layer_table(tiny_network(), 16)
    ]
    assert got == expected
    assert names(select_layers(layer_table(tiny_network(), 16), ["blocks"])) == ["relu1", "relu2"]


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


def test_outputs_with_channels_last_are_no_layers() -> None:
    layers = table_of(
        lambda net, x: net.back(net.norm(net.a(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)),
        a=nn.Conv2d(3, 2, 3),
        norm=nn.LayerNorm(2),
        back=nn.Identity(),
    )
    assert names(layers) == ["a", "back"]


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
    text = message(InputError, lambda: layer_table(network, 16))
    assert "module '1.1'" in text
    assert "RuntimeError" in text
    assert not any(module._forward_hooks for module in network.modules())


def test_network_without_maps_says_what_its_outputs_are() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 5))
    text = message(InputError, lambda: layer_table(network, 16))
    assert "0 (1, 768), 1 (1, 5)" in text
    assert "convolutional" in text


# --- selecting layers -----------------------------------------------------------------------------


def test_groups_names_and_globs_select_in_forward_order() -> None:
    layers = layer_table(tiny_network(), 16)
    assert names(select_layers(layers, ["relu2", "conv?", "pool"])) == [
        "conv1",
        "pool",
        "conv2",
        "relu2",
    ]
    assert select_layers(layers, ["all"]) == layers
    assert names(select_layers(layers, ["blocks", "relu1"])) == ["relu1", "relu2"]


def test_pattern_that_selects_nothing_names_the_closest() -> None:
    layers = layer_table(tiny_network(), 16)
    text = message(UsageError, lambda: select_layers(layers, ["relu1", "konv2"]))
    assert "'konv2'; closest: conv2" in text
    assert "build_atlas.py layers" in text
