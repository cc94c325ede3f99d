"""Networks as people write them give what plain hooks give, or are refused in one line."""

import warnings
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from atlas.config import Config
from atlas.errors import InputError, UsageError
from atlas.models.calling import fixed_seeds
from atlas.models.load import load_model
from atlas.models.selection import left_out, select_layers
from atlas.network.network import Network, spatial_mean
from tests import foreign

ALIKE = (
    *("Flattens", "LeavesSkips", "FillsDict", "closure", "HoldsLock", "PlainList"),
    *("ChangesInput", "weight_norm", "spectral_norm", "parametrized", "pruned"),
    *(
        "Windows",
        "BatchStatistics",
        "MeanOfBatch",
        "OneAtATime",
        "DropsOut",
        "RollsDice",
        "ForgetsEval",
    ),
    *("Frozen", "Inferring", "SwitchesOff", "Checkpointed", "CheckpointedAnew", "Detached"),
    *(
        "ChecksRange",
        "OneSize",
        "Float64Constant",
        "CastsToDouble",
        "Swallows",
        "DerivesInside",
        "Scripted",
        "quantised_head",
        "compiled",
        "AnswersToAnyName",
        "KeepsSparse",
    ),
)
"""Networks with a layer `second` that plain hooks can read."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Torch's own warnings about what these networks use."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def network_of(name: str, layers: list[str]) -> Network:
    """A foreign network as the engine sees it."""
    foreign_name = f"tests.foreign:{name}"
    config = Config(model=foreign_name, input_size=16, mean=(0.0,), std=(1.0,))
    globals_of = vars(foreign)
    original = globals_of[name]
    globals_of[name] = foreign.seeded(original)
    try:
        return Network(load_model(config), layers, torch.device("cpu"))
    finally:
        globals_of[name] = original


def photographs(count: int) -> Tensor:
    return torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(5))


def by_plain_hooks(name: str, layer: str, images: Tensor) -> Tensor:
    """Spatial means of a layer, one image at a time, on a fresh network with one hook."""
    network = foreign.make(name)
    network = network._modules.get("_orig_mod") or network
    for module in network.modules():
        module.training = False
    images = images.to(next(network.parameters()).dtype)
    found: list[Tensor] = []
    module = network.get_submodule(layer)
    module.register_forward_hook(lambda _m, _i, out: found.append(out.detach().clone()))
    for image in images.split(1):  # type: ignore[no-untyped-call]
        with torch.no_grad(), fixed_seeds():
            network(image.clone())
    return torch.cat(found).mean((2, 3)).float()


@pytest.mark.parametrize("name", ALIKE)
def test_layer_says_what_plain_hooks_on_the_network_itself_say(name: str) -> None:
    images = photographs(5)
    network = network_of(name, ["second"])
    with torch.no_grad(), network.tap({"second": spatial_mean}) as run:
        got = [
            run(images)["second"],
            torch.cat([run(images[3:])["second"], run(images[:1])["second"]]),
        ]
    wanted = by_plain_hooks(name, "second", images)
    spread = float(wanted.std(0).max())
    assert float((got[0] - wanted).abs().max()) < 1e-4 * spread
    assert float((got[1] - wanted[[3, 4, 0]]).abs().max()) < 1e-4 * spread


@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("Flattens", ""),
        ("Checkpointed", ""),
        ("BatchStatistics", "one image at a time"),
        ("MeanOfBatch", "one image at a time"),
        ("OneAtATime", "one image at a time"),
        ("DropsOut", "with the same random numbers"),
        ("RollsDice", "with the same random numbers"),
    ],
)
def test_what_a_network_needs_is_said(name: str, needs: str) -> None:
    said = network_of(name, ["second", "class scores"]).needs
    assert needs in said
    assert bool(said) == bool(needs)


@pytest.mark.parametrize(
    ("name", "layer", "left_out"),
    [
        ("Base", "class scores", ""),
        ("Flattens", "class scores", "channels-last"),
        ("Flattens", "second", ""),
        ("LeavesSkips", "join", "run to the end"),
        ("HoldsLock", "second", "no copy"),
        ("closure", "second", "no copy"),
        ("FillsDict", "second", "no copy"),
    ],
)
def test_only_the_shortcuts_that_change_something_are_left_out(
    name: str, layer: str, left_out: str
) -> None:
    said = network_of(name, [layer]).fallback
    assert left_out in said
    assert bool(said) == bool(left_out)


@pytest.mark.parametrize(
    ("name", "layer", "message"),
    [
        ("Counts", "second", "layer second answers the same image differently at every call"),
        ("Routed", "cold", "layer cold was not reached in a forward pass of an image"),
    ],
)
def test_layer_that_says_nothing_of_an_image_is_refused_by_name(
    name: str, layer: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        network_of(name, [layer])


@pytest.mark.parametrize(
    "name", ["Base", "Frozen", "Inferring", "SwitchesOff", "Checkpointed", "CheckpointedAnew"]
)
def test_gradients_reach_the_image_whatever_the_network_switches_off(name: str) -> None:
    network = network_of(name, ["second"])
    plain = (
        network_of("Base", ["second"]) if name in ("Frozen", "Inferring", "SwitchesOff") else None
    )
    images = photographs(2).requires_grad_()
    assert not network.without_gradient
    gradients = []
    for one in (network, plain or network):
        with one.tap({"second": spatial_mean}) as run:
            gradients.append(torch.autograd.grad(run(images)["second"].sum(), images)[0])
    assert float(gradients[0].abs().max()) > 0
    torch.testing.assert_close(*gradients)
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    ("name", "layer"), [("Detached", "class scores"), ("DetachedInside", "second")]
)
def test_layers_without_a_gradient_are_known(name: str, layer: str) -> None:
    network = network_of(name, ["first", "second", "class scores"])
    assert layer in network.without_gradient
    assert "first" not in network.without_gradient


def test_lower_precision_is_for_networks_that_run_in_it() -> None:
    assert network_of("Base", ["second"]).runs_in("bf16", "second")
    mixing = network_of("MixesTypes", ["second"])
    assert mixing.runs_in("fp32", "second")
    assert not mixing.runs_in("bf16", "second")


@pytest.mark.parametrize(("name", "sides"), [("OneSize", {16}), ("Base", {8, 12, 16, 24})])
def test_any_exception_says_that_a_size_does_not_fit(name: str, sides: set[int]) -> None:
    network = network_of(name, ["second"])
    assert {side for side in (8, 12, 16, 24) if network.accepts(side, "second")} == sides


def test_pixels_stay_in_the_range_that_a_network_asks_for() -> None:
    network = network_of("ChecksRange", ["second"])
    images = photographs(2) * 3 - 1
    with torch.no_grad(), network.tap({"second": spatial_mean}) as run:
        torch.testing.assert_close(run(images)["second"], run(images.clamp(0, 1))["second"])


@pytest.mark.parametrize(("name", "channels"), [("LateFirst", 3), ("late_first_grey", 1)])
def test_channels_are_those_of_the_convolution_that_is_called_first(
    name: str, channels: int
) -> None:
    config = Config(model=f"tests.foreign:{name}", input_size=16)
    assert len(load_model(config).info.mean) == channels


def test_lazy_modules_get_their_shapes_by_a_first_pass() -> None:
    model = load_model(Config(model="tests.foreign:lazy", input_size=16))
    assert [layer.channels for layer in model.layers[:2]] == [6, 6]


def test_names_of_modules_may_hold_colons() -> None:
    model = load_model(Config(model="tests.foreign:Colons", input_size=16))
    names = [layer.name for layer in model.layers]
    assert names == ["parts.net/conv:0", "parts.net/conv:1", "parts.net/conv:1:1"]
    assert all("blocks" in layer.groups for layer in model.layers)
    network = Network(model, names, torch.device("cpu"))
    with torch.no_grad(), network.tap(dict.fromkeys(names, torch.clone)) as run:
        assert [maps.shape[-1] for maps in run(photographs(1)).values()] == [14, 12, 10]


def test_network_that_ends_the_program_is_refused() -> None:
    with pytest.raises(InputError, match="the network ended the program"):
        load_model(Config(model="tests.foreign:Exits", input_size=16))


def test_modules_inside_a_script_module_are_left_out_of_the_table() -> None:
    names = [
        layer.name
        for layer in load_model(Config(model="tests.foreign:Scripted", input_size=16)).layers
    ]
    assert {"first", "part", "second"} <= set(names)


def test_layer_whose_rows_are_not_the_images_is_refused_by_name() -> None:
    table = load_model(Config(model="tests.foreign:Windows", input_size=16)).layers
    with pytest.raises(UsageError, match=r"first \(Conv2d\) puts out 4 rows for one image"):
        select_layers(table, ["first"])
    assert select_layers(table, ["second"])
    assert left_out(table, ["all"]).startswith("left out: first (4 rows for one image")
    assert left_out(table, ["sec*"]) == ""
