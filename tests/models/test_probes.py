"""The photographs that a network is asked with: real, in range, as the network expects them."""

import torch

from atlas.models.probes import probe_images, read_photographs


def test_photographs_are_three_different_ones_in_range() -> None:
    images = read_photographs()
    assert images.shape == (3, 3, 128, 128)
    assert images.min() >= 0
    assert images.max() <= 1
    assert min(float(image.std()) for image in images) > 0.1
    assert not torch.equal(images[0], images[1])


def test_images_have_the_size_and_the_normalisation_asked_for() -> None:
    plain = probe_images(40, 24)
    assert plain.shape == (3, 3, 40, 24)
    assert plain.min() >= 0
    assert plain.max() <= 1
    normalised = probe_images(40, 24, (0.5, 0.25, 0.0), (0.5, 2.0, 1.0))
    torch.testing.assert_close(normalised[:, 0], (plain[:, 0] - 0.5) / 0.5)
    torch.testing.assert_close(normalised[:, 1], (plain[:, 1] - 0.25) / 2)


def test_one_channel_is_luminance_and_more_repeat_the_colours() -> None:
    red, green, blue = probe_images(16, 16)[0]
    grey = probe_images(16, 16, (0.0,), (1.0,))
    assert grey.shape == (3, 1, 16, 16)
    torch.testing.assert_close(grey[0, 0], 0.299 * red + 0.587 * green + 0.114 * blue)
    five = probe_images(16, 16, (0.0,) * 5, (1.0,) * 5)[0]
    torch.testing.assert_close(five, torch.stack([red, green, blue, red, green]))
