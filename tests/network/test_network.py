"""Network: stops at the layer, sees it untouched, folds what may be folded, leaves no hooks."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torchvision.models import VisionTransformer

from atlas.config import Config
from atlas.errors import InputError
from atlas.models.load import Model, load_model
from atlas.models.probes import probe_images
from atlas.models.table import layer_table
from atlas.network.folding import conv_norm_pairs, fold_batch_norm
from atlas.network.network import Network, keep, spatial_mean
from atlas.network.tapping import module_path
from tests.helpers import calibrate, calibrated_googlenet, network_of, tiny_network


class Body(nn.Module):
    """A network whose forward is given, for one fact each."""

    def __init__(self, forward: Callable[["Body", Tensor], object], **parts: nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)
        self.body = forward

    def forward(self, images: Tensor) -> object:
        return self.body(self, images)


def noise(count: int, side: int = 16, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def parts(seed: int = 0, **more: nn.Module) -> dict[str, nn.Module]:
    """A convolution and a BatchNorm with statistics far from 0 and 1, both seeded."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        conv, norm = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.1, 2)
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    return {"conv": conv, "norm": norm, **more}


def outputs(network: Network, layer: str, images: Tensor) -> Tensor:
    with torch.no_grad(), network.tap({layer: keep}) as run:
        return run(images)[layer].clone()


def hooks(network: nn.Module) -> int:
    return sum(
        len(module._forward_hooks) + len(module._forward_pre_hooks) for module in network.modules()
    )


def folded_count(network: Network) -> int:
    """Norms of the engine's network that are still there, taken from those of the plain one."""
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.network.modules())


def relative(got: Tensor, wanted: Tensor) -> float:
    return float((got - wanted).abs().max() / wanted.abs().max())


# --- tap -----------------------------------------------------------------------------------------


def test_tapped_values_are_those_of_the_plain_network() -> None:
    plain = tiny_network()
    network = network_of(plain, ["relu1", "relu2"])
    images = noise(2)
    with torch.no_grad(), network.tap({"relu1": keep, "relu2": spatial_mean}) as run:
        got = run(images)
    first = plain.get_submodule("relu1")(plain.get_submodule("conv1")(images))
    torch.testing.assert_close(got["relu1"], first)
    last = images
    for name in ("conv1", "relu1", "pool", "conv2", "relu2"):
        last = plain.get_submodule(name)(last)
    torch.testing.assert_close(got["relu2"], last.mean((2, 3)))


def test_hand_weighted_channel_has_the_value_worked_out_by_hand() -> None:
    images = torch.zeros(1, 3, 16, 16)
    images[:, 0] = 0.8  # red over the mean of the others: 0.8 − 0 = 0.8
    network = network_of(tiny_network(), ["relu1"])
    assert torch.equal(outputs(network, "relu1", images)[0, 0], torch.full((16, 16), 0.8))
    assert not outputs(network, "relu1", images)[0, 1:3].any()


def test_images_are_normalised_channel_by_channel_and_back() -> None:
    network = network_of(tiny_network(), [], mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 2.0))
    images = torch.full((1, 3, 4, 4), 0.6)
    normalised = network.normalise(images)
    expected = torch.tensor([1.0, 1.6, 0.15]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    torch.testing.assert_close(normalised, expected)
    torch.testing.assert_close(network.denormalise(normalised), images)


def test_run_takes_normalised_images_as_they_are() -> None:
    network = network_of(tiny_network(), ["conv1"], mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2))
    images = noise(1)
    with torch.no_grad(), network.tap({"conv1": keep}) as run:
        ordinary = run(images)["conv1"].clone()
        given = run(network.normalise(images), normalised=True)["conv1"]
    assert torch.equal(given, ordinary)


def test_pass_stops_at_the_last_tapped_layer() -> None:
    def explode(body: Body, images: Tensor) -> Tensor:
        maps: Tensor = body.second(body.first(images))
        raise AssertionError(f"the pass went on after {maps.shape}")

    convs = {"first": nn.Conv2d(3, 2, 1), "second": nn.Conv2d(2, 2, 1)}
    body = Body(lambda own, images: own.second(own.first(images)), **convs)
    network = network_of(body, ["first", "second"])
    network.network.body = explode  # type: ignore[assignment]  # only from here on
    with network.tap({"second": keep, "first": keep}) as run:
        assert set(run(noise(1))) == {"first", "second"}
        assert set(run(noise(1))) == {"first", "second"}, "and again"


