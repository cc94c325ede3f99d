"""Circuits of units: what feeds them, what they feed, which classes they raise: `Circuits`.

All of it is seen on the sample images that excite a unit most. What a unit owes to another is
gradient × (activation − mean), that is the first-order prediction of setting the other to its mean;
it is checked by doing so.

Source: Shrikumar et al. 2017 (gradient × input); Nanda 2023 and Syed et al. 2023, arXiv 2310.10348
(attribution patching); Olah et al. 2020, Zoom In (circuits of a network of images).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..network.intervening import IMAGE, Interventions, Scene, cut_apart
from ..network.kernels import Kernels
from ..network.network import Network
from ..records.circuits import Circuit, Kind, Link
from ..records.network import CLASSES
from ..records.statistics import LayerStats
from .constants import Constants
from .derivatives import Derivatives
from .links import Rows, as_row, average, extremes, over_places, strongest, zeros_for
from .peaks import find_places
from .sights import Owed, Sight, below, error_of

IMAGES = 3
"""Best images of a unit on which its circuit is seen: derivatives by all classes cost four forward
passes an image (measured on EfficientNet-Lite0, one thread: 80 ms against 18)."""

CHECKED = 3
"""Of these, so many that feed a unit are set to their mean; a block is run again for each."""

LEAST_SPREAD = 0.01
"""Units whose spread is a smaller share of the layer's median are not listed: any effect on them
would be huge in spreads."""


class Circuits:
    """The layers of an atlas, ready to say of each of their units what surrounds it.

    Args:
        network: that knows all of the layers.
        run: hooks on them.
        stats: of every layer over the sample images, in forward order; those of the class scores
            are not needed.

    Attributes:
        before, behind: layer → the layers that feed it directly, and those that it feeds.
        deciding: the layers that have an effect on the class scores, through any others.
    """

    def __init__(
        self, network: Network, run: Interventions, stats: Mapping[str, LayerStats]
    ) -> None:
        self.network, self.run, self.stats = network, run, stats
        self.constants = Constants(network.network, network.device)
        self.derivatives = Derivatives(run)
        scene = run.record(network.probe(network.info.shape)[:1])
        self.before = cut_apart(run, scene)
        self.behind = {
            layer: [after for after, feeding in self.before.items() if layer in feeding]
            for layer in self.before
        }
        self.deciding = set(self.before.get(CLASSES, ()))
        for layer in reversed(list(self.before)):
            if layer in self.deciding:
                self.deciding.update(self.before[layer])
        self.kernels = Kernels(network, run, self.before)

    def scene(self, image: Tensor) -> Scene:
        """What every layer makes of an image (1, C, H, W) in [0, 1]."""
        return self.run.record(self.network.normalise(image.to(self.network.device)))

    def of_unit(self, layer: str, channel: int, scenes: Mapping[int, Scene]) -> Circuit:
        """The circuit of a unit.

        Args:
            layer, channel: the unit.
            scenes: index → scene of each of the sample images on which it is seen, at least one.
        """
        sights = [self.find_peak(scene, layer, channel, image) for image, scene in scenes.items()]
        owing = [self.owed(sight) for sight in sights]
        felt = self.felt(sights)
        links: dict[Kind, tuple[Link, ...]] = {
            "fed_by": self.feeding(owing),
            "feeds": strongest(
                link for after, some in felt.items() if after != CLASSES for link in some
            ),
            "classes": strongest(felt.get(CLASSES, ())),
        }
        return Circuit(
            channel=channel,
            images=tuple(scenes),
            activation=float(np.mean([one.sight.activation for one in owing])),
            error=error_of(owing),
            links=links,
            reasons=self.reasons(layer, links),
        )

    def find_peak(self, scene: Scene, layer: str, channel: int, image: int) -> Sight:
        """A unit at its peak on a sample image, in the patch that pages show of it."""
        stats, row = self.stats[layer], self.network.rows[layer]
        maps = scene.maps[layer][:, channel].flatten(1)  # (1, H · W)
        boxes = stats.example_box[channel][stats.example_image[channel] == image]
        (place,) = find_places(row, self.network.info.shape, maps, boxes[:1])
        return Sight(
            scene=scene,
            layer=layer,
            channel=channel,
            place=int(place),
            activation=float(maps[0, place]),
        )

    def mean(self, layer: str) -> Tensor:
        """(1, C, 1, 1) mean activation of each channel over the sample images."""
        means = torch.from_numpy(np.nan_to_num(self.stats[layer].mean))
        return means.to(self.network.device).view(1, -1, 1, 1)

    # --- what feeds it

    def usable(self, layer: str) -> NDArray[np.bool_]:
        """(C,) the channels of a layer that were finite on every sample image."""
        if layer == CLASSES:
            return np.ones(self.network.rows[CLASSES].channels, np.bool_)
        return self.stats[layer].finite

    def feeders(self, layer: str) -> list[str]:
        """The layers that feed a layer directly."""
        return [name for name in self.before[layer] if name != IMAGE]

    def owed(self, sight: Sight) -> Owed:
        """What the peak of a unit owes to the layers that feed it.

        Where it is flat, as at the ceiling of a ReLU6, the highest place below it is looked at.
        """
        found = self.contributions(sight)
        if found.flat:
            lower = self.contributions(below(sight))
            return found if lower.flat else lower
        return found

    def contributions(self, sight: Sight) -> Owed:
        """What a unit at one place owes to each channel of the layers that feed it."""
        layers = self.feeders(sight.layer)
        if not layers:
            return Owed(sight=sight, effects={}, products={}, rest=math.nan)
        with torch.enable_grad(), self.constants.watched():
            image = sight.scene.image.detach().clone().requires_grad_()
            leaves = {one: sight.scene.maps[one].clone().requires_grad_() for one in layers}
            scene = replace(sight.scene, image=image)
            maps = self.run.rerun(scene, sight.layer, [sight.layer], leaves)[sight.layer]
            sources = [*leaves.values(), image, *self.constants.variables]
            slopes = torch.autograd.grad(sight.of(maps)[0], sources, allow_unused=True)
        inputs = dict(zip((*layers, IMAGE), slopes, strict=False))
        effects, products = {}, {}
        for name, leaf in leaves.items():
            slope = zeros_for(inputs[name], leaf)
            effects[name] = over_places(slope * (leaf.detach() - self.mean(name)))
            products[name] = over_places(slope * leaf.detach())
        known = sum(float(one.sum()) for one in products.values())
        known += float((zeros_for(inputs[IMAGE], image) * image.detach()).sum())
        known += self.constants.total(slopes[len(inputs) :])
        return Owed(sight=sight, effects=effects, products=products, rest=sight.activation - known)

    def feeding(self, owing: Sequence[Owed]) -> tuple[Link, ...]:
        """The units that feed a unit, the first of each direction checked by ablation."""
        sight = owing[0].sight
        effects = average([one.effects for one in owing])
        products = average([one.products for one in owing])
        links = strongest(
            Link(
                layer=layer,
                channel=channel,
                effect=float(effects[layer][channel]),
                product=float(products[layer][channel]),
                kernel=self.kernels.between(sight.layer, sight.channel, layer, channel),
            )
            for layer in effects
            for channel in extremes(effects[layer], self.usable(layer))
        )
        return self.ablated([one.sight for one in owing], links)

    @torch.no_grad()
    def ablated(self, sights: Sequence[Sight], links: Sequence[Link]) -> tuple[Link, ...]:
        """The links, the first of each direction with what the peak loses by their ablation."""
        rises = [link for link in links if link.effect > 0][:CHECKED]
        falls = [link for link in links if link.effect < 0][-CHECKED:]
        todo = [*rises, *falls]
        if not todo:
            return tuple(links)
        changes = np.mean([self.losses(sight, todo) for sight in sights], 0)
        known = dict(zip(map(id, todo), changes.tolist(), strict=True))
        return tuple(replace(link, change=known.get(id(link), link.change)) for link in links)

    def losses(self, sight: Sight, links: Sequence[Link]) -> NDArray[np.float64]:
        """(R,) what a peak loses where each unit of the links alone is set to its mean."""
        given = {}
        for layer in dict.fromkeys(link.layer for link in links):
            maps, means = sight.scene.maps[layer], self.mean(layer)
            given[layer] = maps.repeat(len(links), 1, 1, 1)
            for row, link in enumerate(links):
                if link.layer == layer:
                    given[layer][row, link.channel] = means[0, link.channel]
        maps = self.run.rerun(sight.scene, sight.layer, [sight.layer], given)[sight.layer]
        return sight.activation - sight.of(maps).double().cpu().numpy()

    # --- what it feeds

    @torch.no_grad()
    def felt(self, sights: Sequence[Sight]) -> dict[str, list[Link]]:
        """Layer → what its channels owe to a unit, for those that it feeds and for the classes."""
        layer, channel = sights[0].layer, sights[0].channel
        wanted = list(self.behind[layer])
        if CLASSES not in wanted and layer in self.deciding:
            wanted.append(CLASSES)
        if not wanted:
            return {}
        found = [self.consequences(sight, wanted) for sight in sights]
        predicted, changed = average([one for one, _ in found]), average([one for _, one in found])
        links = {}
        for name in wanted:
            units = self.units(name)
            effects, changes = predicted[name] / units, changed[name] / units
            links[name] = [
                Link(
                    layer=name,
                    channel=one,
                    effect=float(effects[one]),
                    change=float(changes[one]),
                    kernel=self.kernels.between(name, one, layer, channel),
                )
                for one in extremes(effects, self.usable(name))
            ]
        return links

    def units(self, layer: str) -> NDArray[np.float64]:
        """(C,) the unit of effects on each channel: its spread, NaN where it hardly varies; 1."""
        if layer == CLASSES:
            return np.ones(self.network.rows[CLASSES].channels)
        spread = self.stats[layer].std.astype(np.float64)
        return np.where(spread > LEAST_SPREAD * np.median(spread), spread, np.nan)

    def consequences(self, sight: Sight, wanted: Sequence[str]) -> tuple[Rows, Rows]:
        """Predicted and true effect of one unit on the means of all channels of layers."""
        maps, mean = sight.scene.maps[sight.layer], self.mean(sight.layer)[0, sight.channel]
        tangent = torch.zeros_like(maps)
        tangent[:, sight.channel] = maps[:, sight.channel] - mean
        slopes = self.derivatives.along(sight.scene, sight.layer, tangent, wanted)
        again = self.run.rerun(sight.scene, sight.layer, wanted, {sight.layer: maps - tangent})
        predicted = {name: as_row(slopes[name]) for name in wanted}
        changed = {name: as_row(sight.scene.maps[name]) - as_row(again[name]) for name in wanted}
        return predicted, changed

    # --- in words

    def reasons(self, layer: str, links: Mapping[Kind, Sequence[Link]]) -> dict[Kind, str]:
        """Why there are no links of a kind."""
        found: dict[Kind, str] = {}
        if not self.before[layer]:
            found["fed_by"] = "no gradient passes through this layer"
        elif self.before[layer] == (IMAGE,):
            found["fed_by"] = "the image itself feeds it, no other layer of this atlas"
        if not any(one != CLASSES for one in self.behind[layer]):
            found["feeds"] = "no gradient of another layer of this atlas reaches it"
        if CLASSES not in self.before:
            found["classes"] = "the network puts out no class scores"
        elif layer not in self.deciding:
            found["classes"] = "no gradient of the class scores reaches it"
        silent = "nothing here changes what the network makes of its best images"
        return {kind: found.get(kind, silent) for kind, some in links.items() if not some}


@contextmanager
def tracing(network: Network, stats: Mapping[str, LayerStats]) -> Iterator[Circuits]:
    """Hook all layers of an atlas, and the class scores if any, for the time of the context.

    Args:
        network: that knows all of the layers.
        stats: of every layer over the sample images; those of the class scores are not needed.

    Raises:
        InputError: what lies between the layers cannot be run by itself.
    """
    classes = [CLASSES] if CLASSES in network.rows else []
    with network.intervene([*(name for name in stats if name != CLASSES), *classes]) as run:
        yield Circuits(network, run, stats)
