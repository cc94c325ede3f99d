import numpy as np
import pytest
import torch

from atlas.rendering.adam import Adam, evened


def test_steps_equal_those_of_torch_to_the_last_bit() -> None:
    generator = torch.Generator().manual_seed(0)
    ours = torch.randn(3, 55, generator=generator).requires_grad_()
    theirs = ours.detach().clone().requires_grad_()
    adam, reference = Adam(ours, 0.05, 50), torch.optim.Adam([theirs], lr=0.05, foreach=False)
    for _ in range(50):
        gradient = torch.randn(3, 55, generator=generator)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        adam.step()
        reference.step()
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("adaptivity", [0.0, 0.5, 0.75, 0.875])
def test_partly_adaptive_steps_are_those_of_a_plain_transcription(adaptivity: float) -> None:
    """Power and average by numpy, in double precision, one image at a time."""
    generator = torch.Generator().manual_seed(1)
    start = torch.randn(2, 3, 5, generator=generator)
    ours = start.clone().requires_grad_()
    adam = Adam(ours, 0.05, 20, adaptivity)
    theirs = start.double().numpy().copy()
    mean, square = np.zeros_like(theirs), np.zeros_like(theirs)
    for step in range(1, 21):
        gradient = (
            torch.randn(2, 3, 5, generator=generator) * torch.tensor([1.0, 1e-3])[:, None, None]
        )
        ours.grad = gradient
        adam.step()
        mean = 0.9 * mean + 0.1 * gradient.double().numpy()
        square = 0.999 * square + 0.001 * gradient.double().numpy() ** 2
        spread = np.sqrt(square / (1 - 0.999**step)) + 1e-8
        for image in range(2):
            whole = np.sqrt(np.mean(spread[image] ** 2))
            divisor = spread[image] ** adaptivity * whole ** (1 - adaptivity)
            theirs[image] -= 0.05 * mean[image] / (1 - 0.9**step) / divisor
    np.testing.assert_allclose(ours.detach().numpy(), theirs, atol=2e-5)


def test_without_adaptivity_an_image_moves_along_its_mean_gradient() -> None:
    parameters = torch.zeros(1, 4).requires_grad_()
    adam = Adam(parameters, 0.05, 1, adaptivity=0.0)
    parameters.grad = torch.tensor([[3.0, -1.0, 0.5, 0.0]])
    adam.step()
    moved = -parameters.detach() / parameters.grad
    assert moved[0, :3].tolist() == pytest.approx([moved[0, 0].item()] * 3)
    assert parameters.detach().square().mean().sqrt().item() == pytest.approx(0.05, rel=1e-4)


def test_an_image_without_gradient_stays_and_the_others_do_not_see_it() -> None:
    alone, beside = torch.zeros(1, 4).requires_grad_(), torch.zeros(2, 4).requires_grad_()
    one, two = Adam(alone, 0.05, 3, 0.5), Adam(beside, 0.05, 3, 0.5)
    for other in (0.0, float("nan"), 0.0):
        alone.grad = torch.tensor([[3.0, -1.0, 0.5, 0.0]])
        beside.grad = torch.stack([alone.grad[0], torch.full((4,), other)])
        one.step()
        two.step()
    assert torch.equal(alone[0], beside[0])
    still = torch.zeros(1, 4).requires_grad_()
    adam = Adam(still, 0.05, 1, 0.5)
    still.grad = torch.zeros(1, 4)
    adam.step()
    assert still.tolist() == [[0, 0, 0, 0]]


@pytest.mark.parametrize("roots", [1, 2, 3])
def test_what_an_image_is_divided_by_does_not_depend_on_its_batch(roots: int) -> None:
    """Of tensors whose last elements torch computes apart from the others."""
    spread = torch.rand(12, 3, 8, 5, 2, generator=torch.Generator().manual_seed(0)) + 1e-3
    together = evened(spread, roots)
    for index in range(12):
        assert torch.equal(evened(spread[index : index + 1], roots)[0], together[index])


@pytest.mark.parametrize("adaptivity", [0.6, 0.85, -1.0])
def test_adaptivity_that_square_roots_do_not_give_is_refused(adaptivity: float) -> None:
    with pytest.raises(ValueError, match="is not 1, 0, 1/2"):
        Adam(torch.zeros(1, 4), 0.05, 1, adaptivity)
