"""Other programs' pictures beside ours, of the same units, judged alike: `make bench-peers`.

    python -m tests.bench.peers [--units 6] [--layers A,B] [--makers A,B] [--out DIR]

The peers are torch-lucent 0.1.8 and dreamlens 0.1.1 at their defaults, one unit at a time as they
work, and the deep-dream article's loop. All get the embedded network, EfficientNet-Lite0, with its
own normalisation in front of it. Every picture is read as 8 bits at 224 px, scored by the network
and judged by MobileNetV2, which had no part in any of them. Prints a line a layer and maker, and
writes a contact sheet with a row for each line.

`make bench-peers` installs the peers into a folder that nothing else uses.
"""

import argparse
import copy
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from atlas.config import Config
from atlas.images.pixels import to_pixels
from atlas.images.tensors import fit
from atlas.models.load import Model, load_model
from atlas.ranking.evidence import Judge
from atlas.records.network import ModelInfo
from atlas.records.samples import judging_images
from atlas.records.units import Scores
from atlas.rendering.recipes import RECIPES
from atlas.rendering.scoring import score_images
from atlas.rendering.sources import PixelRecipe
from atlas.shapes import Picture
from tests.bench.quality import (
    SIDE,
    block_of,
    draw_units,
    natural_reference,
    observer_of,
    places_line,
    renderer_of,
)
from tests.bench.speed import article_loop

Maker = Callable[[str, Sequence[int]], list[Picture]]
"""Layer and channels → a picture of each."""


class Normalised(nn.Module):
    """A network that takes pictures in [0, 1]."""

    def __init__(self, network: nn.Module, info: ModelInfo) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(info.mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(info.std).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Any:
        """Answer to (N, C, H, W) in [0, 1]."""
        return self.network((images - self.mean) / self.std)


def main() -> None:
    """Read the arguments; let every maker make its pictures; judge and print them."""
    args = read_arguments()
    model, reference = load_model(Config()), natural_reference(args)
    renderer, observer = renderer_of(Config(), model, reference), observer_of(Config(), model)
    judging = judging_images(reference.samples)
    assert reference.observed is not None
    rows, sheet = {layer.name: layer for layer in model.layers}, []
    print(f"{len(judging)} reference images; {observer.info.title} judges on {judging.sum()}")
    print("IDENT: median / mean of (place - 1/2) / C; PREDICT: mean; other scores: medians")

    def ours(recipe: str) -> Maker:
        def make(layer: str, channels: Sequence[int]) -> list[Picture]:
            kind, shape = RECIPES[recipe], model.info.shape
            block = block_of(kind, rows[layer], tuple(channels), shape)
            return [to_pixels(one.image) for one in renderer.render([block])[0].renderings]

        return make

    makers = {name: alone(make, model) for name, make in PEERS.items()}
    makers |= {recipe: ours(recipe) for recipe in ("octaves", "company")}
    for layer in args.layers.split(","):
        stats = reference.stats[layer]
        judge = Judge(reference.observed, judging, stats)
        channels = draw_units(stats.channels, args.units)
        print(f"{layer:12} {'photographs':13} {places_line(judge, judge.by_photographs(channels))}")
        for name in args.makers.split(","):
            began = time.perf_counter()
            made = makers[name](layer, channels)
            seconds = (time.perf_counter() - began) / len(made)
            seen = [fit(picture, model.info.input_size) for picture in made]
            hf = reference.samples.hf_median
            scores = score_images(renderer.network, layer, channels, seen, stats, hf)
            found = judge.identify(observer.look(seen).features, channels)
            line = f"{places_line(judge, found)}  {scores_line(scores)}  {seconds:6.2f} s a unit"
            print(f"{'':12} {name:13} {line}", flush=True)
            sheet.append(sheet_row(seen))
    args.out.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(args.out / "sheet.png"), np.concatenate(sheet)[..., ::-1])


def read_arguments() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=6)
    parser.add_argument("--layers", default="blocks.4.2,blocks.5.3")
    parser.add_argument("--makers", default="article,torch-lucent,dreamlens,octaves,company")
    parser.add_argument("--out", type=Path, default=Path("build/bench-peers"))
    parser.set_defaults(model="efficientnet_lite0", images="")
    return parser.parse_args()


def alone(make: Callable[[Model, str, int], Picture], model: Model) -> Maker:
    """A maker of one picture at a time, with a network of its own that it may do as it likes with."""

    def make_all(layer: str, channels: Sequence[int]) -> list[Picture]:
        return [make(model, layer, channel) for channel in channels]

    return make_all


def by_lucent(model: Model, layer: str, channel: int) -> Picture:
    """A picture by `lucent.optvis.render.render_vis` at its defaults."""
    from lucent.optvis import render  # type: ignore[import-not-found]

    torch.manual_seed(0)
    np.random.seed(0)
    network = Normalised(copy.deepcopy(model.network), model.info).eval()
    target = f"network_{layer.replace('.', '_')}:{channel}"
    made = render.render_vis(network, target, preprocess=False, progress=False, show_image=False)
    return eight_bits(made[-1][0])


def by_dreamlens(model: Model, layer: str, channel: int) -> Picture:
    """A picture by `dreamlens.FeatureVisualizer.visualize` at its defaults."""
    from dreamlens import FeatureTarget, FeatureVisualizer  # type: ignore[import-not-found]

    torch.manual_seed(0)
    np.random.seed(0)
    network = Normalised(copy.deepcopy(model.network), model.info).eval()
    look = FeatureVisualizer(network, quiet=True, normalize=False)
    target = FeatureTarget.for_channel(f"network.{layer}", channel)
    return eight_bits(look.visualize(target).as_hwc().numpy())


def by_article(model: Model, layer: str, channel: int) -> Picture:
    """A picture by the deep-dream article's loop."""
    recipe = RECIPES["pyramid"]
    assert isinstance(recipe, PixelRecipe)
    return article_loop(copy.deepcopy(model.network), model.info, layer, channel, recipe)


PEERS: dict[str, Callable[[Model, str, int], Picture]] = {
    "article": by_article,
    "torch-lucent": by_lucent,
    "dreamlens": by_dreamlens,
}


def eight_bits(image: NDArray[np.floating]) -> Picture:
    """(H, W, 3) in [0, 1] as 8 bits."""
    return to_pixels(np.ascontiguousarray(image.transpose(2, 0, 1)).astype(np.float16))


def scores_line(scores: Sequence[Scores]) -> str:
    """Medians of the scores that the picture's own network gives."""
    reach, robust, hf = (
        float(np.median([getattr(one, name) for one in scores]))
        for name in ("reach", "robust", "hf")
    )
    first = sum(one.select == 1 for one in scores)
    return f"REACH {reach:5.2f}  first {first}/{len(scores)}  ROBUST {robust:.2f}  HF {hf:5.2f}"


def sheet_row(pictures: Sequence[Picture]) -> NDArray[np.uint8]:
    """The pictures beside one another."""
    small = [cv2.resize(one, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for one in pictures]
    return np.concatenate(small, 1)


if __name__ == "__main__":
    main()
