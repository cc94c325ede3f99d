"""Redirected activations: the ordinary value, and a gradient for images that have none."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atlas.network.redirect import RedirectedActivations

Form = Callable[[Tensor], Tensor]

INF = float("inf")

RELU: dict[str, Form] = {
    "F.relu": F.relu,
    "F.relu(inplace)": lambda x: F.relu(x, inplace=True),
    "F.relu_": F.relu_,
    "torch.relu": torch.relu,
    "torch.relu(input=)": lambda x: torch.relu(input=x),
    "torch.relu_": torch.relu_,
    "Tensor.relu": lambda x: x.relu(),
    "Tensor.relu_": lambda x: x.relu_(),
    "nn.ReLU": nn.ReLU(),
    "nn.ReLU(inplace)": nn.ReLU(inplace=True),
}
RELU6: dict[str, Form] = {
    "F.relu6": F.relu6,
    "F.relu6(inplace)": lambda x: F.relu6(x, inplace=True),
    "nn.ReLU6": nn.ReLU6(),
    "nn.ReLU6(inplace)": nn.ReLU6(inplace=True),
    "F.hardtanh(0, 6)": lambda x: F.hardtanh(x, 0.0, 6.0),
}
HARDTANH: dict[str, Form] = {
    "F.hardtanh": F.hardtanh,
    "F.hardtanh(inplace)": lambda x: F.hardtanh(x, inplace=True),
    "F.hardtanh_": F.hardtanh_,
    "nn.Hardtanh": nn.Hardtanh(),
}
HARDSWISH: dict[str, Form] = {
    "F.hardswish": F.hardswish,
    "F.hardswish(inplace)": lambda x: F.hardswish(x, inplace=True),
    "nn.Hardswish(inplace)": nn.Hardswish(inplace=True),
}
HARDSIGMOID: dict[str, Form] = {
    "F.hardsigmoid": F.hardsigmoid,
    "nn.Hardsigmoid(inplace)": nn.Hardsigmoid(inplace=True),
}


def hardswish(x: Tensor) -> Tensor:
    return x * (x + 3).clamp(0, 6) / 6


def hardsigmoid(x: Tensor) -> Tensor:
    return (x + 3).clamp(0, 6) / 6


FAMILIES = (
    (RELU, lambda x: x.clamp_min(0), 0.0, INF),
    (RELU6, lambda x: x.clamp(0, 6), 0.0, 6.0),
    (HARDTANH, lambda x: x.clamp(-1, 1), -1.0, 1.0),
    (HARDSWISH, hardswish, -3.0, INF),
    (HARDSIGMOID, hardsigmoid, -3.0, 3.0),
)
FORMS = [
    pytest.param(form, formula, low, high, id=name)
    for family, formula, low, high in FAMILIES
    for name, form in family.items()
]


def value_and_gradient(form: Form, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """`form` of a copy of x, and the gradient at x of its sum weighted by `weight`."""
    leaf = x.clone().requires_grad_()
    value = form(leaf * 1)
    (gradient,) = torch.autograd.grad((value * weight).sum(), leaf)
    return value.detach(), gradient


def mixed(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two images (2, 3, 4, 4) on both sides of every bound, and weights of either sign."""
    generator = torch.Generator().manual_seed(seed)
    x = 5 * torch.randn(2, 3, 4, 4, generator=generator)
    return x, torch.randn(2, 3, 4, 4, generator=generator)


@pytest.mark.parametrize(("form", "formula", "low", "high"), FORMS)
def test_value_and_gradient_of_live_images_are_the_ordinary_ones(
    form: Form, formula: Form, low: float, high: float
) -> None:
    x, weight = mixed()
    expected = value_and_gradient(formula, x, weight)
    with RedirectedActivations():
        got = value_and_gradient(form, x, weight)
    torch.testing.assert_close(got, expected)
    assert int((expected[1] == 0).sum()) > 0, "some inputs are flat, and stay without gradient"


@pytest.mark.parametrize(("form", "formula", "low", "high"), FORMS)
def test_silent_image_gets_the_reviving_part_and_its_neighbour_the_ordinary_gradient(
    form: Form, formula: Form, low: float, high: float
) -> None:
    x, weight = mixed()
    x[0] = low - x[0].abs() - 0.1
    with RedirectedActivations():
        value, gradient = value_and_gradient(form, x, weight)
    torch.testing.assert_close(value, formula(x))
    assert torch.equal(gradient[0], weight[0].clamp_max(0)), "only what pushes inputs up"
    torch.testing.assert_close(gradient[1], value_and_gradient(formula, x, weight)[1][1])


@pytest.mark.parametrize(
    ("form", "high"), [(F.relu6, 6.0), (F.hardtanh, 1.0), (F.hardsigmoid, 3.0)]
)
def test_saturated_image_gets_the_part_that_pushes_inputs_down(form: Form, high: float) -> None:
    x, weight = mixed()
    x[1] = high + x[1].abs() + 0.1
    with RedirectedActivations():
        _, gradient = value_and_gradient(form, x, weight)
    assert torch.equal(gradient[1], weight[1].clamp_min(0))


def test_outside_the_context_a_silent_image_has_no_gradient() -> None:
    x, weight = mixed()
    x[0] = -x[0].abs() - 0.1
    with RedirectedActivations():
        pass
    _, gradient = value_and_gradient(F.relu, x, weight)
    assert not gradient[0].any()


@pytest.mark.parametrize("form", [lambda x: x.relu_(), nn.ReLU(inplace=True), F.relu_])
def test_code_that_relies_on_the_side_effect_sees_it(form: Form) -> None:
    def residual(x: Tensor) -> Tensor:
        form(x)  # the result is thrown away, as in many forward functions
        return x + 1

    x, weight = mixed()
    expected = value_and_gradient(lambda y: y.clamp_min(0) + 1, x, weight)
    with RedirectedActivations():
        got = value_and_gradient(residual, x, weight)
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("form", [torch.relu, F.relu, nn.ReLU()])
def test_forms_that_are_not_in_place_leave_their_input_alone(form: Form) -> None:
    x, _ = mixed()
    leaf = x.clone().requires_grad_()
    with RedirectedActivations():
        inner = leaf * 1
        form(inner)
    assert torch.equal(inner.detach(), x)


def test_without_gradients_nothing_is_redirected() -> None:
    x, _ = mixed()
    before = x.clone()
    with RedirectedActivations():
        result = F.relu(x, inplace=True)
    assert result is x
    assert torch.equal(x, before.clamp_min(0))


def test_silence_is_decided_at_each_activation_and_gradients_pass_through_two() -> None:
    x = torch.tensor([[[[-1.0]]], [[[1.0]]]])

    def two(y: Tensor) -> Tensor:
        return torch.relu(torch.relu(y) - 2)  # silent at both, silent at the second only

    with RedirectedActivations():
        value, gradient = value_and_gradient(two, x, torch.full_like(x, -1.0))
    assert not value.any()
    assert torch.equal(gradient, torch.full_like(x, -1.0))