def test_in_place_relu_after_a_tap_does_not_reach_the_tapped_values() -> None:
    def forward(body: Body, images: Tensor) -> Tensor:
        return body.last(F.relu(body.conv(images), inplace=True))

    body = Body(forward, conv=nn.Conv2d(3, 2, 1), last=nn.Conv2d(2, 2, 1))
    nn.init.constant_(body.get_submodule("conv").bias, -0.5)  # type: ignore[arg-type]
    network = network_of(body, ["conv", "last"])
    with torch.no_grad(), network.tap({"conv": spatial_mean, "last": keep}) as run:
        got = run(noise(1))["conv"]
    plain = body.get_submodule("conv")(noise(1))
    torch.testing.assert_close(got, plain.mean((2, 3)))
    assert not torch.allclose(got, plain.clamp_min(0).mean((2, 3))), "the ReLU would have shown"


def test_reused_module_is_tapped_by_call() -> None:
    def forward(body: Body, images: Tensor) -> Tensor:
        return body.relu(body.conv(body.relu(images - 0.5)) - 0.1)

    body = Body(forward, conv=nn.Conv2d(3, 2, 1), relu=nn.ReLU(inplace=True))
    network = network_of(body, ["relu", "relu:1"])
    first = (noise(1) - 0.5).clamp_min(0)
    torch.testing.assert_close(outputs(network, "relu", noise(1)), first)
    second = (body.get_submodule("conv")(first) - 0.1).clamp_min(0)
    torch.testing.assert_close(outputs(network, "relu:1", noise(1)), second)
    with torch.no_grad(), network.tap({"relu": spatial_mean, "relu:1": spatial_mean}) as run:
        both = run(noise(1))
    torch.testing.assert_close(both["relu"], first.mean((2, 3)))
    torch.testing.assert_close(both["relu:1"], second.mean((2, 3)))
    assert module_path(body, "layer1.0.relu:2") == ("layer1.0.relu", 2)


@pytest.mark.parametrize("where", ["body", "reduce", "network", "name"])
def test_hooks_are_removed_after_an_exception(where: str) -> None:
    network = network_of(tiny_network(), ["relu1", "relu2"])

    def fail(*_: object) -> Tensor:
        raise ZeroDivisionError(where)

    if where == "network":
        network.network.get_submodule("pool").forward = fail  # type: ignore[assignment]
    second = "nothing" if where == "name" else "relu2"
    reduce = fail if where == "reduce" else keep
    with (
        pytest.raises((ZeroDivisionError, AttributeError)),
        network.tap({"relu1": reduce, second: keep}) as run,
    ):
        fail(run(noise(1)))
    assert hooks(network.network) == 0


def test_layer_that_is_never_reached_is_named() -> None:
    body = Body(lambda own, x: own.used(x), used=nn.Conv2d(3, 2, 1), unused=nn.Conv2d(3, 2, 1))
    network = network_of(body, ["used"])
    with (
        network.tap({"unused": keep, "used": keep}) as run,
        pytest.raises(InputError, match=r"^layer unused was not reached in a forward"),
    ):
        run(noise(1))
    with (
        network.tap({"used:1": keep}) as run,
        pytest.raises(InputError, match=r"layer used:1 was not reached"),
    ):
        run(noise(1))


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (
            lambda x: (x, x),
            r"layer part puts out a tuple of \(N, 3, 16, 16\), \(N, 3, 16, 16\), not one map",
        ),
        (lambda x: {}, "layer part puts out a dict, not one map"),
        (lambda x: x.mean((2, 3)), r"layer part has shape \(N, 3\), not \(N, C, H, W\)"),
    ],
)
def test_layer_without_a_map_says_what_it_is(
    output: Callable[[Tensor], object], message: str
) -> None:
    body = Body(lambda own, x: own.part(x), part=Body(lambda own, x: output(x)))
    network = network_of(body, [])
    with network.tap({"part": keep}) as run, pytest.raises(InputError, match=message):
        run(noise(1))


