"""Parameterization: spectra that are images, and the same images on finer grids."""

import numpy as np
import pytest
import torch
from torch import Tensor

from atlas.rendering.parameterization import (
    COLOUR,
    Phase,
    Spectrum,
    crop_spectrum,
    from_image,
    mean_magnitude,
    random_phases,
    random_spectrum,
    spectrum_scale,
    to_image,
    upscale,
)
from tests.helpers import smooth_images


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def band_limited(size: int) -> Tensor:
    """Large random spectra without the Nyquist row and column."""
    spectrum = random_spectrum(size, 1.0, generators(1, 2))
    spectrum[:, :, size // 2] = 0
    spectrum[:, :, :, size // 2] = 0
    return spectrum


def test_scale_at_size_8_is_one_over_frequency() -> None:
    scale = spectrum_scale(8, 1.0)
    assert scale.shape == (8, 5)
    assert scale[0, 0] == 8, "the constant counts as one cycle per image"
    assert scale[0, 1] == 8
    assert scale[0, 4] == 2, "Nyquist is half a cycle per pixel"
    assert scale[2, 0] == scale[6, 0] == 4
    assert scale[3, 4] == pytest.approx(1 / 0.625), "3/8 and 4/8 make 5/8"


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.5, 2.0])
def test_other_exponents_keep_the_rms_of_exponent_one(exponent: float) -> None:
    usual, other = spectrum_scale(16, 1.0).double(), spectrum_scale(16, exponent).double()
    assert other.square().mean() == pytest.approx(float(usual.square().mean()), rel=1e-6)
    ratio = other[0, 1] / other[0, 4]  # one and four cycles per image
    assert ratio == pytest.approx(4**exponent, rel=1e-6)


def test_zero_spectrum_is_mid_grey() -> None:
    image = to_image(torch.zeros(1, 3, 8, 5, dtype=torch.complex64), spectrum_scale(8, 1), 4)
    assert torch.equal(image, torch.full((1, 3, 8, 8), 0.5))


def test_image_is_sigmoid_of_mixed_inverse_transform() -> None:
    spectrum = band_limited(8)
    image = to_image(spectrum, spectrum_scale(8, 1.0), 4.0)
    rows = np.fft.fftfreq(8)[:, None]
    columns = np.fft.rfftfreq(8)
    scaled = spectrum.numpy() / np.maximum(np.hypot(rows, columns), 1 / 8)
    plane = np.fft.irfft2(scaled, s=(8, 8), norm="ortho") / 4
    mix = np.array([[0.26, 0.09, 0.02], [0.27, 0, -0.05], [0.27, -0.09, 0.03]]) / 0.461952
    expected = 1 / (1 + np.exp(-np.einsum("ij,bjhw->bihw", mix, plane)))
    np.testing.assert_allclose(image.numpy(), expected, atol=2e-6)


@pytest.mark.parametrize(("old", "new"), [(8, 16), (8, 12), (14, 28), (56, 112)])
@pytest.mark.parametrize("exponent", [1.0, 1.5])
def test_upscaled_image_is_the_fourier_interpolation_of_the_old_one(
    old: int, new: int, exponent: float
) -> None:
    spectrum = band_limited(old)
    before = to_image(spectrum, spectrum_scale(old, exponent), 4.0)
    finer = upscale(spectrum, new, exponent)
    after = to_image(finer, spectrum_scale(new, exponent), 4.0)
    plane = np.fft.fft2(torch.logit(before.double()).numpy())
    grown = np.zeros((2, 3, new, new), complex)  # an independent zero-padding: full, not half
    half = old // 2
    for row in range(1 - half, half):
        for column in range(1 - half, half):
            grown[:, :, row, column] = plane[:, :, row, column]
    expected = np.fft.ifft2(grown).real * (new / old) ** 2
    np.testing.assert_allclose(torch.logit(after.double()).numpy(), expected, atol=2e-4)


def test_upscaled_image_holds_the_old_pixels_exactly() -> None:
    spectrum = band_limited(28)
    before = to_image(spectrum, spectrum_scale(28, 1.0), 4.0)
    after = to_image(upscale(spectrum, 56, 1.0), spectrum_scale(56, 1.0), 4.0)
    torch.testing.assert_close(after[:, :, ::2, ::2], before, atol=2e-6, rtol=0)


def test_upscaling_drops_only_the_nyquist_row_and_column() -> None:
    spectrum = random_spectrum(8, 1.0, generators(3))
    kept = spectrum.clone()
    kept[:, :, 4] = 0
    kept[:, :, :, 4] = 0
    assert torch.equal(upscale(spectrum, 16, 1.0), upscale(kept, 16, 1.0))
    assert int((upscale(spectrum, 16, 1.0) != 0).sum()) == 3 * 7 * 4


def test_from_image_inverts_to_image() -> None:
    images = torch.from_numpy(np.stack(smooth_images(3))).permute(0, 3, 1, 2).float() / 255
    images = images.clamp(0.02, 0.98)
    for exponent in (1.0, 1.5):
        scale = spectrum_scale(16, exponent)
        again = to_image(from_image(images, scale, 4.0), scale, 4.0)
        torch.testing.assert_close(again, images, atol=1e-5, rtol=0)


def test_black_and_white_become_finite_spectra() -> None:
    images = torch.stack([torch.zeros(3, 8, 8), torch.ones(3, 8, 8)])
    scale = spectrum_scale(8, 1.0)
    spectrum = from_image(images, scale, 4.0)
    assert torch.isfinite(torch.view_as_real(spectrum)).all()
    again = to_image(spectrum, scale, 4.0)
    torch.testing.assert_close(again, images.clamp(0.02, 0.98), atol=1e-5, rtol=0)


