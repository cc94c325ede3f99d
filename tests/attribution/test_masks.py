"""Masks show what peaks depend on, and PATCH and KEEP are what a plain loop finds."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from atlas.attribution import masks as masking
from atlas.attribution.masks import mask_unit, top_of
from atlas.attribution.peaks import find_places, receptive_fields
from atlas.config import Config
from atlas.images.load import Loaded, find_images, load
from atlas.models.load import Model, load_model
from atlas.models.probes import probe_images
from atlas.models.table import layer_table
from atlas.network.network import Network
from atlas.ranking.activations import measure_layers
from atlas.ranking.ranking import patch_boxes
from atlas.records.attribution import UnitMasks, median
from atlas.records.network import LayerInfo, ModelInfo
from tests.foreign import DetachedInside, seeded
from tests.helpers import layer_info, smooth_images, tiny_network
from tests.layer_tables import Small, row
from tests.models.test_table import Tokens

Pictures = Sequence[NDArray[np.uint8]]
SIDE = 112
"""A patch that is the whole picture is shown at this size, so that nothing is resized."""


def network_on(
    plain: nn.Module, taps: Sequence[str], side: int = SIDE, channels: int = 3, grey: float = 0.5
) -> Network:
    """A network as a run loads it, with its layer table."""
    numbers = {"mean": (grey,) * channels, "std": (0.25,) * channels}
    frozen = plain.eval().requires_grad_(False)
    info = ModelInfo(
        name="test",
        title="Test",
        source="set by hand",
        weights_sha256="0" * 64,
        licence="",
        parameters=0,
        input_size=side,
        class_names=(),
        **numbers,  # type: ignore[arg-type]
    )
    table = layer_table(frozen, probe_images(side, side, **numbers))
    model = Model(info=info, network=frozen, layers=table)
    return Network(model, taps, torch.device("cpu"))


def whole(pictures: Pictures) -> NDArray[np.int32]:
    """Boxes around all of each picture."""
    return np.array([(0, 0, *picture.shape[:2]) for picture in pictures], np.int32)


def masked(
    network: Network, layer: str, channel: int, pictures: Pictures, boxes: object = None
) -> UnitMasks:
    found = whole(pictures) if boxes is None else np.asarray(boxes, np.int32)
    return mask_unit(network, network.rows[layer], channel, pictures, found)


def deep(channels: int = 3, bias: float = 0.0) -> nn.Module:
    """Three convolutions with random weights, stride 4 in all, a receptive field of 15."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        network = Small(
            lambda net, x: net.c(torch.relu(net.b(torch.relu(net.a(x))))),
            a=nn.Conv2d(channels, 8, 3, stride=2, padding=1),
            b=nn.Conv2d(8, 8, 3, stride=2, padding=1),
            c=nn.Conv2d(8, 4, 3, padding=1),
        )
    network.c.bias.data[:] = bias
    return network


# --- against plain computation --------------------------------------------------------------------