def network_with_table(plain: nn.Module, layers: Sequence[str], side: int = 16) -> Network:
    """`plain` as the engine sees it, with its layer table."""
    network = network_of(plain, [], side)
    table = layer_table(plain.eval(), probe_images(side, side))
    model = Model(info=network.info, network=plain.requires_grad_(False), layers=table)
    return Network(model, layers, torch.device("cpu"))


def tokens_of(body: Body, images: Tensor) -> Tensor:
    """Patches of 4 px as tokens, and one token in front of theirs."""
    x = body.patch(images).flatten(2).transpose(1, 2)
    return body.norm(torch.cat([torch.ones(len(x), 1, 3), x], dim=1))


def test_tokens_are_shown_as_maps_of_every_size_that_is_a_grid() -> None:
    body = Body(tokens_of, patch=nn.Conv2d(3, 3, 4, stride=4), norm=nn.LayerNorm(3))
    network = network_with_table(body, ["patch", "norm"])
    for side in (16, 32):
        images = noise(2, side)
        wanted = F.layer_norm(outputs(network, "patch", images).permute(0, 2, 3, 1), (3,))
        got = outputs(network, "norm", images)
        assert got.shape == (2, 3, side // 4, side // 4)
        torch.testing.assert_close(got, wanted.permute(0, 3, 1, 2))
    assert torch.equal(outputs(network, "norm", noise(1)), outputs(network, "norm", noise(2))[:1])


def test_tokens_that_are_no_grid_at_another_size_are_seen_at_the_input_size() -> None:
    def forward(body: Body, images: Tensor) -> Tensor:
        x = body.patch(images).flatten(2).transpose(1, 2)
        return body.norm(x[:, : 16 + (x.shape[1] > 16)])

    body = Body(forward, patch=nn.Conv2d(3, 3, 4, stride=4), norm=nn.LayerNorm(3))
    network = network_with_table(body, ["norm"])
    assert network.accepts(16, "norm")
    assert not network.accepts(32, "norm"), "17 tokens"
    assert network.seen_shape(32, "norm") == (16, 16)


def test_channels_last_are_shown_as_maps() -> None:
    body = Body(
        lambda own, x: own.norm(own.conv(x).permute(0, 2, 3, 1)),
        conv=nn.Conv2d(3, 5, 3),
        norm=nn.LayerNorm(5),
    )
    network = network_with_table(body, ["norm", "conv"])
    wanted = F.layer_norm(outputs(network, "conv", noise(2)).permute(0, 2, 3, 1), (5,))
    torch.testing.assert_close(outputs(network, "norm", noise(2)), wanted.permute(0, 3, 1, 2))


def test_only_map_of_a_dict_is_what_the_tap_shows() -> None:
    inner = Body(lambda own, x: {"out": x * 2, "loss": x.sum()})
    body = Body(lambda own, x: own.last(own.inner(x)["out"]), inner=inner, last=nn.Identity())
    network = network_with_table(body, ["inner", "last"])
    assert torch.equal(outputs(network, "inner", noise(1)), noise(1) * 2)
    with torch.no_grad(), network.tap({"inner": spatial_mean, "last": keep}) as run:
        assert set(run(noise(2))) == {"inner", "last"}


def test_vision_transformer_is_shown_its_own_size() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        plain = VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=3).eval()
    blocks = [f"encoder.layers.encoder_layer_{index}" for index in (0, 1)]
    network = network_with_table(plain, blocks, side=32)
    assert not network.accepts(16, blocks[0])
    assert network.seen_shape(16, blocks[0]) == network.seen_shape(64, blocks[0]) == (32, 32)
    tokens: list[Tensor] = []
    handle = plain.get_submodule(blocks[1]).register_forward_hook(
        lambda _module, _inputs, output: tokens.append(output)
    )
    plain(network.normalise(noise(2, 32)))
    handle.remove()
    got = outputs(network, blocks[1], noise(2, 32))
    assert got.shape == (2, 16, 4, 4)
    torch.testing.assert_close(got[1, :, 2, 3], tokens[0][1, 1 + 2 * 4 + 3])


def test_one_channel_network_sees_luminance() -> None:
    network = network_of(nn.Sequential(nn.Conv2d(1, 2, 1)), ["0"], mean=(0.4,), std=(0.5,))
    conv = network.network.get_submodule("0")
    images = noise(2)
    red, green, blue = images.split(1, 1)
    grey = (0.299 * red + 0.587 * green + 0.114 * blue - 0.4) / 0.5
    torch.testing.assert_close(outputs(network, "0", images), conv(grey))


