"""Rendering: a picture depends on its own unit and seed, and on nothing else in the batch.

On one thread equality is exact, for every recipe and batch. Divided among threads, torch's
convolutions may add in another order for an odd batch of small images, and an optimiser lets such
differences grow: there pictures are compared by PSNR.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from atlas.config import Config
from atlas.images.tensors import to_tensor
from atlas.models.load import load_model
from atlas.network.network import Network
from atlas.ranking.activations import measure_layers
from atlas.records.statistics import LayerStats
from atlas.rendering.engine import in_grey, render
from atlas.rendering.job import Draft
from atlas.rendering.kinds import FourierRecipe, Octave, Recipe, facet, negative
from atlas.rendering.parameterization import mean_magnitude
from atlas.rendering.recipes import RECIPES
from atlas.rendering.sources import AscentRecipe, PixelRecipe, UpscaleRecipe
from tests.helpers import (
    calibrated_googlenet,
    job_of,
    layer_info,
    natural_stats,
    nature_of,
    network_of,
    smooth_images,
    tiny_network,
)

SIDE = 32
PHOTOS = smooth_images(12, SIDE)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """One thread again after each test: some of them take more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def short(recipe: Recipe) -> Recipe:
    """The recipe with fewer steps and sizes."""
    if isinstance(recipe, AscentRecipe):
        return replace(recipe, steps=12)
    if isinstance(recipe, UpscaleRecipe):
        return replace(recipe, sizes=3, steps=12, first_size=24)
    if isinstance(recipe, PixelRecipe):
        return replace(recipe, sizes=6, steps=12)
    steps = ((0.25, 12), (0.5, 10), (1.0, 8))
    return replace(recipe, octaves=tuple(Octave(share=s, steps=n) for s, n in steps))


def size_for(recipe: Recipe) -> int:
    """--size at which `short` recipes that grow keep all their sizes, which are small ones."""
    return 224 if isinstance(recipe, (PixelRecipe, UpscaleRecipe)) else SIDE


def fourier(name: str = "octaves") -> FourierRecipe:
    recipe = RECIPES[name]
    assert isinstance(recipe, FourierRecipe)
    return recipe


ALL_RECIPES: list[Recipe] = [*RECIPES.values(), negative(fourier()), facet(fourier(), 1)]