def gaussian(image: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """(H, W) smoothed by a kernel that ends at four sigma, the border mirrored."""
    radius = int(round(8 * sigma + 1) | 1) // 2
    places = np.arange(-radius, radius + 1)
    kernel = np.exp(-(places**2) / (2 * sigma**2))
    kernel /= kernel.sum()
    for axis in (0, 1):
        padded = np.pad(
            image, [(radius, radius) if one == axis else (0, 0) for one in (0, 1)], "reflect"
        )
        parts = [
            np.take(padded, range(k, k + image.shape[axis]), axis) for k in range(2 * radius + 1)
        ]
        image = sum(weight * part for weight, part in zip(kernel, parts, strict=True))
    return image


def plainly(
    plain: nn.Module, layer: str, channel: int, picture: NDArray[np.uint8], grey: float, field: int
) -> tuple[NDArray[np.float64], float, float]:
    """Mask, PATCH and KEEP of one picture by a hook on the user's own network, in 64 bits."""
    network = plain.double()
    seen: list[Tensor] = []
    handle = network.get_submodule(layer).register_forward_hook(
        lambda *given: seen.append(given[2])
    )

    def run(image: Tensor) -> Tensor:
        seen.clear()
        network((image[None] - grey) / 0.25)
        return seen[0][0, channel]

    image = torch.from_numpy(picture).double().permute(2, 0, 1) / 255
    image.requires_grad_()
    activations = run(image)
    y, x = divmod(int(activations.argmax()), activations.shape[1])
    (slope,) = torch.autograd.grad(activations[y, x], image)
    peak = activations[y, x].detach()
    inside = np.zeros(picture.shape[:2], bool)
    stride = picture.shape[0] // activations.shape[0]
    half = field // 2
    inside[
        max(0, stride * y - half) : stride * y + half + 1,
        max(0, stride * x - half) : stride * x + half + 1,
    ] = True
    shorter = max(round(picture.shape[0] / 7), min(field, picture.shape[0] // 2))
    mask = gaussian(slope.abs().sum(0).numpy(), shorter / 16) * inside
    mask /= mask.max()
    count = math.ceil(inside.sum() / 10)
    best = sorted(np.flatnonzero(inside), key=lambda place: -mask.ravel()[place])[:count]
    top = np.zeros(mask.size)
    top[best] = 1
    shares = []
    for kept in (mask, top.reshape(mask.shape)):
        share = torch.from_numpy(kept)
        mixed = image.detach() * share + grey * (1 - share)
        shares.append(float(run(mixed)[y, x].detach() / peak))
    handle.remove()
    plain.float()
    return mask, shares[0], shares[1]


@pytest.mark.parametrize("channel", [0, 2])
@pytest.mark.parametrize("grey", [0.5, 0.2])
def test_masks_and_numbers_are_those_of_a_plain_loop(channel: int, grey: float) -> None:
    pictures = smooth_images(3, SIDE)
    found = masked(network_on(deep(bias=2.0), ["c"], grey=grey), "c", channel, pictures)
    for place, picture in enumerate(pictures):
        mask, patch, keep = plainly(deep(bias=2.0), "c", channel, picture, grey, field=15)
        assert found.patch[place] == pytest.approx(patch, abs=2e-4)
        assert found.keep[place] == pytest.approx(keep, abs=2e-4)
        assert np.abs(found.masks[place] - 255 * mask).max() < 0.6
    assert np.isnan(found.patch[3:]).all()
    assert np.isnan(found.keep[3:]).all()


def test_a_unit_that_sees_one_pixel_depends_on_one_pixel() -> None:
    """relu1:0 is red over the mean of the others, at the middle of its 3 × 3 pixels alone."""
    picture = np.full((32, 32, 3), 100, np.uint8)
    picture[9, 20] = (250, 50, 50)
    network = network_on(tiny_network(), ["relu1"], side=32, grey=0.0)
    (info,) = (one for one in network.rows.values() if one.name == "relu1")
    boxes = patch_boxes(info, 32, np.array([9 * 32 + 20], np.int32))
    found = masked(network, "relu1", 0, [picture], boxes)
    y0, x0, y1, x1 = boxes[0].tolist()
    assert (y1 - y0, x1 - x0) == (5, 5)
    assert found.masks.shape == (1, 112, 112)
    y, x = np.unravel_index(found.masks[0].argmax(), (112, 112))
    assert (y // 22.4, x // 22.4) == (9 - y0, 20 - x0)
    assert found.masks[0][:10].max() == 0
    # one pixel of nine is a tenth, and the smoothed mask is 1 there
    assert found.patch[0] == pytest.approx(1)
    assert found.keep[0] == pytest.approx(1)


# --- where ----------------------------------------------------------------------------------------


def spot(y: int, x: int, side: int = SIDE) -> NDArray[np.uint8]:
    """A bright texture on grey, its corner at a place."""
    picture = np.full((side, side, 3), 128, np.uint8)
    picture[y : y + 12, x : x + 12] = smooth_images(1, 12, seed=3)[0]
    return picture


def test_a_shifted_image_shifts_its_mask() -> None:
    """By whole strides, far from the border: pixel by pixel."""
    plain = deep()
    for convolution in (plain.a, plain.b):
        convolution.bias.data.zero_()
    network = network_on(plain, ["c"])
    for channel in range(4):
        first, second = masked(network, "c", channel, [spot(40, 40), spot(48, 28)]).masks
        assert first.any()
        moved = np.roll(first, (8, -12), (0, 1))
        assert np.abs(moved.astype(int) - second).max() <= 1


def test_masks_are_zero_outside_the_receptive_field() -> None:
    """However far they are smoothed: the derivatives of 15 pixels, and 7 px of sigma at 112 px."""
    pictures = smooth_images(4, SIDE)
    for layer, field in (("a", 3), ("b", 7), ("c", 15)):
        network = network_on(deep(bias=1.0), [layer])
        info = network.rows[layer]
        assert info.receptive_field == field
        for mask in masked(network, layer, 1, pictures).masks:
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            assert np.ptp(rows) < field
            assert np.ptp(columns) < field


def test_a_receptive_field_is_where_the_trace_says() -> None:
    """Stride 4, first position in the middle of pixel 0: position (2, 5) is over pixel (8, 20)."""
    network = network_on(deep(), ["c"])
    (field,) = receptive_fields(network.rows["c"], (SIDE, SIDE), np.array([2 * 28 + 5]))
    rows, columns = np.flatnonzero(field.any(1)), np.flatnonzero(field.any(0))
    assert (rows.min(), rows.max()) == (1, 15)
    assert (columns.min(), columns.max()) == (13, 27)


def test_where_the_trace_knows_nothing_everything_counts() -> None:
    unknown = layer_info("conv", 4, 8, receptive_field=0)
    assert receptive_fields(unknown, (16, 16), np.array([3, 9])).all()


def test_a_peak_is_looked_for_where_its_patch_is() -> None:
    """The JPEG that pages keep may move the maximum to another position that is nearly as high."""
    network = network_on(deep(), ["c"])
    info = network.rows["c"]
    maps = torch.zeros(2, 28 * 28)
    maps[:, 300], maps[:, 500] = 1.0, 1.01
    boxes = patch_boxes(info, SIDE, np.array([300, 500], np.int32))
    assert find_places(info, (SIDE, SIDE), maps, boxes).tolist() == [300, 500]
    elsewhere = np.zeros((2, 4), np.int32)
    assert find_places(info, (SIDE, SIDE), maps, elsewhere).tolist() == [500, 500]


def test_equal_pixels_count_by_position() -> None:
    mask = np.array([[0, 3, 1, 1], [1, 1, 2, 0]], np.float32)
    field = np.ones((2, 4), np.bool_)
    wide = np.tile(mask, (3, 1)), np.tile(field, (3, 1))
    # 24 pixels: three are a tenth, and there are three of 3
    assert np.flatnonzero(top_of(*wide)).tolist() == [1, 9, 17]
    # of eight, one; in the lower row of four, one
    assert np.flatnonzero(top_of(mask, field)).tolist() == [1]
    flat = np.zeros((2, 4), np.float32)
    assert np.flatnonzero(top_of(flat, field)).tolist() == [0]
    assert np.flatnonzero(top_of(flat, field & np.array([[False], [True]]))).tolist() == [4]


# --- networks of every kind -----------------------------------------------------------------------


def assert_nothing(found: UnitMasks) -> None:
    """No masks, no numbers."""
    assert found.masks.size == 0
    assert np.isnan(found.patch).all()
    assert np.isnan(found.keep).all()


def test_a_layer_without_gradient_has_no_masks() -> None:
    network = network_on(seeded(DetachedInside)(), ["second"], side=32)
    assert "second" in network.without_gradient
    assert_nothing(masked(network, "second", 0, smooth_images(2, 32)))


def test_maps_without_places_have_no_masks() -> None:
    network = network_on(deep(), ["c"])
    info = network.rows["c"]
    scattered = LayerInfo(**{**fields_of(info), "layout": "NCHW@?", "places": ()})
    pictures = smooth_images(2, SIDE)
    assert_nothing(mask_unit(network, scattered, 0, pictures, whole(pictures)))


def fields_of(info: LayerInfo) -> dict[str, object]:
    return {name: getattr(info, name) for name in LayerInfo.__dataclass_fields__}


def test_a_unit_without_examples_has_no_masks() -> None:
    network = network_on(deep(), ["c"])
    assert_nothing(masked(network, "c", 0, [], np.zeros((0, 4))))


def test_peaks_that_are_not_above_zero_have_masks_and_no_shares() -> None:
    network = network_on(deep(bias=-50.0), ["c"])
    found = masked(network, "c", 0, smooth_images(2, SIDE))
    assert found.masks.any()
    assert np.isnan(found.patch).all()
    assert math.isnan(median(found.keep))


def test_a_peak_that_depends_on_no_pixel_has_no_shares() -> None:
    """Behind a ReLU that is silent everywhere the bias is all there is."""
    plain = Small(
        lambda net, x: net.b(torch.relu(net.a(x))),
        a=nn.Conv2d(3, 2, 3, padding=1),
        b=nn.Conv2d(2, 2, 3, padding=1),
    )
    plain.a.bias.data[:] = -100
    plain.b.bias.data[:] = 1
    found = masked(network_on(plain, ["b"]), "b", 0, smooth_images(2, SIDE))
    assert not found.masks.any()
    assert np.isnan(found.patch).all()


@pytest.mark.parametrize("layer", ["patch", "join", "norm"])
def test_tokens_have_masks(layer: str) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        plain = Tokens(front=2)
    network = network_on(plain, [layer], side=32)
    found = masked(network, layer, 3, smooth_images(3, 32))
    assert found.masks.shape == (3, 112, 112)
    assert (found.masks.max((1, 2)) > 230).all()  # enlarging a peak of one pixel lowers it
    if layer != "norm":  # a patch of 4 px: 14 px of 112, and one more from enlarging it
        assert (np.flatnonzero(found.masks[0].any(1)).size) <= 18


def test_examples_that_do_not_fit_into_memory_together_run_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network, pictures = network_on(deep(bias=1.0), ["c"]), smooth_images(3, SIDE)
    together = masked(network, "c", 0, pictures)
    derive = masking.derive_peaks

    def full(run: object, layer: object, images: Tensor, boxes: object) -> object:
        if len(images) > 1:
            raise torch.OutOfMemoryError("no room")
        return derive(run, layer, images, boxes)  # type: ignore[arg-type]

    monkeypatch.setattr(masking, "derive_peaks", full)
    alone = masked(network, "c", 0, pictures)
    assert np.allclose(alone.patch, together.patch, atol=1e-4, equal_nan=True)
    assert np.allclose(alone.keep, together.keep, atol=1e-4, equal_nan=True)
    assert np.abs(alone.masks.astype(int) - together.masks).max() <= 1
    monkeypatch.setattr(
        masking,
        "derive_peaks",
        lambda *given: full(*given[:2], given[2].repeat(2, 1, 1, 1), given[3]),
    )
    with pytest.raises(torch.OutOfMemoryError):
        masked(network, "c", 0, pictures[:1])


def test_one_image_is_one_example() -> None:
    found = masked(network_on(deep(bias=1.0), ["c"]), "c", 0, smooth_images(1, SIDE))
    assert found.masks.shape == (1, 112, 112)
    assert np.isfinite(found.patch).tolist() == [True] + [False] * 8


def test_a_grey_network_sees_the_luminance_of_what_is_kept() -> None:
    """A network of one channel behind luminance is one of three channels with it in front."""
    plain = deep(channels=1, bias=1.0)
    with_luminance = deep(channels=1, bias=1.0)
    shares = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    first = nn.Conv2d(3, 8, 3, stride=2, padding=1)
    first.weight.data = with_luminance.a.weight.data * shares
    first.bias.data = with_luminance.a.bias.data
    with_luminance.a = first
    pictures = smooth_images(2, SIDE)
    one = masked(network_on(plain, ["c"], channels=1), "c", 1, pictures)
    three = masked(network_on(with_luminance, ["c"]), "c", 1, pictures)
    assert np.allclose(one.patch[:2], three.patch[:2], atol=1e-4)
    assert np.allclose(one.keep[:2], three.keep[:2], atol=1e-4)
    assert np.abs(one.masks.astype(int) - three.masks).max() <= 1


def test_five_bands_of_sixteen_bits_count_all() -> None:
    """The unit reads the fifth band alone; what is seen at the other four changes nothing."""
    plain = Small(lambda net, x: net.a(x), a=nn.Conv2d(5, 1, 3, padding=1, bias=False))
    plain.a.weight.data.zero_()
    plain.a.weight.data[0, 4, 1, 1] = 1
    picture = np.full((28, 28, 5), 9_000, np.uint16)
    picture[5, 9, 4] = 60_000
    network = network_on(plain, ["a"], side=28, channels=5, grey=0.0)
    found = masked(network, "a", 0, [picture], [(0, 0, 28, 28)])
    y, x = np.unravel_index(found.masks[0].argmax(), (112, 112))
    assert (y // 4, x // 4) == (5, 9)
    assert found.keep[0] == pytest.approx(1)


def test_patches_of_inputs_that_are_no_squares_keep_their_shape() -> None:
    network = network_on(deep(bias=1.0), ["c"])
    found = masked(network, "c", 0, smooth_images(1, SIDE), [(8, 4, 36, 60)])
    assert found.masks.shape == (1, 56, 112)


# --- a real network -------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", ["blocks.2.1", "blocks.4.2"])
def test_the_top_tenth_of_the_mask_keeps_far_more_than_a_random_tenth(layer: str) -> None:
    model = load_model(Config())
    network = Network(model, [layer], torch.device("cpu"))
    info, size = row(model.layers, layer), 224
    images = find_images("sample", 50_000_000)
    few = list(images.items)[::6]
    pixels = [
        one.pixels
        for one in load(images_of(images, few), (size, size), (size, size))
        if isinstance(one, Loaded)
    ]
    (stats,) = measure_layers(network, [info], pixels)
    kept, by_chance = [], []
    for channel in np.argsort(-stats.mean)[:4].tolist():
        best = stats.example_image[channel, :4].tolist()
        boxes = stats.example_box[channel, :4]
        shown = [pixels[image] for image in best]
        found = mask_unit(network, info, channel, shown, boxes)
        kept.append(median(found.keep))
        by_chance.append(random_tenth(network, info, channel, shown, boxes))
    assert np.median(kept) > 0.5
    assert np.median(kept) > 2 * np.median(by_chance)


def images_of(images: object, items: Sequence[object]) -> object:
    """The set with these images alone."""
    return replace(images, items=tuple(items))  # type: ignore[type-var]


def random_tenth(
    network: Network,
    info: LayerInfo,
    channel: int,
    pictures: Pictures,
    boxes: NDArray[np.int32],
) -> float:
    """Share of the peaks that a random tenth of the receptive field's pixels keeps."""
    rng, shares = np.random.default_rng(0), []
    for picture, box in zip(pictures, boxes, strict=True):
        image = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
        with (
            torch.no_grad(),
            network.tap({info.name: lambda maps: maps[:, channel].flatten(1)}) as run,
        ):
            maps = run(image)[info.name]
            place = find_places(info, network.info.shape, maps, box[None])
            (field,) = receptive_fields(info, network.info.shape, place)
            inside = np.flatnonzero(field)
            share = np.zeros(field.size, np.float32)
            share[rng.choice(inside, len(inside) // 10, replace=False)] = 1
            kept = torch.from_numpy(share.reshape(field.shape))
            grey = torch.tensor(network.info.mean).view(1, 3, 1, 1)
            left = run(image * kept + grey * (1 - kept))[info.name]
        shares.append(float(left[0, place[0]] / maps[0, place[0]]))
    return float(np.median(shares))
