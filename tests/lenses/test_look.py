"""All lenses of an image: right by themselves, and the same whatever they are looked at with."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from atlas.config import Config
from atlas.images.load import Loaded, find_images, load
from atlas.lenses import look as lenses
from atlas.lenses.look import averaged_down, look, most_active
from atlas.models.load import load_model
from atlas.network.network import Network
from atlas.records.lens import Lens
from atlas.records.network import CLASSES
from tests.classifiers import classifier, conv_network, normalised, pictures
from tests.helpers import network_of, tiny_network

LAYERS = ["conv1", "act1", "act2"]


def looked(
    images: dict[int, NDArray[np.uint8]],
    plain: nn.Module | None = None,
    target: int | None = None,
    seed: int = 0,
) -> list[Lens]:
    network = classifier(plain or conv_network(), LAYERS)
    return look(network, images, LAYERS, 12, target, seed)


def numbered(count: int) -> dict[int, NDArray[np.uint8]]:
    return dict(enumerate(pictures(count)))


def assert_same(first: Lens, second: Lens) -> None:
    """Equal bit for bit."""
    assert first.image == second.image
    assert first.predictions == second.predictions
    assert np.array_equal(first.saliency, second.saliency)
    assert np.array_equal(first.smoothgrad, second.smoothgrad)
    assert (first.fooling is None) == (second.fooling is None)
    if first.fooling and second.fooling:
        assert np.array_equal(first.fooling.image, second.fooling.image)
        assert first.fooling.predictions == second.fooling.predictions
        assert first.fooling.steps == second.fooling.steps
    for one, other in zip(first.maps, second.maps, strict=True):
        assert one.layer == other.layer
        for name in ("channels", "means", "peaks", "maps"):
            assert np.array_equal(getattr(one, name), getattr(other, name))


def test_lenses_come_in_the_order_of_the_pictures() -> None:
    images = numbered(3)
    found = looked({7: images[2], 1: images[0]})
    assert [lens.image for lens in found] == [7, 1]
    assert [maps.layer for maps in found[0].maps] == LAYERS


def test_predictions_equal_a_plain_forward_pass() -> None:
    (picture,) = pictures(1)
    (lens,) = looked({0: picture})
    expected = conv_network().double().eval()(normalised(picture, torch.float64)).softmax(1)[0]
    best = expected.argsort(descending=True)[:5].tolist()
    assert [one.index for one in lens.predictions] == best
    assert [one.probability for one in lens.predictions] == pytest.approx(
        expected[best].tolist(), rel=1e-4
    )


def test_maps_are_the_activations_of_the_most_active_channels() -> None:
    (picture,) = pictures(1)
    plain, caught = conv_network().double().eval(), {}

    def catch(module: nn.Module, _inputs: object, output: Tensor) -> None:
        caught[names[module]] = output[0].detach().numpy()

    names = {plain.get_submodule(name): name for name in LAYERS}
    for module in names:
        module.register_forward_hook(catch)
    plain(normalised(picture, torch.float64))
    (lens,) = looked({0: picture})
    for maps in lens.maps:
        whole = caught[maps.layer]
        best = np.argsort(-whole.mean((1, 2)))[:8]
        assert maps.channels.tolist() == best.tolist()
        np.testing.assert_allclose(maps.means, whole.mean((1, 2))[best], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(maps.peaks, np.abs(whole[best]).max((1, 2)), rtol=1e-4)
        got = maps.maps.astype(np.float64) * maps.peaks[:, None, None]
        np.testing.assert_allclose(got, whole[best], atol=1e-3 * maps.peaks.max())
        assert maps.maps.dtype == np.float16


def test_maps_are_read_before_an_operation_in_place_overwrites_them() -> None:
    plain = conv_network()
    plain.act1 = nn.ReLU(inplace=True)
    (lens,) = looked(numbered(1), plain)
    assert lens.maps[0].maps.min() < 0  # conv1, before the ReLU


def test_a_channel_that_is_not_finite_has_no_map() -> None:
    plain = conv_network()
    plain.conv1.bias.data[3] = np.nan
    plain.conv1.bias.data[4] = np.inf
    (lens,) = looked(numbered(1), plain)
    assert len(lens.maps[0].channels) == 8
    assert not {3, 4} & {*lens.maps[0].channels.tolist()}
    assert len(lens.maps[2].channels) == 0  # after conv2 nothing is finite
    assert lens.maps[2].maps.shape == (0, 8, 8)


def test_a_network_that_is_not_finite_still_has_its_lens() -> None:
    plain = conv_network()
    plain.conv2.bias.data[0] = np.nan
    (picture,) = pictures(1)
    (lens,) = looked({0: picture}, plain)
    assert lens.predictions == ()
    assert lens.saliency.shape == lens.smoothgrad.shape == (16, 16)
    assert not lens.saliency.any()
    assert not lens.smoothgrad.any()
    assert lens.fooling is not None
    assert not lens.fooling.fooled
    assert np.array_equal(lens.fooling.image, picture)


def test_a_score_that_is_not_finite_is_no_prediction() -> None:
    plain = conv_network()
    (before,) = looked(numbered(1))
    plain.classes.bias.data[before.predictions[0].index] = np.nan
    (lens,) = looked(numbered(1), plain)
    assert [one.index for one in lens.predictions[:4]] == [
        one.index for one in before.predictions[1:]
    ]
    assert lens.saliency.max() == 1


def test_maps_of_zeros_stay_zeros_and_ties_go_by_channel() -> None:
    maps = most_active("silent", torch.zeros(1, 10, 3, 3))
    assert maps.channels.tolist() == [*range(8)]
    assert not maps.maps.any()
    assert not maps.peaks.any()


def test_large_maps_are_averaged_over_equal_squares() -> None:
    maps = torch.arange(2 * 224 * 224, dtype=torch.float32).view(2, 224, 224) / 1e5
    squares = maps.view(2, 112, 2, 112, 2).mean((2, 4))
    torch.testing.assert_close(averaged_down(maps), squares)
    assert averaged_down(maps[:, :112, :112]).shape == (2, 112, 112)
    assert averaged_down(maps[:, :30]).shape == (2, 30, 112)


def test_peaks_of_large_maps_are_those_of_the_whole_maps() -> None:
    activations = torch.zeros(1, 1, 224, 224)
    activations[0, 0, 6, 6] = -8
    maps = most_active("large", activations)
    assert maps.peaks.tolist() == [8]
    assert maps.maps.min() == -0.25


def test_no_classifier_leaves_only_the_maps() -> None:
    network = network_of(nn.Sequential(tiny_network().conv1, nn.ReLU()), ["1"])
    (lens,) = look(network, numbered(1), ["1"], 0, None, 0)
    assert (lens.predictions, lens.fooling) == ((), None)
    assert lens.saliency.shape == lens.smoothgrad.shape == (0, 0)
    assert lens.saliency.dtype == np.float16
    assert len(lens.maps[0].channels) == 4


def test_one_class_leaves_nothing_to_fool() -> None:
    (lens,) = look(classifier(conv_network(classes=1)), numbered(1), [], 1, None, 0)
    assert [(one.index, one.probability) for one in lens.predictions] == [(0, 1.0)]
    assert lens.saliency.max() == 1
    assert (lens.fooling, lens.maps) == (None, ())


def test_a_network_of_one_channel_has_every_lens() -> None:
    network = classifier(conv_network(colours=1), LAYERS, mean=(0.5,))
    (lens,) = look(network, numbered(1), LAYERS, 12, None, 0)
    assert lens.saliency.max() == lens.smoothgrad.max() == 1
    assert lens.fooling is not None
    assert lens.fooling.image.shape == (16, 16, 3)


def test_target_reaches_the_fooling_image() -> None:
    targets = [lens.fooling.target for lens in looked(numbered(2), target=6) if lens.fooling]
    assert targets == [6, 6]


def test_an_image_alone_and_among_others_has_the_same_lens() -> None:
    images = numbered(5)
    together = looked(images)
    for index, picture in images.items():
        (alone,) = looked({index: picture})
        assert_same(alone, together[index])


def test_hand_set_network_gives_the_same_lens_alone_and_among_others() -> None:
    network = network_of(tiny_network(), ["relu1", CLASSES])
    images = numbered(3)
    together = look(network, images, ["relu1"], 2, None, 0)
    for index, picture in images.items():
        (alone,) = look(network, {index: picture}, ["relu1"], 2, None, 0)
        assert_same(alone, together[index])


def test_seed_moves_smoothgrad_and_nothing_else() -> None:
    (first,), (second,) = looked(numbered(1)), looked(numbered(1), seed=1)
    assert not np.array_equal(first.smoothgrad, second.smoothgrad)
    assert np.array_equal(first.saliency, second.saliency)


def test_two_images_alike_have_noise_of_their_own() -> None:
    (picture,) = pictures(1)
    first, second = looked({0: picture, 1: picture})
    assert not np.array_equal(first.smoothgrad, second.smoothgrad)
    assert np.array_equal(first.saliency, second.saliency)


@pytest.mark.slow
def test_embedded_network_knows_the_cat_and_is_fooled() -> None:
    model = load_model(Config())
    network = Network(model, ["blocks.1.0", CLASSES], torch.device("cpu"))
    loaded = load(find_images("sample"), 224, 224)
    cat = next(
        one for one in loaded if isinstance(one, Loaded) and one.sample.name.startswith("chelsea")
    )
    (lens,) = look(network, {0: cat.pixels}, ["blocks.1.0"], 1000, None, 0)
    assert "cat" in model.info.class_names[lens.predictions[0].index]
    assert lens.fooling is not None
    assert lens.fooling.fooled
    assert 0 < lens.fooling.steps < 30
    assert lens.fooling.linf < 0.25
    assert lens.maps[0].maps.shape[0] == lenses.MAPS
