"""Parameters of the optimisation, and the images they give: spectra of decorrelated colours.

`Spectrum` learns the coefficients of a Fourier transform, `Phase` only their phases; both have
`images()`, one `step(adam)` and `finer(size)`. An image is sigmoid(colour · irfft2(coefficients) /
contrast). Coefficients are scaled by 1/frequency, so that a step of the optimiser moves low
frequencies most; going up an octave pads with zeros, so nothing is ever resampled.

Source: Olah et al. 2017, Feature Visualization (decorrelated colour, Fourier preconditioning); Fel
et al. 2023, MaCo (phases only); going up by zero-padding is this project's own.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from ..shapes import Shape, Size, pair
from .adam import Adam

COLOUR = torch.tensor([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]]) / 0.461952
"""Square root of the colour covariance of ImageNet over its largest column norm (Lucid)."""


@functools.lru_cache(maxsize=32)
def spectrum_scale(size: Size, exponent: float) -> Tensor:
    """The amplitude of each frequency, (H, W//2+1).

    1 / max(f, 1/size)^exponent with f in cycles per pixel and the longer side as size, rescaled to
    the root mean square of exponent 1, so that a learning rate keeps its meaning.
    """
    height, width = pair(size)
    rows = torch.fft.fftfreq(height, dtype=torch.float64)[:, None]
    columns = torch.fft.rfftfreq(width, dtype=torch.float64)
    frequency = (rows**2 + columns**2).sqrt().clamp_min(1 / max(height, width))
    scale: Tensor = frequency**-exponent
    usual = frequency.reciprocal().square().mean().sqrt()
    rescaled: Tensor = scale * usual / scale.square().mean().sqrt()
    return rescaled.float()


def random_spectrum(
    size: Size, std: float, generators: Sequence[torch.Generator], planes: int = 3
) -> Tensor:
    """Start coefficients N(0, std), one generator an image: (N, planes, H, W//2+1) complex."""
    shape = (planes, *half_spectrum(size), 2)
    return torch.view_as_complex(
        torch.stack([torch.randn(*shape, generator=generator) * std for generator in generators])
    )


def half_spectrum(size: Size) -> Shape:
    """Rows and columns of the half of a real picture's spectrum that is kept."""
    height, width = pair(size)
    return height, width // 2 + 1


def picture_shape(spectrum: Tensor) -> Shape:
    """Height and width of the pictures of spectra (…, H, W//2+1); W is even."""
    return spectrum.shape[2], 2 * (spectrum.shape[3] - 1)


@functools.cache
def colour_matrix(device: torch.device) -> Tensor:
    """`COLOUR` on a device, where it stays: no step waits for a copy of it."""
    return COLOUR.to(device)


def mix(planes: Tensor, colour: Tensor) -> Tensor:
    """Mix the planes (N, 3, H, W) of colours by a matrix; others stay as they are."""
    if planes.shape[1] != len(colour):
        return planes
    mixed: Tensor = torch.einsum("ij,bjhw->bihw", colour, planes)
    return mixed


def to_image(spectrum: Tensor, scale: Tensor, contrast: float) -> Tensor:
    """Turn spectra (N, C, H, W//2+1) complex into images (N, C, H, W) in (0, 1)."""
    shape = picture_shape(spectrum)
    plane = torch.fft.irfft2(spectrum * scale, s=shape, norm="ortho") / contrast
    image: Tensor = mix(plane, colour_matrix(plane.device)).sigmoid()
    return image


def from_image(images: Tensor, scale: Tensor, contrast: float) -> Tensor:
    """The spectra of images (N, C, H, W) in [0, 1]: the inverse of `to_image`.

    Values are kept .02 away from black and white, where the inverse sigmoid has no end.
    """
    logits = torch.logit(images.clamp(0.02, 0.98))
    plane = mix(logits, torch.linalg.inv(COLOUR.double()).float()) * contrast
    spectrum: Tensor = torch.fft.rfft2(plane, norm="ortho") / scale
    return spectrum


def upscale(spectrum: Tensor, new_size: Size, exponent: float) -> Tensor:
    """The same images on a finer grid: pad the half spectra with zeros.

    The Nyquist row and column of the old size are dropped: they have no partner in the new one.
    The FFT is orthonormal, hence the factor new / old, of areas its root.

    Args:
        spectrum: (N, C, H, W//2+1) complex, H and W even.
        new_size: sides that are not smaller, even.
        exponent: of the spectrum scale.

    Returns:
        (N, C, H', W'//2+1) complex, unscaled coefficients at the new size.
    """
    size = picture_shape(spectrum)
    old, new = spectrum_scale(size, exponent), spectrum_scale(new_size, exponent)
    padded = spectrum.new_zeros(*spectrum.shape[:2], *half_spectrum(new_size))
    copy_low(spectrum * old.to(spectrum.device), padded)
    finer: Tensor = padded * growth(size, new_size) / new.to(spectrum.device)
    return finer


def copy_low(source: Tensor, target: Tensor) -> None:
    """Copy the frequencies of spectra (N, C, H, W//2+1) below Nyquist into finer ones."""
    rows, columns = source.shape[2] // 2, source.shape[3] - 1
    target[:, :, :rows, :columns] = source[:, :, :rows, :columns]
    target[:, :, 1 - rows :, :columns] = source[:, :, 1 - rows :, :columns]


def growth(old: Size, new: Size) -> float:
    """Root of the area of one size over another's."""
    (old_height, old_width), (height, width) = pair(old), pair(new)
    return math.sqrt((height / old_height) * (width / old_width))


class Parameterization(Protocol):
    """Images of one size as an optimiser sees them; what they are made with lies on their device.

    Attributes:
        parameters: what is optimised.
    """

    parameters: Tensor

    def images(self, parameters: Tensor | None = None) -> Tensor:
        """(N, C, H, W) in (0, 1) of these parameters or of its own, differentiable in them."""
        ...

    def step(self, adam: Adam) -> None:
        """Let the optimiser take a step along the gradients of `parameters`."""
        ...

    def finer(self, size: Size) -> "Parameterization":
        """The same images on a finer grid, with fresh parameters to optimise."""
        ...


@dataclass(slots=True, kw_only=True)
class Spectrum:
    """Free coefficients.

    Attributes:
        parameters: (N, C, H, W//2+1, 2) real and imaginary parts, unscaled.
        exponent: of the spectrum scale.
        contrast: divisor of the inverse FFT.
        tint_rate: factor on the steps of the mean colour.
        scale: the amplitude of each frequency, (H, W//2+1).
    """

    parameters: Tensor
    exponent: float
    contrast: float
    tint_rate: float
    scale: Tensor = field(init=False)

    def __post_init__(self) -> None:
        shape = picture_shape(self.parameters[..., 0])
        self.scale = spectrum_scale(shape, self.exponent).to(self.parameters.device)

    def images(self, parameters: Tensor | None = None) -> Tensor:
        """(N, C, H, W) in (0, 1)."""
        shown = self.parameters if parameters is None else parameters
        return to_image(torch.view_as_complex(shown), self.scale, self.contrast)

    def step(self, adam: Adam) -> None:
        """One step, with a rate of its own for the mean colour."""
        with torch.no_grad():
            tint = self.parameters[:, :, 0, 0].clone()  # (N, C, 2)
            adam.step()
            self.parameters[:, :, 0, 0].lerp_(tint, 1 - self.tint_rate)

    def finer(self, size: Size) -> "Spectrum":
        """The same images on a finer grid."""
        coefficients = torch.view_as_complex(self.parameters.detach())
        if pair(size) != picture_shape(coefficients):
            coefficients = upscale(coefficients, size, self.exponent)
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
        parameters: (N, C, H, W//2+1) angles in radians.
        magnitude: (C, H', W'//2+1) of the coefficients at the finest size.
        contrast: divisor of the inverse FFT.
        generators: one an image, for the phases of new frequencies.
        shown: (C, H, W//2+1) the magnitude of the coefficients at this size.
        scale: 1, for `to_image`.
    """

    parameters: Tensor
    magnitude: Tensor
    contrast: float
    generators: Sequence[torch.Generator]
    shown: Tensor = field(init=False)
    scale: Tensor = field(init=False)

    def __post_init__(self) -> None:
        size = picture_shape(self.parameters)
        full = picture_shape(self.magnitude[None])
        self.shown = crop_spectrum(self.magnitude, size) * growth(full, size)
        self.scale = torch.ones((), device=self.parameters.device)

    def images(self, parameters: Tensor | None = None) -> Tensor:
        """(N, C, H, W) in (0, 1)."""
        phases = self.parameters if parameters is None else parameters
        coefficients = torch.polar(self.shown.expand_as(phases), phases)
        return to_image(coefficients, self.scale, self.contrast)

    def step(self, adam: Adam) -> None:
        """One step."""
        adam.step()

    def finer(self, size: Size) -> "Phase":
        """The same low frequencies; those that are new start at random phases."""
        old = self.parameters.detach()
        phases = random_phases(size, self.generators, old.shape[1]).to(old.device)
        if pair(size) == picture_shape(old):
            phases = old.clone()
        else:
            copy_low(old, phases)
        return Phase(
            parameters=phases.requires_grad_(),
            magnitude=self.magnitude,
            contrast=self.contrast,
            generators=self.generators,
        )


def random_phases(size: Size, generators: Sequence[torch.Generator], planes: int = 3) -> Tensor:
    """(N, planes, H, W//2+1) angles U(−π, π), one generator an image; the mean colour's is 0."""
    shape = (planes, *half_spectrum(size))
    draws = [torch.rand(*shape, generator=generator) for generator in generators]
    phases = (2 * torch.stack(draws) - 1) * math.pi
    phases[:, :, 0, 0] = 0
    return phases


def crop_spectrum(spectrum: Tensor, size: Size) -> Tensor:
    """The frequencies of (…, H, W//2+1) that a grid of a smaller, even size has."""
    height, width = half_spectrum(size)
    half, columns = height // 2, spectrum[..., :width]
    return torch.cat([columns[..., :half, :], columns[..., -half:, :]], -2)


def mean_magnitude(images: Tensor) -> Tensor:
    """(C, H, W//2+1): mean magnitude of the coefficients of images (N, C, H, W) at contrast 1."""
    magnitude: Tensor = from_image(images, torch.ones(()), 1.0).abs().mean(0)
    return magnitude
