"""Receptive fields and multiply-adds, worked out by hand, by gradients or by the papers."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from atlas.models.operation import einsum_multiply_adds
from atlas.models.probes import probe_images
from atlas.models.selection import class_layer
from atlas.models.table import layer_table
from atlas.models.trace import described, only_map
from atlas.records.network import LayerInfo
from tests.layer_tables import Small, names, random_layers, row, table_of


@pytest.mark.parametrize(
    ("model", "layer", "field", "stride"),
    [
        ("vgg16", "features.3", 5, 1),  # conv1_2
        ("vgg16", "features.29", 196, 16),  # conv5_3
        ("vgg16", "features.30", 212, 32),  # pool5
        ("alexnet", "features.12", 195, 32),
        ("resnet18", "layer4", 435, 32),
        ("mobilenet_v2", "features", 491, 32),
        ("inception_v3", "Mixed_7c", 1311, 32),
    ],
)
def test_receptive_fields_are_the_published_ones(
    model: str, layer: str, field: int, stride: int
) -> None:
    """Source: Araujo, Norris and Sim 2019, «Computing receptive fields of CNNs», table 1."""
    found = row(random_layers(model), layer)
    assert (found.receptive_field, found.stride) == (field, stride)


def influence(network: nn.Module, layer: str, size: int) -> int:
    """Measure a receptive field: side of the input area with a gradient from the middle position.

    All weights are made positive, so that nothing cancels and no unit is off.
    """
    network = network.double().eval()
    for weight in network.parameters():
        weight.data = weight.data.abs() + 1e-3
    captured: list[Tensor] = []
    handle = network.get_submodule(layer).register_forward_hook(
        lambda module, args, out: captured.append(out)
    )
    image = torch.rand(1, 3, size, size, dtype=torch.float64, requires_grad=True)
    network(image)
    handle.remove()
    middle = captured[0].shape[2] // 2
    captured[0][0, :, middle, middle].sum().backward()
    assert image.grad is not None
    return int((image.grad.abs().sum((0, 1, 2)) > 0).sum())


def test_receptive_field_is_what_gradients_reach() -> None:
    """Average pooling for maximum pooling, so that every position of a window counts."""

    def network() -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(3, 2, 5, stride=2),
            nn.AvgPool2d(3, 2),
            nn.Conv2d(2, 2, 3, dilation=2),
            nn.Conv2d(2, 2, 3, groups=2),
        )

    table = layer_table(network(), probe_images(95, 95))
    assert influence(network(), "3", 95) == row(table, "3").receptive_field == 9 + 8 * 2 + 8


def test_functional_and_in_place_operations_are_followed() -> None:
    def forward(net: Small, x: Tensor) -> Tensor:
        x = functional.relu(net.a(x), inplace=True)
        x = functional.max_pool2d(x, 2)
        x += 1
        return net.b(torch.cat((x, x.clone().relu_()), 1))

    layers = table_of(forward, a=nn.Conv2d(3, 2, 3), b=nn.Conv2d(4, 1, 3))
    assert row(layers, "b").receptive_field == 3 + 1 + 2 * 2


def test_global_pooling_sees_the_whole_input() -> None:
    """A squeeze-and-excitation gate: one position depends on every pixel, the stride stays."""

    def forward(net: Small, x: Tensor) -> Tensor:
        x = net.a(x)
        return net.out(x * net.gate(x.mean((2, 3), keepdim=True)).sigmoid())

    parts = {"a": nn.Conv2d(3, 2, 3, 2), "gate": nn.Conv2d(2, 2, 1), "out": nn.ReLU()}
    layers = table_of(forward, **parts)
    assert names(layers) == ["a", "out"]
    assert (row(layers, "out").receptive_field, row(layers, "out").stride) == (16, 2)


def test_rectangular_kernels_add_up_by_direction() -> None:
    layers = table_of(
        lambda net, x: net.b(net.a(x)),
        a=nn.Conv2d(3, 2, (1, 7)),
        b=nn.Conv2d(2, 2, (7, 1)),
    )
    assert row(layers, "b").receptive_field == 7


def test_resampling_that_is_not_followed_is_marked_unknown() -> None:
    layers = table_of(
        lambda net, x: net.b(functional.interpolate(net.a(x), scale_factor=2)),
        a=nn.Conv2d(3, 2, 3),
        b=nn.Conv2d(2, 2, 3),
    )
    assert (row(layers, "b").receptive_field, row(layers, "b").stride) == (0, 0)
    assert row(layers, "b").multiply_adds == 14 * 14 * 2 * 27 + 26 * 26 * 2 * 18


def test_multiply_adds_of_known_networks() -> None:
    """Published numbers of multiply-adds at the published size."""
    for name, billions in (("googlenet", 1.498), ("squeezenet1_1", 0.349), ("resnet18", 1.814)):
        scores = class_layer(random_layers(name, 224))
        assert scores is not None
        assert scores.multiply_adds / 1e9 == pytest.approx(billions, abs=0.002)


def test_multiply_adds_of_products_by_hand() -> None:
    """Each input of a transposed convolution meets 2 × 3 × 3 weights."""

    def forward(net: Small, x: Tensor) -> Tensor:
        x = net.up(x)
        gate = net.second(net.first(x.mean((2, 3))))
        return net.out(x * (gate @ torch.ones(2, 2))[:, :, None, None])

    layers = table_of(
        forward,
        up=nn.ConvTranspose2d(3, 2, 3, stride=2),
        first=nn.Linear(2, 5),
        second=nn.Linear(5, 2),
        out=nn.Identity(),
    )
    up = 3 * 16 * 16 * 2 * 3 * 3
    assert row(layers, "up").multiply_adds == up
    assert row(layers, "out").multiply_adds == up + 2 * 5 + 5 * 2 + 2 * 2


# --- tokens ---------------------------------------------------------------------------------------

TOKENS = 16
"""Of 16 px in patches of 4."""


def tokens_table(
    mix: Callable[[Small, Tensor], Tensor], **parts: nn.Module
) -> tuple[LayerInfo, ...]:
    """The table of patches of 8 channels, (1, 16, 8), mixed in some way."""
    return table_of(
        lambda net, x: net.out(mix(net, net.patch(x).flatten(2).transpose(1, 2))),
        patch=nn.Conv2d(3, 8, 4, stride=4),
        out=nn.LayerNorm(8),
        **parts,
    )


PATCHES = 16 * 8 * 3 * 4 * 4
"""Multiply-adds of the patches: 16 positions, 8 channels, 3 × 4 × 4 pixels."""


@pytest.mark.parametrize(
    ("mix", "adds"),
    [
        (lambda x: functional.scaled_dot_product_attention(x, x, x), 2 * TOKENS * TOKENS * 8),
        (lambda x: (x @ x.transpose(1, 2)) @ x, 2 * TOKENS * TOKENS * 8),
        (lambda x: torch.bmm(torch.bmm(x, x.transpose(1, 2)).softmax(-1), x), 2 * 16 * 16 * 8),
    ],
)
def test_attention_over_all_tokens_sees_the_whole_input(
    mix: Callable[[Tensor], Tensor], adds: int
) -> None:
    found = row(tokens_table(lambda net, x: mix(x)), "out")
    assert (found.receptive_field, found.stride, found.layout) == (16, 4, "NLC")
    assert found.multiply_adds == PATCHES + adds


def test_attention_module_counts_its_four_linear_maps() -> None:
    def mix(net: Small, x: Tensor) -> Tensor:
        mixed: Tensor = net.attention(x, x, x, need_weights=False)[0]
        return mixed

    layers = tokens_table(mix, attention=nn.MultiheadAttention(8, 2, batch_first=True))
    found = row(layers, "out")
    assert found.multiply_adds == PATCHES + 4 * TOKENS * 8 * 8 + 2 * TOKENS * TOKENS * 8
    assert (found.receptive_field, found.stride) == (16, 4)


def test_attention_in_windows_is_marked_unknown() -> None:
    def mix(net: Small, x: Tensor) -> Tensor:
        windows = x.view(4, 4, 8)
        return functional.scaled_dot_product_attention(windows, windows, windows).view(1, 16, 8)

    found = row(tokens_table(mix), "out")
    assert (found.receptive_field, found.stride, found.height) == (0, 0, 4)
    assert found.multiply_adds == PATCHES + 4 * 2 * 4 * 4 * 8


def test_einsum_counts_all_its_indices_and_is_marked_unknown() -> None:
    def mix(net: Small, x: Tensor) -> Tensor:
        return torch.einsum("n i j, n j c -> n i c", torch.einsum("nic,njc->nij", x, x), x)

    found = row(tokens_table(mix), "out")
    assert found.multiply_adds == PATCHES + 2 * TOKENS * TOKENS * 8
    assert found.receptive_field == 0
    assert einsum_multiply_adds("...i,...i->...", ()) == 0, "not written out"


def test_linear_map_over_the_tokens_sees_the_whole_input() -> None:
    layers = tokens_table(
        lambda net, x: net.mixer(x.transpose(1, 2)).transpose(1, 2), mixer=nn.Linear(16, 16)
    )
    found = row(layers, "out")
    assert (found.receptive_field, found.stride, found.layout) == (16, 4, "NLC")
    assert "mixer" not in names(layers), "(N, C, L)"


def test_outputs_are_described_by_their_shapes() -> None:
    map_, vector = torch.zeros(2, 3, 4, 4), torch.zeros(2, 5)
    assert described(map_) == "(N, 3, 4, 4)"
    assert described({"a": map_, "b": [vector]}) == "dict of (N, 3, 4, 4), (N, 5)"
    assert described((map_,) * 6).endswith("(N, 3, 4, 4), …")
    assert described(None) == "NoneType"
    assert only_map({"a": map_, "b": vector}) is map_
    both = (map_, map_)
    assert only_map(both) is both