def test_network_runs_in_the_precision_asked_for() -> None:
    network = network_of(tiny_network(), ["conv1"])
    with torch.no_grad(), network.tap({"conv1": keep}, "bf16") as run:
        rounded = run(noise(1, 8))["conv1"]
    exact = outputs(network, "conv1", noise(1, 8))
    assert (rounded.dtype, exact.dtype) == (torch.bfloat16, torch.float32)
    assert 0 < relative(rounded.float(), exact) < 2**-6


def test_spatial_mean_is_taken_in_fp32() -> None:
    maps = torch.ones(1, 1, 64, 64, dtype=torch.bfloat16)
    maps[..., 0] = 1.0078125
    assert spatial_mean(maps).dtype == torch.float32
    assert float(spatial_mean(maps)) == pytest.approx(1 + 0.0078125 / 64, abs=1e-7)


def test_sides_are_accepted_where_the_layer_still_has_a_map() -> None:
    network = network_of(
        nn.Sequential(OrderedDict(pool=nn.MaxPool2d(4), conv=nn.Conv2d(3, 2, 3))), ["conv"]
    )
    assert network.accepts(12, "conv")
    assert not network.accepts(8, "conv"), "2 × 2 is too small for 3 × 3"
    assert network.accepts(8, "pool")
    assert hooks(network.network) == 0


def test_sides_are_accepted_while_a_tap_is_open() -> None:
    network = network_of(tiny_network(), ["relu1", "relu2"])
    with torch.no_grad(), network.tap({"relu1": keep, "relu2": keep}) as run:
        before = run(noise(2))["relu2"].clone()
        assert network.accepts(28, "relu2")
        assert network.accepts(20, "relu1")
        assert torch.equal(run(noise(2))["relu2"], before)


# --- convolutions of 1 × 1 -----------------------------------------------------------------------


def test_convolutions_of_one_weight_are_done_by_the_library_of_the_others() -> None:
    norms = {"first": nn.BatchNorm2d(6), "second": nn.BatchNorm2d(4)}
    net = nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(3, 6, 3),
            norm=norms["first"],
            one=nn.Conv2d(6, 4, 1),
            other=norms["second"],
            grouped=nn.Conv2d(4, 8, 1, groups=2),
            strided=nn.Conv2d(8, 2, 1, stride=2, bias=False),
        )
    )
    calibrate(net, noise(8))
    images, threads = noise(5), torch.get_num_threads()
    network = network_of(net, ["grouped", "strided"])
    torch.set_num_threads(1)
    try:
        with profile(activities=[ProfilerActivity.CPU]) as seen:
            ours = images.clone().requires_grad_()
            with network.tap({"strided": keep}) as run:
                maps = run(ours, normalised=True)["strided"]
            (gradient,) = torch.autograd.grad(maps.square().sum(), ours)
    finally:
        torch.set_num_threads(threads)
    plain = images.clone().requires_grad_()
    wanted = net(plain)
    (expected,) = torch.autograd.grad(wanted.square().sum(), plain)
    assert relative(maps.detach(), wanted.detach()) < 1e-5
    assert relative(gradient, expected) < 1e-5
    kinds = {event.key for event in seen.key_averages()}
    assert "aten::mkldnn_convolution" in kinds
    assert not {kind for kind in kinds if "slow_conv" in kind}
    assert type(net.get_submodule("one")) is nn.Conv2d, "the given network is never changed"


def test_borders_of_a_convolution_of_one_weight_stay_what_they_are() -> None:
    conv = nn.Conv2d(3, 2, 1, padding=2, padding_mode="reflect")
    network = network_of(nn.Sequential(OrderedDict(conv=conv)), ["conv"])
    with torch.no_grad():
        wanted = conv(noise(3))
    assert relative(outputs(network, "conv", noise(3)), wanted) < 1e-6
    assert network.fallback == ""


# --- folding -------------------------------------------------------------------------------------


