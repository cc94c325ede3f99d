"""Circuits: hand-wired networks give the wiring, the signs and the numbers worked out on paper."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atlas.attribution.circuits import Circuits, tracing
from atlas.config import Config
from atlas.images.tensors import to_tensor
from atlas.models.load import load_model
from atlas.network.network import Network
from atlas.ranking.activations import measure_layers
from atlas.records.circuits import KINDS, Circuit, agreement, checked
from atlas.records.network import CLASSES
from tests.attribution.wired import (
    BRIGHT,
    DIM,
    SIDE,
    Body,
    changes,
    circuit,
    effects,
    linear,
    point,
    traced,
    wired,
)
from tests.helpers import smooth_images

PICTURES = smooth_images(4)
LAYERS = ["first", "second", "third", CLASSES]


def of_second() -> Circuit:
    """The circuit of second:0 on the bright picture: 2·.8 − 3·.4 + 1 = 1.4; its mean is 1.3."""
    with traced(wired(), LAYERS, [BRIGHT, DIM]) as circuits:
        return circuit(circuits, "second", 0, [BRIGHT])


def near(number: float) -> object:
    return pytest.approx(number, rel=1e-4, abs=1e-6)


# --- the hand-wired network ----------------------------------------------------------------------


def test_feeding_units_have_the_contributions_worked_out_by_hand() -> None:
    found = of_second()
    assert found.activation == near(1.4)
    # weight × (activation − mean): 2·(.8 − .6) and −3·(.4 − .3); blue has no weight
    assert effects(found, "fed_by") == {("first", 0): near(0.4), ("first", 1): near(-0.3)}
    assert [link.product for link in found.of("fed_by")] == [near(1.6), near(-1.2)]


def test_fed_units_have_the_effects_worked_out_by_hand_over_their_spread() -> None:
    found = of_second()
    # third:0 is .7 and .6 on the two pictures, its spread .05; the unit is .1 above its mean
    assert effects(found, "feeds") == {("third", 0): near(0.5 * 0.1 / 0.05)}


def test_classes_have_the_scores_worked_out_by_hand() -> None:
    found = of_second()
    assert effects(found, "classes") == {(CLASSES, 0): near(0.2), (CLASSES, 1): near(-0.1)}


def test_ablation_equals_the_prediction_where_the_network_is_linear() -> None:
    found = of_second()
    for kind in ("fed_by", "feeds", "classes"):
        assert changes(found, kind) == pytest.approx(effects(found, kind), rel=1e-4, abs=1e-6)


def test_completeness_is_exact_on_a_piecewise_linear_network() -> None:
    assert of_second().error < 1e-6


def test_kernel_is_the_weight_between_two_units() -> None:
    kernels = [link.kernel.tolist() for link in of_second().of("fed_by")]
    assert kernels == [[[2.0]], [[-3.0]]]


def test_a_layer_fed_by_the_image_alone_says_so() -> None:
    with traced(wired(), LAYERS, [BRIGHT, DIM]) as circuits:
        found = circuit(circuits, "first", 0, [BRIGHT])
    assert not found.of("fed_by")
    assert math.isnan(found.error)
    assert "the image itself" in found.reasons["fed_by"]
    assert effects(found, "classes") == {(CLASSES, 0): near(0.8), (CLASSES, 1): near(-0.4)}


def test_the_last_layer_feeds_no_unit_but_raises_classes() -> None:
    with traced(wired(), LAYERS, [BRIGHT, DIM]) as circuits:
        found = circuit(circuits, "third", 0, [BRIGHT])
    assert "no gradient of another layer" in found.reasons["feeds"]
    assert effects(found, "classes") == {(CLASSES, 0): near(0.2), (CLASSES, 1): near(-0.1)}


def test_a_unit_that_changes_nothing_says_so() -> None:
    with traced(wired(), LAYERS, [BRIGHT, DIM]) as circuits:
        found = circuit(circuits, "second", 1, [BRIGHT])  # below zero, so the ReLU stops it
    assert found.activation == near(-0.6)
    assert effects(found, "fed_by") == {("first", 2): near(-0.1)}
    assert not found.of("feeds")
    assert not found.of("classes")
    assert set(found.reasons) == {"feeds", "classes"}


def test_several_images_are_averaged() -> None:
    with traced(wired(), LAYERS, [BRIGHT, DIM]) as circuits:
        found = circuit(circuits, "second", 0, [BRIGHT, DIM])
    assert found.images == (0, 1)
    assert found.activation == near(1.3)
    assert all(abs(one) < 1e-6 for one in effects(found, "classes").values())  # .1 and −.1


def test_without_classes_and_other_layers_there_are_reasons() -> None:
    with traced(wired()[:1], ["first"], [BRIGHT, DIM]) as circuits:
        found = circuit(circuits, "first", 0, [BRIGHT])
    assert not any(found.links.values())
    assert found.reasons["classes"] == "the network puts out no class scores"


def test_one_sample_image_gives_no_effects_but_no_failure() -> None:
    with traced(wired(), LAYERS, [BRIGHT]) as circuits:
        found = circuit(circuits, "second", 0, [BRIGHT])
    assert found.activation == near(1.4)
    assert all(abs(link.effect) < 1e-6 for link in found.of("fed_by"))


# --- the graph -----------------------------------------------------------------------------------


def test_branches_and_skips_find_what_feeds_a_layer() -> None:
    def forward(body: Body, images: Tensor) -> Tensor:
        stem = F.relu(body.stem(images))
        return body.last(body.join(torch.cat([body.left(stem), body.right(stem)], 1)) + stem)

    parts = {
        "stem": nn.Conv2d(3, 4, 1),
        "left": nn.Conv2d(4, 3, 1),
        "right": nn.Conv2d(4, 2, 1),
        "join": nn.Conv2d(5, 4, 1),
        "last": nn.Conv2d(4, 2, 1),
    }
    with traced(Body(forward, **parts), list(parts), smooth_images(3)) as circuits:
        assert circuits.before["left"] == circuits.before["right"] == ("stem",)
        assert circuits.before["join"] == ("left", "right")
        assert circuits.before["last"] == ("stem", "join")
        assert circuits.behind["stem"] == ["left", "right", "last"]
        found = circuit(circuits, "join", 0, smooth_images(2))
        assert {link.layer for link in found.of("fed_by")} == {"left", "right"}
        assert found.error < 1e-5


def test_another_branch_is_held_while_a_feeding_unit_is_set_to_its_mean() -> None:
    """y = a · b is no linear map: of each only its own change counts."""

    def forward(body: Body, images: Tensor) -> Tensor:
        return body.last(body.left(images) * body.right(images))

    parts = {name: point([[1, 0, 0]], [0]) for name in ("left", "right")}
    body = Body(forward, **parts, last=point([[1]], [0]))
    with traced(body, ["left", "right", "last"], [BRIGHT, DIM]) as circuits:
        found = circuit(circuits, "last", 0, [BRIGHT])
    assert changes(found, "fed_by") == {("left", 0): near(0.8 * 0.2), ("right", 0): near(0.8 * 0.2)}
    # both together owe .8·.2 twice and both products are .64, twice the activation
    assert found.error == near(1.0)


def test_a_unit_at_a_ceiling_is_seen_below_it() -> None:
    image = BRIGHT.copy()
    image[: SIDE // 2] = (255, 0, 0)
    body = nn.Sequential()
    body.add_module("first", point([[1, 0, 0], [0, 1, 0]], [0, 0]))
    body.add_module("second", nn.Sequential(point([[10, 0]], [0]), nn.Hardtanh(0, 9)))
    with traced(body, ["first", "second"], [image, DIM]) as circuits:
        found = circuit(circuits, "second", 0, [image])
    assert found.activation == near(8.0), "10 · 1 is held at 9, 10 · .8 is not"
    mean = (0.5 * (1 + 0.8) + 0.4) / 2
    assert effects(found, "fed_by") == {("first", 0): near(10 * (0.8 - mean))}
    assert found.error < 1e-6


def test_ceilings_inside_a_block_are_accounted_for() -> None:
    block = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU6(), nn.Conv2d(8, 2, 3))
    with torch.no_grad():
        block[0].weight.mul_(30)
    body = nn.Sequential()
    body.add_module("first", nn.Conv2d(3, 3, 1))
    body.add_module("second", block)
    pictures = smooth_images(3)
    with traced(body, ["first", "second"], pictures) as circuits:
        assert circuit(circuits, "second", 0, pictures[:2]).error < 1e-5


def test_smooth_functions_leave_an_error() -> None:
    body = nn.Sequential()
    body.add_module("first", nn.Conv2d(3, 3, 1))
    body.add_module("second", nn.Sequential(nn.Conv2d(3, 2, 1), nn.SiLU()))
    pictures = smooth_images(3)
    with traced(body, ["first", "second"], pictures) as circuits:
        assert circuit(circuits, "second", 0, pictures[:2]).error > 1e-3


def test_norm_of_the_network_itself_is_accounted_for() -> None:
    norm = nn.BatchNorm2d(3)
    norm.load_state_dict(
        {
            "weight": torch.tensor([1.0, -2.0, 0.5]),
            "bias": torch.tensor([0.3, 0.1, -0.2]),
            "running_mean": torch.tensor([0.2, 0.4, 0.1]),
            "running_var": torch.tensor([0.5, 2.0, 1.0]),
            "num_batches_tracked": torch.tensor(1),
        }
    )
    body = nn.Sequential()  # a norm that no convolution feeds is not folded
    body.add_module("first", point([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [0, 0, 0]))
    body.add_module("second", nn.Sequential(nn.ReLU(), norm))
    with traced(body, ["first", "second"], [BRIGHT, DIM]) as circuits:
        found = circuit(circuits, "second", 1, [BRIGHT])
    slope = -2 / math.sqrt(2 + norm.eps)
    assert effects(found, "fed_by") == {("first", 1): near(slope * (0.4 - 0.3))}
    assert found.error < 1e-6


def test_a_layer_without_gradient_says_so() -> None:
    def forward(body: Body, images: Tensor) -> Tensor:
        return body.second(2 * body.first(images).detach())

    body = Body(forward, first=nn.Conv2d(3, 2, 1), second=nn.Conv2d(2, 2, 1))
    with traced(body, ["first", "second"], smooth_images(3)) as circuits:
        found = circuit(circuits, "second", 0, smooth_images(1))
        assert found.reasons["fed_by"] == "no gradient passes through this layer"
        assert circuit(circuits, "first", 0, smooth_images(1)).reasons["feeds"]


# --- kernels -------------------------------------------------------------------------------------


def test_kernel_of_a_group_is_read_from_that_group() -> None:
    grouped = nn.Conv2d(4, 4, 3, padding=1, groups=2)
    body = nn.Sequential()
    body.add_module("first", nn.Conv2d(3, 4, 1))
    body.add_module("second", grouped)
    with traced(body, ["first", "second"], smooth_images(3)) as circuits:
        assert circuits.kernels.between("second", 3, "first", 1).size == 0, "another group"
        np.testing.assert_array_equal(
            circuits.kernels.between("second", 3, "first", 2), grouped.weight[3, 0].numpy()
        )


def test_a_convolution_behind_something_else_has_no_kernel() -> None:
    body = nn.Sequential()
    body.add_module("first", nn.Conv2d(3, 4, 1))
    body.add_module("second", nn.Sequential(nn.ReLU(), nn.Conv2d(4, 2, 3)))
    with traced(body, ["first", "second"], smooth_images(3)) as circuits:
        assert circuits.before["second"] == ("first",)
        assert circuits.kernels.between("second", 0, "first", 0).size == 0


# --- forward derivatives -------------------------------------------------------------------------


class Doubled(torch.autograd.Function):
    """An operation whose author has written no forward derivative."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def backward(ctx: object, *slopes: Tensor) -> Tensor:
        return 2 * slopes[0]


