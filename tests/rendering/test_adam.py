import torch

from atlas.rendering.adam import Adam


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