def test_norm_is_folded_into_its_convolution_and_the_values_stay() -> None:
    net = Body(lambda own, x: own.relu(own.norm(own.conv(x))), **parts(relu=nn.ReLU(inplace=True)))
    network = network_of(net, ["relu", "norm"])
    assert folded_count(network) == 0
    images = noise(3)
    with torch.no_grad():
        wanted = net.get_submodule("norm")(net.get_submodule("conv")(images))
    assert relative(outputs(network, "norm", images), wanted) < 1e-5
    assert relative(outputs(network, "relu", images), wanted.clamp_min(0)) < 1e-5


def test_the_given_network_is_never_changed() -> None:
    net = Body(lambda own, x: own.norm(own.conv(x)), **parts())
    before = {name: value.clone() for name, value in net.state_dict().items()}
    network_of(net, ["norm"])
    assert isinstance(net.get_submodule("norm"), nn.BatchNorm2d)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert hooks(net) == 0


def test_weights_that_stay_as_they_are_stand_in_memory_once() -> None:
    net = Body(
        lambda own, x: own.last(own.norm(own.conv(x)).mean((2, 3))), **parts(last=nn.Linear(4, 2))
    )
    network = network_of(net, ["norm"])
    for name, shared in (("last", True), ("conv", False)):
        ours, theirs = network.network.get_submodule(name), net.get_submodule(name)
        assert isinstance(ours.weight, nn.Parameter)
        assert ours.weight is not theirs.weight
        assert (ours.weight.data_ptr() == theirs.weight.data_ptr()) is shared, name


def test_tapped_convolution_is_not_folded() -> None:
    net = Body(lambda own, x: own.norm(own.conv(x)), **parts())
    network = network_of(net, ["conv", "norm"])
    assert folded_count(network) == 1
    with torch.no_grad():
        assert relative(outputs(network, "conv", noise(1)), net.get_submodule("conv")(noise(1))) < (
            1e-6
        )


def test_convolution_whose_output_is_used_twice_is_not_folded() -> None:
    def forward(body: Body, images: Tensor) -> Tensor:
        maps = body.conv(images)
        return body.sum(body.norm(maps) + maps)

    net = Body(forward, **parts(sum=nn.Identity()))
    network = network_of(net, ["sum"])
    with torch.no_grad():
        wanted = net(noise(2))
    assert isinstance(wanted, Tensor)
    assert folded_count(network) == 1
    assert relative(outputs(network, "sum", noise(2)), wanted) < 1e-6


def test_norm_after_an_in_place_change_of_the_convolution_is_no_pair() -> None:
    net = Body(lambda own, x: own.norm(own.conv(x).add_(1)), **parts()).eval()
    assert conv_norm_pairs(net, noise(1)) == []


def test_modules_called_twice_or_registered_twice_are_no_pairs() -> None:
    twice = Body(lambda own, x: own.norm(own.conv(x)) + own.norm(own.conv(x + 1)), **parts())
    with torch.no_grad():
        assert conv_norm_pairs(twice.eval(), noise(1)) == []
        aliased = Body(lambda own, x: own.norm(own.conv(x)), **parts()).eval()
        assert conv_norm_pairs(aliased, noise(1)) == [("conv", "norm")]
        aliased.add_module("again", aliased.get_submodule("conv"))
        assert conv_norm_pairs(aliased, noise(1)) == []


def test_norm_without_running_statistics_is_left_alone() -> None:
    pair = {"conv": nn.Conv2d(3, 4, 1), "norm": nn.BatchNorm2d(4, track_running_stats=False)}
    net = Body(lambda own, x: own.norm(own.conv(x)), **pair).eval()
    assert fold_batch_norm(net, noise(2), ["norm"]) is None


def test_layers_of_a_real_block_agree_when_folded() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(
            *(
                layer
                for channels in (3, 8, 12)
                for layer in (
                    nn.Conv2d(channels, {3: 8, 8: 12, 12: 6}[channels], 3, bias=False),
                    nn.BatchNorm2d({3: 8, 8: 12, 12: 6}[channels]),
                    nn.ReLU(inplace=True),
                )
            )
        )
    calibrate(net, noise(8))
    network = network_of(net, ["2", "5", "8"])
    assert folded_count(network) == 0
    wanted = noise(2, seed=5)
    with torch.no_grad():
        for index, layer in enumerate(net):
            wanted = layer(wanted)
            if index in (2, 5, 8):
                got = outputs(network, str(index), noise(2, seed=5))
                assert relative(got, wanted) < 1e-5