def forgetful(x: Tensor) -> Tensor:
    """An operation that numpy does: no derivative survives."""
    return torch.from_numpy(2 * x.detach().numpy())


@pytest.mark.parametrize("operation", [Doubled.apply, forgetful])
def test_without_a_forward_derivative_a_small_step_is_taken(
    operation: Callable[[Tensor], Tensor],
) -> None:
    def forward(body: Body, images: Tensor) -> Tensor:
        return body.classes(operation(body.first(images)).mean((2, 3)) + 0 * body.first.bias.sum())

    body = Body(forward, first=point([[1, 0, 0]], [0]), classes=linear([[3], [-1]]))
    with traced(body, ["first", CLASSES], [BRIGHT, DIM]) as circuits:
        circuits.before[CLASSES], circuits.behind["first"] = ("first",), [CLASSES]
        found = circuit(circuits, "first", 0, [BRIGHT])
        assert circuits.derivatives.stepping == {"first"}
    wanted = {(CLASSES, 0): near(2 * 3 * 0.2), (CLASSES, 1): near(-2 * 0.2)}
    assert effects(found, "classes") == wanted
    assert changes(found, "classes") == wanted


# --- other networks ------------------------------------------------------------------------------


def test_tokens_are_fed_and_feed() -> None:
    from torchvision.models import VisionTransformer

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        plain = VisionTransformer(SIDE, 4, 2, 2, 16, 32, num_classes=3).eval()
        nn.init.normal_(plain.heads[0].weight)
    names = [f"encoder.layers.encoder_layer_{index}" for index in (0, 1)]
    with traced(plain, [*names, CLASSES], smooth_images(4)) as circuits:
        assert circuits.before[names[1]] == (names[0],)
        found = circuit(circuits, names[1], 5, smooth_images(2))
        assert found.of("fed_by")
        assert not found.of("classes"), "the classes read a token that has no place"
        first = circuit(circuits, names[0], 5, smooth_images(2))
    pairs = checked([first], "classes")
    assert agreement(pairs) > 0.9
    assert all(abs(one - other) < 0.5 * abs(one) + 1e-3 for one, other in pairs)


