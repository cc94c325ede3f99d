"""What is optimised, and how it becomes an RGB image: spectra in decorrelated colour.

`Spectrum` learns the coefficients of a Fourier transform, `Phase` only their phases; both have
`images()`, one `step(adam)` and `finer(side)`. An image is sigmoid(colour · irfft2(coefficients) /
contrast). Coefficients are scaled by 1/frequency, so that a step of the optimiser moves low
frequencies most; going up an octave pads with zeros, so nothing is ever resampled.

Source: Olah et al. 2017, Feature Visualization (decorrelated colour, Fourier preconditioning); Fel
et al. 2023, MaCo (phases only); going up by zero-padding is this project's own.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from .adam import Adam

COLOUR = torch.tensor([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]]) / 0.461952
"""Square root of the colour covariance of ImageNet over its largest column norm (Lucid)."""


@functools.lru_cache(maxsize=32)
def spectrum_scale(size: int, exponent: float) -> Tensor:
    """The amplitude of each frequency, (size, size//2+1).

    1 / max(f, 1/size)^exponent with f in cycles per pixel, rescaled to the root mean square of
    exponent 1, so that a learning rate keeps its meaning.
    """
    rows = torch.fft.fftfreq(size, dtype=torch.float64)[:, None]
    columns = torch.fft.rfftfreq(size, dtype=torch.float64)
    frequency = (rows**2 + columns**2).sqrt().clamp_min(1 / size)
    scale: Tensor = frequency**-exponent
    usual = frequency.reciprocal().square().mean().sqrt()
    rescaled: Tensor = scale * usual / scale.square().mean().sqrt()
    return rescaled.float()


def random_spectrum(size: int, std: float, generators: Sequence[torch.Generator]) -> Tensor:
    """Start coefficients N(0, std), one generator an image: (N, 3, size, size//2+1) complex."""
    shape = (3, size, size // 2 + 1, 2)
    return torch.view_as_complex(
        torch.stack([torch.randn(*shape, generator=generator) * std for generator in generators])
    )


def to_image(spectrum: Tensor, scale: Tensor, contrast: float) -> Tensor:
    """Turn spectra (N, 3, S, S//2+1) complex into images (N, 3, S, S) in (0, 1)."""
    size = spectrum.shape[2]
    plane = torch.fft.irfft2(spectrum * scale, s=(size, size), norm="ortho") / contrast
    colour = COLOUR.to(plane.device)
    mixed: Tensor = torch.einsum("ij,bjhw->bihw", colour, plane)
    image: Tensor = mixed.sigmoid()
    return image


def from_image(images: Tensor, scale: Tensor, contrast: float) -> Tensor:
    """The spectra of images (N, 3, S, S) in [0, 1]: the inverse of `to_image`.

    Values are kept .02 away from black and white, where the inverse sigmoid has no end.
    """
    logits = torch.logit(images.clamp(0.02, 0.98))
    inverse = torch.linalg.inv(COLOUR.double()).float().to(images.device)
    plane = torch.einsum("ij,bjhw->bihw", inverse, logits) * contrast
    spectrum: Tensor = torch.fft.rfft2(plane, norm="ortho") / scale
    return spectrum


def upscale(spectrum: Tensor, new_size: int, exponent: float) -> Tensor:
    """The same images on a finer grid: pad the half spectra with zeros.

    The Nyquist row and column of the old size are dropped: they have no partner in the new one.
    The FFT is orthonormal, hence the factor new / old.

    Args:
        spectrum: (N, 3, S, S//2+1) complex, S even.
        new_size: side T >= S, even.
        exponent: of the spectrum scale.

    Returns:
        (N, 3, T, T//2+1) complex, unscaled coefficients at the new size.
    """
    size = spectrum.shape[2]
    half = size // 2
    old, new = spectrum_scale(size, exponent), spectrum_scale(new_size, exponent)
    scaled = spectrum * old.to(spectrum.device)
    padded = spectrum.new_zeros(*spectrum.shape[:2], new_size, new_size // 2 + 1)
    padded[:, :, :half, :half] = scaled[:, :, :half, :half]
    padded[:, :, 1 - half :, :half] = scaled[:, :, 1 - half :, :half]
    finer: Tensor = padded * (new_size / size) / new.to(spectrum.device)
    return finer


class Parameterization(Protocol):
    """Images of one side as an optimiser sees them."""

    parameters: Tensor

    def images(self) -> Tensor:
        """(N, 3, S, S) in (0, 1), differentiable in `parameters`."""
        ...

    def step(self, adam: Adam) -> None:
        """Let the optimiser take a step along the gradients of `parameters`."""
        ...

    def finer(self, side: int) -> "Parameterization":
        """The same images on a grid of `side`, with fresh parameters to optimise."""
        ...


@dataclass(slots=True, kw_only=True)
class Spectrum:
    """Free coefficients.

    Attributes:
        parameters: (N, 3, S, S//2+1, 2) real and imaginary parts, unscaled.
        exponent: of the spectrum scale.
        contrast: divisor of the inverse FFT.
        tint_rate: factor on the steps of the mean colour.
    """

    parameters: Tensor
    exponent: float
    contrast: float
    tint_rate: float

    def images(self) -> Tensor:
        """(N, 3, S, S) in (0, 1)."""
        scale = spectrum_scale(self.parameters.shape[2], self.exponent)
        coefficients = torch.view_as_complex(self.parameters)
        return to_image(coefficients, scale.to(self.parameters.device), self.contrast)

    def step(self, adam: Adam) -> None:
        """One step, with a rate of its own for the mean colour."""
        with torch.no_grad():
            tint = self.parameters[:, :, 0, 0].clone()  # (N, 3, 2)
            adam.step()
            self.parameters[:, :, 0, 0].lerp_(tint, 1 - self.tint_rate)

    def finer(self, side: int) -> "Spectrum":
        """The same images on a finer grid."""
        coefficients = torch.view_as_complex(self.parameters.detach())
        if side != coefficients.shape[2]:
            coefficients = upscale(coefficients, side, self.exponent)
        return Spectrum(
            parameters=torch.view_as_real(coefficients).clone().requires_grad_(),
            exponent=self.exponent,
            contrast=self.contrast,
            tint_rate=self.tint_rate,
        )


@dataclass(slots=True, kw_only=True)
class Phase:
    """Free phases under a fixed magnitude.

    Attributes:
        parameters: (N, 3, S, S//2+1) angles in radians.
        magnitude: (3, T, T//2+1) of the coefficients at the finest side T >= S.
        contrast: divisor of the inverse FFT.
        generators: one an image, for the phases of new frequencies.
    """

    parameters: Tensor
    magnitude: Tensor
    contrast: float
    generators: Sequence[torch.Generator]

    def images(self) -> Tensor:
        """(N, 3, S, S) in (0, 1)."""
        side = self.parameters.shape[2]
        magnitude = crop_spectrum(self.magnitude, side) * (side / self.magnitude.shape[1])
        coefficients = torch.polar(magnitude.expand_as(self.parameters), self.parameters)
        return to_image(coefficients, torch.ones((), device=magnitude.device), self.contrast)

    def step(self, adam: Adam) -> None:
        """One step."""
        adam.step()

    def finer(self, side: int) -> "Phase":
        """The same low frequencies; those that are new start at random phases."""
        old = self.parameters.detach()
        half = old.shape[2] // 2
        phases = random_phases(side, self.generators).to(old.device)
        if side == old.shape[2]:
            phases = old.clone()
        else:
            phases[:, :, :half, :half] = old[:, :, :half, :half]
            phases[:, :, 1 - half :, :half] = old[:, :, 1 - half :, :half]
        return Phase(
            parameters=phases.requires_grad_(),
            magnitude=self.magnitude,
            contrast=self.contrast,
            generators=self.generators,
        )


def random_phases(side: int, generators: Sequence[torch.Generator]) -> Tensor:
    """(N, 3, side, side//2+1) angles U(−π, π), one generator an image; the mean colour's is 0."""
    shape = (3, side, side // 2 + 1)
    draws = [torch.rand(*shape, generator=generator) for generator in generators]
    phases = (2 * torch.stack(draws) - 1) * math.pi
    phases[:, :, 0, 0] = 0
    return phases


def crop_spectrum(spectrum: Tensor, side: int) -> Tensor:
    """The frequencies of (…, T, T//2+1) that a grid of an even `side` <= T has."""
    half = side // 2
    columns = spectrum[..., : half + 1]
    return torch.cat([columns[..., :half, :], columns[..., -half:, :]], -2)


def mean_magnitude(images: Tensor, contrast: float) -> Tensor:
    """(3, S, S//2+1): mean magnitude of the coefficients that show images (N, 3, S, S)."""
    magnitude: Tensor = from_image(images, torch.ones(()), contrast).abs().mean(0)
    return magnitude
