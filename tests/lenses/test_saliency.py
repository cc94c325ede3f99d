"""Saliency: the gradient it shows is the one that finite differences give."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from atlas.images.tensors import to_tensor
from atlas.lenses import saliency as module
from atlas.lenses.saliency import class_gradients, saliency, smoothgrad, strongest_colour
from atlas.network.network import spatial_mean
from atlas.records.network import CLASSES
from tests.classifiers import MEAN, STD, classifier, conv_network, normalised, pictures


def shown_saliency(
    plain: nn.Module, picture: NDArray[np.uint8], class_: int
) -> NDArray[np.float64]:
    with classifier(plain).tap({CLASSES: spatial_mean}) as run:
        return saliency(run, to_tensor([picture])[0], class_).astype(np.float64)


def differences(picture: NDArray[np.uint8], class_: int) -> NDArray[np.float64]:
    """(3, S, S) central differences of a score in float64, one pixel and colour at a time."""
    plain, step = conv_network().double().eval(), 1e-4
    x = normalised(picture, torch.float64)[0]
    eye = torch.eye(x.numel(), dtype=torch.float64).view(-1, *x.shape)
    scaled = step * eye / torch.tensor(STD, dtype=torch.float64).view(3, 1, 1)
    with torch.no_grad():
        rise = plain(x + scaled)[:, class_] - plain(x - scaled)[:, class_]
    return (rise / (2 * step)).view(x.shape).numpy()


def test_gradient_equals_finite_differences() -> None:
    picture = pictures(1)
    with classifier(conv_network()).tap({CLASSES: spatial_mean}) as run:
        (gradient,) = class_gradients(run, to_tensor([*picture]), 5).numpy()
    expected = differences(picture[0], 5)
    np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("class_", [5, 0])
def test_saliency_is_the_largest_absolute_derivative_over_the_colours(class_: int) -> None:
    (picture,) = pictures(1)
    strongest = np.abs(differences(picture, class_)).max(0)
    found = shown_saliency(conv_network(), picture, class_)
    np.testing.assert_allclose(found, strongest / strongest.max(), atol=1e-3)
    assert found.max() == 1


def test_a_zero_gradient_gives_zeros() -> None:
    plain = conv_network()
    plain.classes.weight.data[4] = 0
    assert not shown_saliency(plain, pictures(1)[0], 4).any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_gradient_that_is_not_finite_gives_zeros(value: float) -> None:
    gradient = torch.ones(3, 4, 4)
    gradient[1, 2, 3] = value
    assert not strongest_colour(gradient).any()


def test_smoothgrad_of_an_image_of_one_colour_is_its_saliency() -> None:
    flat = np.full((16, 16, 3), 99, np.uint8)
    plain = shown_saliency(conv_network(), flat, 2)
    with classifier(conv_network()).tap({CLASSES: spatial_mean}) as run:
        smooth = smoothgrad(run, to_tensor([flat])[0], 2, torch.Generator().manual_seed(0))
    np.testing.assert_allclose(smooth.astype(np.float64), plain, atol=1e-3)


def test_smoothgrad_is_the_mean_gradient_of_noisy_copies() -> None:
    """Every copy by itself, through the plain network, from the same noise."""
    picture, generator = pictures(1)[0], torch.Generator().manual_seed(4)
    image = torch.from_numpy(picture.astype(np.float32) / 255).permute(2, 0, 1)
    sigma = 0.15 * (picture.max() / 255 - picture.min() / 255)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    plain, total = conv_network().eval(), torch.zeros_like(image)
    for _ in range(module.COPIES // module.COPIES_BATCH):
        for noise in torch.randn(module.COPIES_BATCH, 3, 16, 16, generator=generator):
            copy = (image + sigma * noise).requires_grad_()
            plain(((copy - mean) / std)[None])[0, 7].backward()
            total += copy.grad
    strongest = total.abs().amax(0).numpy()
    with classifier(conv_network()).tap({CLASSES: spatial_mean}) as run:
        found = smoothgrad(run, image, 7, torch.Generator().manual_seed(4))
    np.testing.assert_allclose(found.astype(np.float64), strongest / strongest.max(), atol=1e-3)