def test_a_network_that_runs_one_image_at_a_time_gives_the_same() -> None:
    """One that mixes the images of a batch: each alone is what it was."""

    def forward(body: Body, images: Tensor) -> Tensor:
        maps = body.second(F.relu(body.first(images)))
        return body.classes((maps + maps.mean(0, keepdim=True)).mean((2, 3)))

    parts = {"first": nn.Conv2d(3, 6, 3), "second": nn.Conv2d(6, 4, 3), "classes": nn.Linear(4, 3)}

    def alone(body: Body, images: Tensor) -> Tensor:
        maps = body.second(F.relu(body.first(images)))
        return body.classes((2 * maps).mean((2, 3)))

    found = []
    for function in (forward, alone):
        with traced(Body(function, **parts), ["first", "second", CLASSES], PICTURES) as circuits:
            found.append(circuit(circuits, "second", 1, PICTURES[:2]))
            assert circuits.network.way.habits.alone == (function is forward)
    for kind in KINDS:
        assert changes(found[0], kind) == pytest.approx(changes(found[1], kind), rel=1e-3)
        assert effects(found[0], kind) == pytest.approx(effects(found[1], kind), rel=1e-3)


# --- the embedded network, by hooks of its own ---------------------------------------------------


@pytest.fixture(scope="module")
def embedded() -> Iterator[tuple[nn.Module, Circuits]]:
    """EfficientNet-Lite0 as its author made it, and the same ready."""
    model, layers = load_model(Config()), ["blocks.4.1", "blocks.4.2", "blocks.5.0", CLASSES]
    rows = [row for row in model.layers if row.name in layers]
    network = Network(model, layers, torch.device("cpu"))
    stats = {one.layer: one for one in measure_layers(network, rows, smooth_images(3, 224))}
    with tracing(network, stats) as circuits:
        yield model.network, circuits


