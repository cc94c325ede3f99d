"""Do pictures identify their units, and what do they cost? `make bench-quality`.

    python -m tests.bench.quality [--model NAME] [--weights FILE] [--images DIR] [--observer NAME]
        [--units 16] [--layers A,B] [--recipes A,B] [--out DIR]

Units are drawn at random. Without --images the model's packaged reference says what is natural and
judges; with it, two thirds of the images make pictures and the others judge them. Prints a line a
layer and recipe, beside the nine best photographs of the same units, and writes a contact sheet
with a row for each line.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from atlas.cache.reference import Reference, packaged_reference, read_reference
from atlas.config import Config
from atlas.images.pixels import to_pixels
from atlas.models.load import Model, load_model
from atlas.models.observers import choose_observer
from atlas.network.network import Network
from atlas.network.observer import Observer
from atlas.ranking.evidence import Judge, of_length_one, standardised
from atlas.records.evidence import Place
from atlas.records.network import LayerInfo
from atlas.records.samples import judging_images
from atlas.records.units import Rendering
from atlas.rendering.job import Nature
from atlas.rendering.kinds import Recipe
from atlas.rendering.recipes import find_recipes
from atlas.shapes import Shape
from atlas.workers.renderer import Renderer
from atlas.workers.schedule import UnitBlock
from build_atlas import main as run_atlas

LAYERS = "blocks.0.0,blocks.2.1,blocks.3.2,blocks.4.2,blocks.5.3,blocks.6.0"
SIDE = 112


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The pictures of some units of a layer by a recipe, and what an observer makes of them."""

    layer: str
    recipe: str
    renderings: Sequence[Rendering]
    seconds: float
    live: int
    found: Sequence[Place]
    swapped: Sequence[Place]

    @property
    def tries(self) -> int:
        """Attempts at all units together."""
        return sum(one.attempts for one in self.renderings)


def main() -> None:
    """Read the arguments; render, judge and print layer by layer; write the sheet."""
    args = read_arguments()
    names = {name: getattr(args, name) for name in ("model", "weights", "observer")}
    config = Config(**names, strict=True)
    model, reference = load_model(config), natural_reference(args)
    renderer, observer = renderer_of(config, model, reference), observer_of(config, model)
    assert reference.observed is not None
    if reference.observed.weights_sha256 != observer.info.weights_sha256:
        raise SystemExit(f"{reference.path} was seen by another observer; give --images")
    judging, groups = judging_images(reference.samples), list[Group]()
    print(f"{args.model}, {len(judging)} images; {observer.info.title} judges on {judging.sum()}")
    print("IDENT: median / mean of (place - 1/2) / C; PREDICT: mean; other scores: medians; CPU s")
    rows = {layer.name: layer for layer in model.layers}
    for name in args.layers.split(","):
        judge = Judge(reference.observed, judging, reference.stats[name])
        channels = draw_units(reference.stats[name].channels, args.units)
        print(f"{name:12} {'photographs':11} {places_line(judge, judge.by_photographs(channels))}")
        print(f"{'':12} {'all of them':11} {places_line(judge, by_all(judge, channels))}")
        for recipe in find_recipes(args.recipes.split(",")):
            block = block_of(recipe, rows[name], channels, model.info.shape)
            groups.append(measure(renderer, observer, judge, block))
            print(report(judge, groups[-1]), flush=True)
    print_totals(groups)
    args.out.mkdir(parents=True, exist_ok=True)
    sheet = np.concatenate([sheet_row(group.renderings, args.units) for group in groups])
    cv2.imwrite(str(args.out / "sheet.png"), sheet[..., ::-1])


def read_arguments() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="efficientnet_lite0")
    parser.add_argument("--weights", default="")
    parser.add_argument("--images", default="")
    parser.add_argument("--observer", default="auto")
    parser.add_argument("--units", type=int, default=16)
    parser.add_argument("--layers", default=LAYERS)
    parser.add_argument("--recipes", default="octaves,company")
    parser.add_argument("--out", type=Path, default=Path("build/bench-quality"))
    return parser.parse_args()


def natural_reference(args: argparse.Namespace) -> Reference:
    """The packaged reference, or one that is made of --images first."""
    if not args.images:
        path = packaged_reference(args.model)
        assert path is not None, f"no reference comes with {args.model}; give --images"
        return read_reference(path)
    path = args.out / "images.reference.h5"
    typed = {name: getattr(args, name) for name in ("model", "weights", "images", "observer")}
    typed |= {"layers": args.layers, "cache": args.out / "cache", "save-reference": path}
    words = [word for name, text in typed.items() if text for word in (f"--{name}", str(text))]
    assert run_atlas(["rank", "--reference", "none", *words]) == 0
    return read_reference(path)


def renderer_of(config: Config, model: Model, reference: Reference) -> Renderer:
    """What renders, as in a build with this reference."""
    blocks = [layer.name for layer in model.layers if "blocks" in layer.groups]
    nature = Nature(
        stats=reference.stats,
        companions=tuple(name for name in blocks if name in reference.stats),
        training=~judging_images(reference.samples),
        hf=reference.samples.hf_median,
        magnitude=np.zeros((3, 0, 0), np.float32),
    )
    names = [layer.name for layer in model.layers if layer.name in reference.stats]
    return Renderer(config, Network(model, names, torch.device("cpu")), nature)


