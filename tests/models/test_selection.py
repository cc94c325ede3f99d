"""Rows of a layer table by group, name and glob."""

from atlas.errors import UsageError
from atlas.models.probes import probe_images
from atlas.models.selection import select_layers
from atlas.models.table import layer_table
from tests.helpers import tiny_network
from tests.layer_tables import message, names


def test_groups_names_and_globs_select_in_forward_order() -> None:
    layers = layer_table(tiny_network(), probe_images(16, 16))
    assert names(select_layers(layers, ["relu2", "conv?", "pool"])) == [
        "conv1",
        "pool",
        "conv2",
        "relu2",
    ]
    assert names(select_layers(layers, ["all"])) == ["conv1", "relu1", "pool", "conv2", "relu2"]
    assert names(select_layers(layers, ["blocks", "relu1"])) == ["relu1", "relu2"]


def test_pattern_that_selects_nothing_names_the_closest() -> None:
    layers = layer_table(tiny_network(), probe_images(16, 16))
    text = message(UsageError, lambda: select_layers(layers, ["relu1", "konv2"]))
    assert "'konv2'; closest: conv2" in text
    assert "build_atlas.py layers" in text