def rerun(
    plain: nn.Module, image: Tensor, replaced: Mapping[str, Tensor], seen: Sequence[str]
) -> dict[str, Tensor]:
    """A pass of a network in which modules put out what is given, by ordinary hooks."""
    found: dict[str, Tensor] = {}
    handles = [
        plain.get_submodule(name).register_forward_hook(lambda *_, made=made: made)
        for name, made in replaced.items()
    ] + [
        plain.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, output, name=name: found.__setitem__(name, output)
        )
        for name in seen
    ]
    try:
        return found | {CLASSES: plain(image)}
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize("channel", [3, 40])
def test_circuit_of_the_embedded_network_equals_that_of_plain_hooks(
    embedded: tuple[nn.Module, Circuits], channel: int
) -> None:
    plain, circuits = embedded
    picture = smooth_images(1, 224)
    image = circuits.network.normalise(to_tensor(picture))
    base = rerun(plain, image, {}, ["blocks.4.1", "blocks.4.2", "blocks.5.0"])
    found = circuit(circuits, "blocks.4.2", channel, picture)

    place = int(base["blocks.4.2"][0, channel].argmax())
    leaf = base["blocks.4.1"].detach().clone().requires_grad_()
    peak = rerun(plain, image, {"blocks.4.1": leaf}, ["blocks.4.2"])["blocks.4.2"]
    (slope,) = torch.autograd.grad(peak[0, channel].flatten()[place], leaf)
    before = torch.from_numpy(circuits.stats["blocks.4.1"].mean).view(1, -1, 1, 1)
    contributions = (slope * (leaf - before)).sum((0, 2, 3)).detach()
    for link in found.of("fed_by"):
        assert link.effect == pytest.approx(float(contributions[link.channel]), rel=1e-3, abs=1e-4)
    assert found.of("fed_by")[0].channel == int(contributions.argmax())
    assert found.of("fed_by")[-1].channel == int(contributions.argmin())
    assert found.error < 1e-4

    best = found.of("fed_by")[0]
    other = base["blocks.4.1"].detach().clone()
    other[:, best.channel] = before[0, best.channel]
    ablated = rerun(plain, image, {"blocks.4.1": other}, ["blocks.4.2"])["blocks.4.2"]
    lost = float((peak - ablated)[0, channel].flatten()[place].detach())
    assert best.change == pytest.approx(lost, rel=1e-3, abs=1e-4)

    own = float(circuits.stats["blocks.4.2"].mean[channel])
    other = base["blocks.4.2"].detach().clone()
    other[:, channel] = own
    ablated = rerun(plain, image, {"blocks.4.2": other}, ["blocks.5.0"])
    for link in found.of("classes"):
        lost = float((base[CLASSES] - ablated[CLASSES])[0, link.channel])
        assert link.change == pytest.approx(lost, rel=1e-3, abs=1e-4)
    for link in found.of("feeds"):
        after = [float(one["blocks.5.0"][0, link.channel].mean()) for one in (base, ablated)]
        spread = float(circuits.stats["blocks.5.0"].std[link.channel])
        assert link.change == pytest.approx((after[0] - after[1]) / spread, rel=1e-3, abs=1e-4)

    leaf = base["blocks.4.2"].detach().clone().requires_grad_()
    scores = rerun(plain, image, {"blocks.4.2": leaf}, [])[CLASSES]
    for link in found.of("classes"):  # one class at a time, backwards
        (slope,) = torch.autograd.grad(scores[0, link.channel], leaf, retain_graph=True)
        predicted = float((slope * (leaf.detach() - own))[:, channel].sum())
        assert link.effect == pytest.approx(predicted, rel=1e-3, abs=1e-4)
