"""The stage ranking → renderings: every chosen unit that is not in the cache, block by block."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from . import tuning
from .config import fingerprint
from .errors import AtlasError, InputError
from .files import require_free
from .imagetensors import decode_view, fit, to_pixels, to_tensor
from .measuring import companions, natural_samples, natural_stats
from .network import Network
from .octaves import octave_sides
from .parameterization import mean_magnitude
from .recipes import (
    COMPANY_MINIMUM,
    FourierRecipe,
    Recipe,
    digest,
    facet,
    find_recipes,
    negative,
)
from .records import LayerInfo, LayerStats, Rendering, Unit
from .work import Work, run_info
from .workers import Block, Material, Settings, failed_rendering, plan_blocks, render_block

RENDERING_VERSION = 1
"""Raised whenever the same settings would give other pictures or scores."""

LEAST_NATURAL_HF = 1e-4
MAGNITUDE_IMAGES = 256
"""Sample images whose mean magnitude `phase` uses, evenly spread over the set."""


def choose_recipes(work: Work) -> tuple[Recipe, ...]:
    """The recipes of --recipe, --negative and --facets; the first is the default picture.

    Raises:
        InputError: `company` was asked for and too few images stand behind the statistics.
    """
    distinct = natural_samples(work).distinct
    enough = distinct >= COMPANY_MINIMUM
    names: list[str] = []
    for name in work.config.recipe:
        names += (["octaves", "company"] if enough else ["octaves"]) if name == "auto" else [name]
    if "company" in names and not enough:
        raise InputError(
            f"recipe company needs {COMPANY_MINIMUM} distinct images behind the statistics, "
            f"there are {distinct}; give more --images, or a --reference"
        )
    recipes = list(find_recipes(tuple(dict.fromkeys(names))))
    base = next((one for one in recipes if isinstance(one, FourierRecipe)), None)
    if base is not None and work.config.negative:
        recipes.append(negative(base))
    if base is not None:
        recipes += [facet(base, number) for number in range(1, work.config.facets + 1)]
    return tuple(recipes)


def rendering_fingerprint(work: Work, recipe: Recipe) -> str:
    """Identifies what decides a rendering beside the key."""
    company = isinstance(recipe, FourierRecipe) and recipe.objective == "company"
    return fingerprint(
        {
            "rendering": RENDERING_VERSION,
            "recipe": digest(recipe),
            "size": work.config.size,
            "seed": work.config.seed,
            "snapshots": work.config.snapshots,
            "reference": "" if work.reference is None else work.reference.sha256,
            "company": [layer.name for layer in companions(work)] if company else [],
        }
    )


def render_units(
    work: Work,
    recipes: Sequence[Recipe],
    layers: Sequence[LayerInfo],
    stats: Mapping[str, LayerStats],
    chosen: Mapping[str, Sequence[int]],
) -> dict[Unit, Rendering]:
    """Render every chosen unit that the cache does not hold.

    Returns:
        The units that failed, each with a rendering that says why; they are tried again next time.
    """
    todo: list[tuple[Recipe, LayerInfo, Block]] = []
    for recipe in recipes:
        finished = work.store.finished(rendering_fingerprint(work, recipe))
        for layer in layers:
            done = list(finished.get(layer.name, {}))
            blocks = plan_blocks(layer.name, chosen[layer.name], done)
            todo += [(recipe, layer, block) for block in blocks]
    if not todo:
        return {}
    units = sum(len(block.channels) for _, _, block in todo)
    require_free(work.store.folder, units * 6 * work.config.size**2)
    stage = Stage(work, recipes, layers, stats)
    cost = sum(unit_cost(recipe, layer) * len(block.channels) for recipe, layer, block in todo)
    failures: dict[Unit, Rendering] = {}
    with work.progress.units(units, cost):
        for recipe, layer, block in todo:
            failures |= stage.render(recipe, layer, block)
    return failures


def unit_cost(recipe: Recipe, layer: LayerInfo) -> float:
    """Relative time of a unit: multiply-adds up to the layer, and what every picture costs."""
    steps = 40 if isinstance(recipe, FourierRecipe) else 400  # at full size, about
    return steps * (layer.multiply_adds + 60e6)  # measured: resampling and FFT are worth 60 M


class Stage:
    """What all blocks of one run share: the network, natural statistics, earlier pictures."""

    def __init__(
        self,
        work: Work,
        recipes: Sequence[Recipe],
        layers: Sequence[LayerInfo],
        stats: Mapping[str, LayerStats],
    ) -> None:
        self.work = work
        self.recipes = recipes
        self.stats = stats
        self.natural = natural_stats(work, stats)
        taps = list(dict.fromkeys([*(layer.name for layer in layers), *self.natural]))
        device = tuning.choose_device(work.config.device)
        self.network = Network(work.model(), taps, device, work.config.compile)
        self.natural_hf = max(natural_samples(work).hf_median, LEAST_NATURAL_HF)
        self.magnitude = self.measure_magnitude()

    def render(self, recipe: Recipe, layer: LayerInfo, block: Block) -> dict[Unit, Rendering]:
        """Render and commit one block; returns its failures."""
        work, began = self.work, time.perf_counter()
        settings = self.settings(recipe, layer)
        renderings = self.guarded(block, settings, self.material(recipe, layer))
        failed = [one for one in renderings if one.status == "failed"]
        finished = [one for one in renderings if one.status != "failed"]
        if finished:
            mark = rendering_fingerprint(work, recipe)
            run = run_info(work.config)
            work.store.write_renderings(block.first, block.last, mark, finished, run)
        counts = Counter(one.status for one in renderings)
        work.progress.finished(
            f"{layer.name} {recipe.name}",
            len(renderings),
            unit_cost(recipe, layer) * len(renderings),
            ", ".join(f"{count} {status}" for status, count in sorted(counts.items())),
            time.perf_counter() - began,
        )
        for one in failed:
            work.progress.warn(f"{one.unit} failed: {one.reason}")
        return {one.unit: one for one in failed}

    def guarded(self, block: Block, settings: Settings, material: Material) -> Sequence[Rendering]:
        """Render a block; if that fails, each unit alone, so that one takes no other with it."""
        try:
            return render_block(self.network, block, settings, material)
        except AtlasError:
            raise
        except Exception as error:
            if self.work.config.strict:
                raise
            if len(block.channels) == 1:
                unit = Unit(layer=block.layer, channel=block.channels[0])
                return [failed_rendering(unit, settings.recipe.name, error)]
        alone = [replace(block, channels=(channel,)) for channel in block.channels]
        return [one for part in alone for one in self.guarded(part, settings, material)]

    def settings(self, recipe: Recipe, layer: LayerInfo) -> Settings:
        """Batch and precision are measured once per layer and device, then read from the cache."""
        config, store = self.work.config, self.work.store
        sides = octave_sides(recipe, config.size) if isinstance(recipe, FourierRecipe) else ()
        asked = (config.precision, str(config.batch))
        parts = (self.network.device.type, *asked, layer.name, *map(str, sides))
        name, notes = " ".join(parts), dict[str, Any](store.read_json("tuning") or {})
        if name not in notes:
            batch = tuning.choose_batch(config.batch, self.network, layer.name, config.size)
            chosen = tuning.choose_precisions(
                self.network, layer.name, sides, config.precision, batch
            )
            precisions = {str(side): precision for side, precision in chosen.items()}
            notes[name] = {"batch": batch, "precisions": precisions}
            store.write_json("tuning", notes)
        noted = notes[name]
        return Settings(
            recipe=recipe,
            size=config.size,
            seed=config.seed,
            batch=noted["batch"],
            precisions={int(side): one for side, one in noted["precisions"].items()},
            natural_hf=self.natural_hf,
            snapshots=config.snapshots,
        )

    def material(self, recipe: Recipe, layer: LayerInfo) -> Material:
        """What the units of a layer take from nature and from their earlier pictures."""
        company = isinstance(recipe, FourierRecipe) and recipe.objective == "company"
        names = list(self.natural)
        before = names[: names.index(layer.name) + 1] if company else [layer.name]

        def best_image(channel: int) -> NDArray[np.uint8]:
            best = int(np.argmax(self.stats[layer.name].over_images(channel)))
            return decode_view(self.work.store.sample(best))

        def earlier(channel: int) -> Sequence[NDArray[np.uint8]]:
            return self.earlier_pictures(recipe, Unit(layer=layer.name, channel=channel))

        return Material(
            natural={name: self.natural[name] for name in before},
            best_image=best_image,
            earlier=earlier,
            magnitude=self.magnitude,
        )

    def earlier_pictures(self, recipe: Recipe, unit: Unit) -> list[NDArray[np.uint8]]:
        """The base picture of a unit and its facets before `recipe`, at one size."""
        assert isinstance(recipe, FourierRecipe)
        base = next(one for one in self.recipes if isinstance(one, FourierRecipe))
        facets = [one for one in self.recipes if isinstance(one, FourierRecipe) and one.facet]
        before = [base, *(one for one in facets if one.facet < recipe.facet)]
        marks = [rendering_fingerprint(self.work, one) for one in before]
        pictures = [to_pixels(self.work.store.rendering(unit, mark).image) for mark in marks]
        return [fit(picture, self.work.config.size) for picture in pictures]

    def measure_magnitude(self) -> NDArray[np.float32]:
        """Mean magnitude of the sample images' spectra, where a recipe needs it."""
        phase = [
            one
            for one in self.recipes
            if isinstance(one, FourierRecipe) and one.parameterization == "phase"
        ]
        if not phase:
            return np.zeros((3, 0, 0), np.float32)
        count = len(self.work.store.read_samples().samples)
        picks = np.unique(np.linspace(0, count - 1, min(count, MAGNITUDE_IMAGES)).astype(int))
        side = octave_sides(phase[0], self.work.config.size)[-1]
        views = [fit(decode_view(self.work.store.sample(int(i))), side) for i in picks]
        magnitude = mean_magnitude(to_tensor(views), phase[0].contrast)
        return np.asarray(magnitude.to(torch.float32).numpy())
