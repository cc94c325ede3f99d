"""Quality per second of every recipe on a fixed list of units: `make bench-quality`.

    python -m tests.bench.quality [--model NAME] [--weights FILE] [--images DIR] [--units 8]
        [--layers GLOB,...] [--recipes A,B] [--variants "exponent=1.2;learning_rate=.07"] [--out DIR]

Prints one line a recipe (medians over units, natural values beside them) and writes a contact
sheet, one row a recipe and layer.
"""

import argparse
import dataclasses
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from atlas.config import Config
from atlas.images.load import Loaded, find_images, load
from atlas.images.tensors import to_pixels, to_tensor
from atlas.models.load import load_model
from atlas.network.network import Network
from atlas.network.tuning import CPU_BATCH
from atlas.ranking.activations import measure_layers
from atlas.ranking.ranking import rank_channels
from atlas.records.network import LayerInfo
from atlas.records.statistics import LayerStats
from atlas.records.units import Rendering
from atlas.rendering.attempts import render_best
from atlas.rendering.job import Job, Nature
from atlas.rendering.kinds import FourierRecipe, Recipe, facet, negative
from atlas.rendering.parameterization import mean_magnitude
from atlas.rendering.recipes import RECIPES
from atlas.rendering.scoring import high_frequency


def main() -> None:
    """Read the arguments, render, print, write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="efficientnet_lite0")
    parser.add_argument("--weights", default="")
    parser.add_argument("--images", default="sample")
    parser.add_argument("--units", type=int, default=6)
    parser.add_argument("--layers", default="")
    parser.add_argument("--recipes", default="octaves,company,phase,pyramid")
    parser.add_argument("--variants", default="", help="of octaves; one per ;, fields by comma")
    parser.add_argument("--out", default="build/bench-quality")
    args = parser.parse_args()
    model = load_model(Config(model=args.model, weights=args.weights))
    blocks = [layer for layer in model.layers if "blocks" in layer.groups]
    network = Network(model, [layer.name for layer in blocks], torch.device("cpu"))
    size = network.info.input_size
    images = [
        one.pixels for one in load(find_images(args.images), size, size) if isinstance(one, Loaded)
    ]
    hf = float(np.median(high_frequency(np.stack(images))))
    stats = {one.layer: one for one in measure_layers(network, blocks, images)}
    wanted = args.layers.split(",") if args.layers else spread(blocks)
    units = {name: pick_units(stats[name], args.units) for name in wanted}
    print(f"{args.model}, N {len(images)}, natural HF {hf:.4f} = 1, {args.units} units of {wanted}")
    magnitude = mean_magnitude(to_tensor(images[:256])).numpy()
    rows, drawn = [], dict[tuple[str, int], list[NDArray[np.uint8]]]()
    for title, recipe in recipes_of(args.recipes, args.variants):
        renderings, seconds = render_all(
            network, recipe, units, stats, hf, images, magnitude, drawn
        )
        print(report(title, renderings, seconds), flush=True)
        rows.append(sheet_rows(renderings))
        for one in renderings:
            key = (one.unit.layer, one.unit.channel)
            drawn.setdefault(key, []).append(to_pixels(one.image))
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(out / "sheet.png"), np.concatenate(rows)[..., ::-1])


def spread(layers: Sequence[LayerInfo]) -> list[str]:
    """Shallow, middle and deep: up to eight layers at even distances."""
    picks = np.linspace(0, len(layers) - 1, min(8, len(layers))).round().astype(int)
    return [layers[i].name for i in picks]


def pick_units(stats: LayerStats, count: int) -> tuple[int, ...]:
    """Half the top units by mean, half drawn with a fixed seed from the rest."""
    order = rank_channels(stats, "mean").tolist()
    top = order[: count // 2]
    rest = np.random.default_rng(0).permutation(order[count // 2 :])
    return (*top, *(int(channel) for channel in rest[: count - len(top)]))


def recipes_of(names: str, variants: str) -> list[tuple[str, Recipe]]:
    """The recipes to compare, and variants of `octaves` by their fields."""
    octaves = RECIPES["octaves"]
    assert isinstance(octaves, FourierRecipe)
    derived = [negative(octaves), *(facet(octaves, number) for number in (1, 2, 3))]
    known: dict[str, Recipe] = {**RECIPES, **{one.name: one for one in derived}}
    found = [(name, known[name]) for name in names.split(",") if name]
    for text in filter(None, variants.split(";")):
        changes = {}
        for pair in text.split(","):
            field, _, value = pair.partition("=")
            changes[field] = float(value)
        found.append((text, dataclasses.replace(octaves, **changes)))
    return found


def render_all(
    network: Network,
    recipe: Recipe,
    units: Mapping[str, Sequence[int]],
    stats: Mapping[str, LayerStats],
    hf: float,
    images: Sequence[NDArray[np.uint8]],
    magnitude: NDArray[np.float32],
    drawn: Mapping[tuple[str, int], list[NDArray[np.uint8]]],
) -> tuple[list[Rendering], float]:
    """All units by one recipe, and the seconds it took. Facets differ from all `drawn` before."""
    nature = Nature(stats=stats, hf=hf, magnitude=magnitude)
    began = time.perf_counter()
    renderings: list[Rendering] = []
    for name, channels in units.items():
        best = {one: int(np.argmax(stats[name].over_images(one))) for one in channels}
        job: Job[Recipe] = Job(
            recipe=recipe,
            layer=name,
            channels=tuple(channels),
            size=224,
            seed=0,
            weights=network.weights_sha256,
            batch=CPU_BATCH,
            precision="fp32",
            nature=nature,
            examples={channel: images[image] for channel, image in best.items()},
            earlier={channel: drawn.get((name, channel), []) for channel in channels},
        )
        renderings += render_best(network, job)
    return renderings, time.perf_counter() - began


def report(title: str, renderings: Sequence[Rendering], seconds: float) -> str:
    """One line: medians, share ok, seconds; then one line a layer."""
    lines = [f"{title:32} {summary(renderings)}  {seconds / len(renderings):.2f} s/unit"]
    for layer in dict.fromkeys(one.unit.layer for one in renderings):
        part = [one for one in renderings if one.unit.layer == layer]
        lines.append(f"    {layer:28} {summary(part)}")
    return "\n".join(lines)


def summary(renderings: Sequence[Rendering]) -> str:
    """Medians of the scores and the share of ok among units that are not dead."""
    alive = [one for one in renderings if one.status != "dead"]
    reach, robust, hf = (
        float(np.median([getattr(one.scores, name) for one in alive]))
        for name in ("reach", "robust", "hf")
    )
    first = sum(one.scores.select == 1 for one in alive)
    ok = sum(one.status == "ok" for one in alive)
    example = sum(one.start == "example" for one in alive)
    tries = Counter(one.attempts for one in alive)
    return (
        f"REACH {reach:5.2f}  first {first:3}/{len(alive)}  ROBUST {robust:.2f}  HF {hf:5.2f}  "
        f"ok {ok / len(alive):4.0%}  example {example}  attempts {dict(sorted(tries.items()))}"
    )


def sheet_rows(renderings: Sequence[Rendering]) -> NDArray[np.uint8]:
    """A row of 112 px pictures for each layer."""
    rows = []
    for layer in dict.fromkeys(one.unit.layer for one in renderings):
        part = [to_pixels(one.image) for one in renderings if one.unit.layer == layer]
        small = [cv2.resize(p, (112, 112), interpolation=cv2.INTER_AREA) for p in part]
        rows.append(np.concatenate(small, 1))
    return np.concatenate(rows)


if __name__ == "__main__":
    main()