@pytest.mark.slow
def test_calibrated_googlenet_agrees_when_folded(tmp_path: Path) -> None:
    images = (noise(8, 64) - 0.5) / 0.25
    weights = calibrated_googlenet(tmp_path / "googlenet.pth", images)
    model = load_model(Config(model="googlenet", weights=str(weights), input_size=64))
    blocks = [layer.name for layer in model.layers if "blocks" in layer.groups]
    network = Network(model, blocks, torch.device("cpu"))
    assert folded_count(network) == 0, "all 57 are folded"
    check_against_plain(network, model.network, blocks, 64)


@pytest.mark.slow
def test_embedded_network_with_timm_norms_agrees_when_folded() -> None:
    model = load_model(Config(input_size=96))
    blocks = [layer.name for layer in model.layers if "blocks" in layer.groups]
    network = Network(model, blocks, torch.device("cpu"))
    kinds = {type(module).__name__ for module in model.network.modules()}
    assert "BatchNormAct2d" in kinds
    assert folded_count(network) == 0
    check_against_plain(network, model.network, blocks, 96)


def check_against_plain(network: Network, plain: nn.Module, layers: list[str], side: int) -> None:
    """Every layer to 1e-4 of its largest value, against hooks on the untouched network."""
    images = noise(2, side, seed=3)
    wanted: dict[str, Tensor] = {}

    def remember(name: str) -> Callable[..., None]:
        return lambda _module, _inputs, output: wanted.__setitem__(name, output.clone())

    handles = [plain.get_submodule(name).register_forward_hook(remember(name)) for name in layers]
    with torch.no_grad():
        plain(network.normalise(images))
    for handle in handles:
        handle.remove()
    with torch.no_grad(), network.tap(dict.fromkeys(layers, torch.clone)) as run:
        got = run(images)
    worst = {name: relative(got[name], wanted[name]) for name in layers}
    assert max(worst.values()) < 1e-4, worst
    assert np.isfinite(list(worst.values())).all()


class Doubled(nn.Module):
    """A building block: a convolution, a ReLU, and the sum with what came in."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(x)) + x


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")  # torch's own
def test_compiled_blocks_give_the_same_activations_and_gradients() -> None:
    torch.manual_seed(0)
    stem, *blocks = nn.Conv2d(3, 4, 3), Doubled(), Doubled(), Doubled()
    names = ("stem", "first", "second", "third")
    plain = nn.Sequential(OrderedDict(zip(names, (stem, *blocks), strict=True)))
    plain.eval().requires_grad_(False)
    info = network_of(plain, ["second"]).info
    model = Model(info=info, network=plain, layers=layer_table(plain, probe_images(16, 16)))
    images = noise(2).requires_grad_()
    results = []
    for compile in ("auto", "on"):
        network = Network(model, ["second"], torch.device("cpu"), compile)
        compiled = "forward" in vars(network.network.get_submodule("second"))
        assert compiled == (compile == "on")
        assert not network.notes
        with network.tap({"second": keep}) as run:
            value = run(images)["second"]
            results.append((value, *torch.autograd.grad(value.sum(), images)))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_blocks_that_cannot_be_compiled_run_as_they_are_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from atlas.network import network as module

    model = Model(
        info=network_of(tiny_network(), ["relu2"]).info, network=tiny_network(), layers=()
    )
    monkeypatch.setattr(module, "agrees", lambda *arguments: False)
    network = Network(model, ["relu2"], torch.device("cpu"), "on")
    assert network.notes == (module.UNCOMPILED,)
    assert not network.uncompile(), "nothing is compiled"


def test_compiled_blocks_that_fail_later_are_given_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from atlas.network import network as module

    model = Model(
        info=network_of(tiny_network(), ["relu2"]).info, network=tiny_network(), layers=()
    )
    monkeypatch.setattr(module, "compile_blocks", lambda *arguments: None)
    network = Network(model, ["relu2"], torch.device("cpu"), "on")
    compiled = network.way
    assert not network.notes
    assert network.uncompile()
    assert network.way is not compiled
    assert network.notes == (module.UNCOMPILED,)
    assert not network.uncompile()