def tiny(layer: str = "relu2") -> tuple[Network, LayerStats]:
    network = network_of(tiny_network(), ["relu1", "relu2"], SIDE)
    channels, side = {"relu1": (4, SIDE), "relu2": (3, SIDE // 2)}[layer]
    return network, natural_stats(network, layer_info(layer, channels, side), PHOTOS)


def draw(
    network: Network,
    stats: LayerStats,
    recipe: Recipe,
    channels: Sequence[int],
    size: int = SIDE,
    **changes: object,
) -> list[Draft]:
    """Render with what each recipe may need."""
    magnitude = mean_magnitude(to_tensor(smooth_images(4, size))).numpy()
    more: dict[str, object] = {
        "nature": nature_of({stats.layer: stats}, hf=0.05, magnitude=magnitude),
        "earlier": {channel: [PHOTOS[channel % 12]] for channel in channels},
    }
    return render(network, job_of(recipe, stats.layer, channels, stats, size, **more | changes))


def psnr(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    error = float(((one - other) ** 2).mean())
    return float("inf") if error == 0 else -10 * np.log10(error)


# --- independence --------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", ALL_RECIPES, ids=lambda recipe: str(recipe.name))
def test_picture_is_bit_equal_alone_in_any_batch_and_in_any_order(recipe: Recipe) -> None:
    network, stats = tiny("relu1")
    size = size_for(recipe)
    alone = {unit: draw(network, stats, short(recipe), [unit], size)[0] for unit in (0, 3)}
    for channels in ([0, 3], [3, 0], [1, 3, 2, 0], [2, 2, 2, 2, 0, 1, 3]):
        drafts = draw(network, stats, short(recipe), channels, size)
        for unit, draft in zip(channels, drafts, strict=True):
            if unit in alone:
                assert np.array_equal(draft.image, alone[unit].image)
                assert np.array_equal(draft.objective, alone[unit].objective)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["octaves", "pyramid", "pyramid+", "filter-visualizer", "class"])
def test_pictures_of_a_real_network_are_bit_equal_in_any_batch(tmp_path: Path, name: str) -> None:
    network, stats = googlenet(tmp_path)
    recipe = RECIPES[name]
    if isinstance(recipe, (PixelRecipe, UpscaleRecipe)):
        recipe = replace(recipe, sizes=8 if isinstance(recipe, PixelRecipe) else 2)
    size = max(64, size_for(recipe))
    alone = draw(network, stats, recipe, [5], size)[0]
    for channels in ([5, 77], [77, 5], [3, 77, 9, 5, 200]):
        drafts = draw(network, stats, recipe, channels, size)
        assert np.array_equal(drafts[channels.index(5)].image, alone.image)


@pytest.mark.slow
def test_at_the_default_size_all_threads_give_the_same_picture(tmp_path: Path) -> None:
    torch.set_num_threads(2)
    network, stats = googlenet(tmp_path)
    few = tuple(replace(octave, steps=3) for octave in fourier().octaves)
    recipe = replace(fourier(), octaves=few)
    (alone,) = draw(network, stats, recipe, [5], 224)
    *_, third = draw(network, stats, recipe, [3, 77, 5], 224)
    assert psnr(third.image, alone.image) >= 40


def googlenet(folder: Path) -> tuple[Network, LayerStats]:
    """inception3a of a live GoogLeNet at 64 px."""
    generator = torch.Generator().manual_seed(0)
    images = (torch.rand(8, 3, 64, 64, generator=generator) - 0.5) / 0.25
    weights = calibrated_googlenet(folder / "googlenet.pth", images)
    model = load_model(Config(model="googlenet", weights=str(weights), input_size=64))
    info = next(layer for layer in model.layers if layer.name == "inception3a")
    network = Network(model, ["inception3a"], torch.device("cpu"))
    return network, natural_stats(network, info, smooth_images(8, 64))


@pytest.mark.parametrize("recipe", ALL_RECIPES, ids=lambda recipe: str(recipe.name))
def test_same_seed_gives_the_same_bytes_and_another_seed_another_picture(recipe: Recipe) -> None:
    network, stats = tiny()
    first, again = (draw(network, stats, short(recipe), [0])[0] for _ in range(2))
    assert first.image.tobytes() == again.image.tobytes()
    other = draw(network, stats, short(recipe), [0], given=(2,))[0]
    assert np.abs(first.image - other.image).max() > 0.01


def test_equal_seeds_of_different_units_give_different_pictures() -> None:
    network, stats = tiny()
    one, two = draw(network, stats, short(fourier()), [0, 1], given=(1, 1))
    assert psnr(one.image, two.image) < 30


# --- size and shape ------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "side"), [(32, 32), (33, 32), (50, 50)])
def test_pictures_have_the_even_side_asked_for(size: int, side: int) -> None:
    network, stats = tiny()
    (draft,) = draw(network, stats, short(fourier()), [0], size)
    assert draft.image.shape == (3, side, side)
    assert draft.image.dtype == np.float32


@pytest.mark.parametrize("name", ["octaves", "company"])
def test_one_channel_network_gets_colour_pictures(name: str) -> None:
    plain = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU())
    nn.init.constant_(plain[0].weight, 0.2)
    nn.init.zeros_(plain[0].bias)
    network = network_of(plain, ["1"], SIDE, mean=(0.4,), std=(0.2,))
    stats = natural_stats(network, layer_info("1", 2, SIDE), PHOTOS)
    (draft,) = draw(network, stats, short(fourier(name)), [0])
    assert draft.image.shape == (3, SIDE, SIDE)
    assert draft.image.mean() > 0.6, "the unit likes light"


def test_company_of_tokens_is_their_mean_and_deviation_over_the_places() -> None:
    model = load_model(Config(model="tests.faults.networks:Tokens", input_size=SIDE))
    rows = [one for one in model.layers if one.name in ("patches", "block")]
    network = Network(model, [one.name for one in rows], torch.device("cpu"))
    stats = {one.layer: one for one in measure_layers(network, rows, PHOTOS)}
    with torch.no_grad():
        images = (to_tensor(PHOTOS) - torch.tensor(model.info.mean).view(3, 1, 1)) / torch.tensor(
            model.info.std
        ).view(3, 1, 1)
        maps = model.network.patches(images)  # type: ignore[operator]
        tokens = model.network.block(maps.flatten(2).mT)  # type: ignore[operator]
    for name, values in (("patches", maps.flatten(2).mT), ("block", tokens)):
        for found, expected in (
            (stats[name].activations, values.mean(1)),
            (stats[name].deviations, values.std(1, correction=0)),
        ):
            np.testing.assert_allclose(found * stats[name].scale, expected, atol=3e-3)
    nature = nature_of(stats, hf=0.05, magnitude=np.zeros((3, 0, 0), np.float32))
    job = job_of(short(fourier("company")), "block", [1, 5], stats["block"], SIDE, nature=nature)
    for draft in render(network, job):
        assert draft.finite
        assert not draft.silent
        assert draft.objective[-1] > draft.objective[0] + 1


def test_negative_picture_is_what_the_unit_likes_least() -> None:
    network, stats = tiny("relu1")
    (liked,) = draw(network, stats, short(fourier()), [0])
    (disliked,) = draw(network, stats, short(negative(fourier())), [0])
    red, other = (float((one.image[0] - one.image[1:].mean(0)).mean()) for one in (liked, disliked))
    assert red > 0.1
    assert other < red - 0.1
    assert disliked.objective[-1] > disliked.objective[0], "what it maximises is the dislike"


def test_pictures_start_from_the_example_given() -> None:
    network, stats = tiny("relu1")
    still = replace(short(fourier()), learning_rate=1e-6, octaves=(Octave(share=1.0, steps=1),))
    (draft,) = draw(network, stats, still, [0], examples={0: PHOTOS[3]}, start="example")
    seen = PHOTOS[3].transpose(2, 0, 1) / 255
    assert np.abs(draft.image - seen).max() < 0.1


# --- values that are not finite ------------------------------------------------------------------


class Spoil(nn.Module):
    """Channel 1 is NaN wherever it is above zero, without a gradient of its own."""

    def forward(self, maps: Tensor) -> Tensor:
        bad = torch.where(maps[:, 1] > 0, torch.nan, maps[:, 1])
        return torch.stack([maps[:, 0], bad, *maps[:, 2:].unbind(1)], 1)


class Overflow(nn.Module):
    """Channel 1 overflows, and so does its gradient."""

    def forward(self, maps: Tensor) -> Tensor:
        huge = maps[:, 1] * 3e38 * 10
        return torch.stack([maps[:, 0], huge, *maps[:, 2:].unbind(1)], 1)


@pytest.mark.parametrize("kind", [Spoil, Overflow])
@pytest.mark.parametrize(
    "recipe",
    [one for one in RECIPES.values() if one.name not in ("company", "phase")],
    ids=lambda one: str(one.name),
)
def test_bad_values_of_one_unit_leave_the_others_bit_equal(
    kind: type[nn.Module], recipe: Recipe
) -> None:
    clean, stats = tiny("relu1")
    parts = dict(tiny_network().named_children())
    broken = network_of(nn.Sequential(parts["conv1"], parts["relu1"], kind()), ["2"], SIDE)
    named = replace(stats, layer="2")
    drafts = draw(broken, named, short(recipe), [0, 1, 3], size_for(recipe))
    assert [draft.finite for draft in drafts] == [True, False, True]
    assert np.isfinite(drafts[1].image).all(), "there is something to show"
    alone = draw(clean, stats, short(recipe), [0, 3], size_for(recipe))
    for draft, wanted in zip(drafts[::2], alone, strict=True):
        assert np.array_equal(draft.image, wanted.image)


def test_grey_is_what_pil_makes_of_the_colours() -> None:
    colours = np.random.default_rng(0).random((3, 4, 5), np.float32)
    grey = in_grey(colours)
    assert np.array_equal(grey[0], grey[1])
    assert np.array_equal(grey[0], grey[2])
    eight_bits = Image.fromarray(np.uint8(colours * 255).transpose(1, 2, 0))
    wanted = np.asarray(eight_bits.convert("L")) / 255
    assert np.abs(grey[0] - wanted).max() < 2 / 255  # both round


def test_pictures_of_a_grey_network_are_grey() -> None:
    torch.manual_seed(1)
    plain = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU())
    network = network_of(plain, ["0"], mean=(0.449,), std=(0.226,))
    stats = natural_stats(network, layer_info("0", 2, 16), smooth_images(4))
    (draft,) = render(network, job_of(fourier(), "0", [1], stats, 32))
    assert draft.image.std() > 0.01
    for image in (draft.image, *draft.snapshots):
        assert np.array_equal(image[0], image[1])
        assert np.array_equal(image[0], image[2])