def test_noise_of_an_image_comes_from_its_own_generator() -> None:
    pair = random_spectrum(8, 0.01, generators(1, 2))
    swapped = random_spectrum(8, 0.01, generators(2, 1))
    assert torch.equal(pair[0], swapped[1])
    assert torch.equal(pair[1], swapped[0])
    assert not torch.equal(pair[0], pair[1])
    spread = torch.view_as_real(random_spectrum(64, 0.01, generators(5))).std()
    assert spread == pytest.approx(0.01, rel=0.03)


def test_colour_mixing_can_be_inverted() -> None:
    assert abs(float(torch.linalg.det(COLOUR.double()))) > 1e-3


# --- what an optimiser sees ----------------------------------------------------------------------


def spectrum_of(side: int, tint_rate: float) -> Spectrum:
    start = torch.view_as_real(random_spectrum(side, 1.0, generators(1, 2)))
    whole = Spectrum(parameters=start, exponent=1.2, contrast=4.0, tint_rate=tint_rate)
    return whole.finer(side)


def test_mean_colour_moves_by_its_own_factor_and_the_rest_as_adam_says() -> None:
    moved = []
    for rate in (1.0, 3.0):
        images = spectrum_of(8, rate)
        before = images.parameters.detach().clone()
        images.parameters.grad = torch.ones_like(images.parameters)
        images.step(torch.optim.Adam([images.parameters], lr=0.05))
        moved.append(images.parameters.detach() - before)
    plain, tinted = moved
    torch.testing.assert_close(plain, torch.full_like(plain, -0.05), atol=1e-5, rtol=0)
    torch.testing.assert_close(tinted[:, :, 0, 0], 3 * plain[:, :, 0, 0], atol=1e-5, rtol=0)
    tinted[:, :, 0, 0] = plain[:, :, 0, 0]
    assert torch.equal(tinted, plain)


def test_finer_spectra_show_the_same_images_and_own_their_parameters() -> None:
    coarse = spectrum_of(8, 1.0)
    with torch.no_grad():
        coarse.parameters[:, :, 4] = 0
        coarse.parameters[:, :, :, 4] = 0
    fine = coarse.finer(16)
    before, after = coarse.images().detach(), fine.images().detach()
    torch.testing.assert_close(after[:, :, ::2, ::2], before, atol=2e-6, rtol=0)
    same = coarse.finer(8)
    assert torch.equal(same.parameters, coarse.parameters)
    assert same.parameters.data_ptr() != coarse.parameters.data_ptr()


def phase_of(side: int, finest: int) -> Phase:
    magnitude = torch.rand(3, finest, finest // 2 + 1, generator=generators(5)[0])
    draws = generators(1, 2)
    return Phase(
        parameters=random_phases(side, draws),
        magnitude=magnitude,
        contrast=4.0,
        generators=draws,
    )


def test_phase_images_have_the_magnitude_given() -> None:
    phase = phase_of(16, 16)
    plane = torch.einsum(
        "ij,bjhw->bihw", torch.linalg.inv(COLOUR.double()), torch.logit(phase.images().double())
    )
    seen = torch.fft.rfft2(plane * 4, norm="ortho").abs()
    inner = (slice(None), slice(None), slice(None), slice(1, 8))  # columns that are their own
    expected = phase.magnitude.double().expand_as(seen)
    torch.testing.assert_close(seen[inner], expected[inner], atol=1e-3, rtol=1e-3)


def test_finer_phases_keep_the_low_frequencies() -> None:
    coarse = phase_of(8, 16)
    fine = coarse.finer(16)
    old, new = coarse.parameters, fine.parameters.detach()
    for row in range(-3, 4):
        assert torch.equal(new[:, :, row, :4], old[:, :, row, :4])
    assert new.shape == (2, 3, 16, 9)
    assert new.abs().max() <= torch.pi
    assert not new[:, :, 0, 0].any(), "the mean colour is real"


def test_phases_of_an_image_come_from_its_own_generator() -> None:
    pair, swapped = random_phases(8, generators(1, 2)), random_phases(8, generators(2, 1))
    assert torch.equal(pair[0], swapped[1])
    assert not torch.equal(pair[0], pair[1])


def test_cropped_spectrum_holds_the_frequencies_of_the_smaller_grid() -> None:
    spectrum = torch.arange(16 * 9.0).view(1, 16, 9)
    small = crop_spectrum(spectrum, 8)
    assert small.shape == (1, 8, 5)
    for row in range(-4, 4):
        assert torch.equal(small[0, row], spectrum[0, row, :5])
    assert torch.equal(crop_spectrum(spectrum, 16), spectrum)


def test_mean_magnitude_of_one_image_is_its_own() -> None:
    images = torch.from_numpy(np.stack(smooth_images(1))).permute(0, 3, 1, 2).float() / 255
    magnitude = mean_magnitude(images)
    plane = torch.einsum(
        "ij,bjhw->bihw", torch.linalg.inv(COLOUR), torch.logit(images.clamp(0.02, 0.98))
    )
    expected = np.abs(np.fft.rfft2(plane[0].numpy(), norm="ortho"))
    np.testing.assert_allclose(magnitude.numpy(), expected, rtol=1e-3, atol=1e-3)
