"""All that pages show of one model; the values in it have files of their own beside this one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..shapes import Shape, in_proportion
from .attribution import UnitMasks
from .circuits import Circuit
from .dictionary import Dictionary
from .evidence import LayerEvidence, Observation
from .lens import Lens
from .maps import LayerMap
from .meanings import Meanings
from .network import CLASSES, LayerInfo, ModelInfo
from .samples import SampleSet
from .statistics import LayerStats, Readout
from .tuning import Stimulus, Tuning
from .units import Rendering, Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """Facts about a run that do not change the identity of its result.

    Attributes:
        versions: (name, version) of this package, Python and the libraries that compute.
        device: e.g. `cpu (AMD EPYC, 2 threads)` or `cuda (NVIDIA H100)`.
        command: the command that reproduces it.
        created: ISO date and time, UTC, or that of SOURCE_DATE_EPOCH.
    """

    versions: tuple[tuple[str, str], ...]
    device: str
    command: str
    created: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerAtlas:
    """Everything the pages show of one layer, without the pictures' pixels.

    Attributes:
        info: the row of the layer table.
        stats: statistics of all its channels over the sample images.
        natural: the statistics that scores are measured against: those of a reference set, or
            `stats` itself.
        ranking: (C',) int32, channels by descending score; non-finite channels are left out.
        chosen: channels that this atlas is to show, in order of rank.
        recipes: in the order in which their pictures are shown, the one that identifies its units
            best first; () for the order of the atlas.
        evidence: what the observer recognises of the chosen units; None where there is none.
        masks: channel → what its peaks depend on, without pixels, as far as that is shown.
        circuits: channel → what surrounds it, as far as that is shown.
        renderings: those finished; a chosen channel may have several recipes, or none yet. Their
            `image` is (3, 0, 0): pixels are read through `Pictures`.
        tuning: of all its channels; None where the cache does not know it.
        dictionary: that the layer is; None for a layer of the network.
        meanings: channel → its meanings, as far as they were asked for.
        map: its activation atlas, without pixels; None where none was asked for.
        meaning_pictures: renderings of units that have several, by recipes of their own.
    """

    info: LayerInfo
    stats: LayerStats
    natural: LayerStats
    ranking: NDArray[np.int32]
    chosen: tuple[int, ...]
    renderings: tuple[Rendering, ...]
    recipes: tuple[str, ...] = ()
    evidence: LayerEvidence | None = None
    masks: Mapping[int, UnitMasks] = field(default_factory=dict)
    circuits: Mapping[int, Circuit] = field(default_factory=dict)
    tuning: Tuning | None = None
    dictionary: Dictionary | None = None
    meanings: Mapping[int, Meanings] = field(default_factory=dict)
    meaning_pictures: tuple[Rendering, ...] = ()
    map: LayerMap | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAtlas:
    """Everything the site shows of one model, without the pictures' pixels.

    Attributes:
        model: the network.
        samples: the sample images.
        natural: the images behind the statistics that scores are measured against: a reference
            set, or `samples` itself.
        layers: in forward order.
        classes: the classifier's output as a layer, its chosen channels are the classes to show;
            None where the network has none or no class was asked for.
        class_recipes, class_recipe_digests: the recipes that classes are rendered by.
        readout: which channels raise each class; None where the classifier reads no layer's means.
        lenses: sample images that have a page of their own.
        recipes: names of the recipes asked for, the first one is the default picture.
        recipe_digests: SHA-256 of the constants of each recipe, in the same order.
        rank: how units are ranked: "mean", "max" or "contrast".
        size: longer side of the renderings in pixels.
        seed: the seed of the whole atlas.
        key: the 16 hexadecimal digits of the cache key.
        run: versions, device, command, date.
        shown: the channels that pages show, counted from 0; () where they are colours.
        observed: what the observer makes of the natural images; None where none judges.
        seen: what it makes of the sample images, where it has seen them.
        stimuli: synthetic pictures behind the tuning of the layers, where any has one.
    """

    model: ModelInfo
    samples: SampleSet
    natural: SampleSet
    layers: tuple[LayerAtlas, ...]
    recipes: tuple[str, ...]
    recipe_digests: tuple[str, ...]
    rank: str
    size: int
    seed: int
    key: str
    run: RunInfo
    classes: LayerAtlas | None = None
    class_recipes: tuple[str, ...] = ()
    class_recipe_digests: tuple[str, ...] = ()
    readout: Readout | None = None
    lenses: tuple[int, ...] = ()
    shown: tuple[int, ...] = ()
    observed: Observation | None = None
    seen: Observation | None = None
    stimuli: tuple[Stimulus, ...] = ()

    @property
    def shape(self) -> Shape:
        """Height and width of a rendering."""
        return in_proportion(self.size, self.model.shape)

    def recipes_of(self, layer: LayerAtlas) -> tuple[str, ...]:
        """The recipes of a layer in the order in which their pictures are shown."""
        return layer.recipes or (self.class_recipes if layer.info.name == CLASSES else self.recipes)

    @property
    def digests(self) -> dict[str, str]:
        """Recipe → SHA-256 of its constants, of units and classes."""
        classes = zip(self.class_recipes, self.class_recipe_digests, strict=True)
        return dict(zip(self.recipes, self.recipe_digests, strict=True)) | dict(classes)


class Pictures(Protocol):
    """Source from which the gallery reads pixels; `store.Store` is one."""

    def rendering(self, unit: Unit, recipe: str) -> Rendering:
        """The rendering of a unit with its pixels."""
        ...

    def sample(self, index: int) -> bytes:
        """The square of a sample image, a JPEG of the part the network sees."""
        ...

    def lens(self, image: int) -> Lens:
        """Return the results of all lenses on a sample image."""
        ...

    def masks(self, unit: Unit) -> UnitMasks:
        """The pixels that the peaks of a unit depend on; asked for where `LayerAtlas` has them."""
        ...

    def map_picture(self, layer: str, cell: int) -> NDArray[np.float16]:
        """The picture of a cell of a layer's map; asked for where `LayerAtlas` has the map."""
        ...