def observer_of(config: Config, model: Model) -> Observer:
    """The network that judges."""
    chosen = choose_observer(config, model.info)
    assert chosen is not None, "no observer is installed"
    return Observer(chosen.load(), torch.device("cpu"))


def draw_units(channels: int, count: int) -> tuple[int, ...]:
    """Some channels of a layer at random, the same ones each time."""
    return tuple(np.random.default_rng(1).permutation(channels)[:count].tolist())


def by_all(judge: Judge, channels: Sequence[int]) -> list[Place]:
    """The place of each unit by all training images, weighed by how much they excite it.

    A picture can hardly say more: it is made of what these correlate with.
    """
    answers = judge.stats.activations[judge.training][:, list(channels)].astype(np.float64)
    views = standardised(answers.T) @ judge.views[judge.training]
    return judge.place(of_length_one(views), channels)


def block_of(
    recipe: Recipe, layer: LayerInfo, channels: tuple[int, ...], shape: Shape
) -> UnitBlock:
    """The units of a layer; the last attempt starts from grey.

    In an atlas it starts from a photograph, which identifies the unit by itself.
    """
    grey = np.full((*shape, 3), 128, np.uint8)
    examples = dict.fromkeys(channels, grey)
    return UnitBlock(
        recipe=recipe, layer=layer, first=0, last=0, channels=channels, examples=examples
    )


def measure(renderer: Renderer, observer: Observer, judge: Judge, block: UnitBlock) -> Group:
    """Render a block and let the observer judge it, rightly and with pictures swapped."""
    began = time.process_time()
    renderings = renderer.render([block])[0].renderings
    seconds = time.process_time() - began
    seen = observer.look(to_pixels(one.image) for one in renderings).features
    return Group(
        layer=block.layer.name,
        recipe=block.recipe.name,
        renderings=renderings,
        seconds=seconds,
        live=int(judge.live.sum()),
        found=judge.identify(seen, block.channels),
        swapped=judge.identify(np.roll(seen, 1, axis=0), block.channels),
    )


def shares(found: Sequence[Place], live: int) -> NDArray[np.float64]:
    """(place − ½) ÷ C of those that have a place."""
    return np.array([(one.ident - 0.5) / live for one in found if one.ident])


def places_line(judge: Judge, found: Sequence[Place]) -> str:
    """IDENT, median and mean, and the mean of PREDICT."""
    values = shares(found, int(judge.live.sum()))
    predict = np.nanmean([one.predict for one in found])
    return f"IDENT {np.median(values):.3f} / {values.mean():.3f}  PREDICT {predict:5.2f}"


def report(judge: Judge, group: Group) -> str:
    """A line: places, medians of the scores, share of gates passed, CPU seconds."""
    scores = [one.scores for one in group.renderings]
    reach, robust, hf = (
        np.array([getattr(one, name) for one in scores]) for name in ("reach", "robust", "hf")
    )
    count, ok = len(scores), sum(one.status == "ok" for one in group.renderings)
    first = sum(one.select == 1 for one in scores)
    return (
        f"{'':12} {group.recipe:11} {places_line(judge, group.found)}  "
        f"REACH {np.median(reach):.2f} (>= 1: {(reach >= 1).sum()}/{count})  "
        f"first {first}/{count}  ROBUST {np.median(robust):.2f}  "
        f"HF {np.median(hf):.2f} (<= 3: {(hf <= 3).sum()}/{count})  ok {ok / count:.0%}  "
        f"{group.seconds / group.tries:.2f} s an attempt, {group.tries / count:.2f} attempts, "
        f"{group.seconds / count:.2f} s"
    )


def print_totals(groups: Sequence[Group]) -> None:
    """Of each recipe: its cost, and whether swapped places are uniform."""
    first: list[float] = []
    for recipe in dict.fromkeys(group.recipe for group in groups):
        own = [group for group in groups if group.recipe == recipe]
        made = [one for group in own for one in group.renderings]
        attempt = float(np.mean([group.seconds / group.tries for group in own]))
        costs = [attempt, sum(group.seconds for group in own) / len(made)]
        first = first or costs
        wrong = np.concatenate([shares(group.swapped, group.live) for group in own])
        print(
            f"{recipe}: {costs[0]:.2f} CPU s an attempt ({costs[0] / first[0]:.2f} of "
            f"{groups[0].recipe}), {costs[1]:.2f} a unit ({costs[1] / first[1]:.2f}); REACH >= 1: "
            f"{np.mean([one.scores.reach >= 1 for one in made]):.1%}; swapped: mean "
            f"{wrong.mean():.3f}, sqrt(n) D {kolmogorov(wrong):.2f} over {len(wrong)} (< 1.36)"
        )


def kolmogorov(values: NDArray[np.float64]) -> float:
    """√n · D: how far values are from being uniform on [0, 1]; below 1.36 at p > .05."""
    count, order = len(values), np.sort(values)
    steps = np.arange(count)
    distance = max((order - steps / count).max(), ((steps + 1) / count - order).max())
    return float(np.sqrt(count) * distance)


def sheet_row(renderings: Sequence[Rendering], width: int) -> NDArray[np.uint8]:
    """The pictures beside one another, grey where there are fewer."""
    pictures = [to_pixels(one.image) for one in renderings]
    small = [cv2.resize(one, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for one in pictures]
    grey = np.full((SIDE, SIDE, 3), 128, np.uint8)
    return np.concatenate([*small, *[grey] * (width - len(small))], 1)


if __name__ == "__main__":
    main()
