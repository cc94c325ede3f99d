"""What an observer recognises of each layer, worked out of what the cache knows it to have seen."""

import math
from collections.abc import Sequence

from ..cache.reference import Reference
from ..cache.selection import Selection
from ..cache.store import Store
from ..gallery.recipes import kind_of
from ..ranking.evidence import Judge, judge_layer
from ..ranking.rivals import place_among_channels
from ..records.evidence import LayerEvidence, Observation
from ..records.samples import SampleSet, judging_images
from ..records.statistics import LayerStats
from .observe import images_mark, pictures_mark


class Evidence:
    """What the observer of a selection has seen, for every layer that is asked for.

    Args:
        store, selection: of the atlas.
        reference: that scores are measured against, if any.
        samples: the sample images.
    """

    def __init__(
        self, store: Store, selection: Selection, reference: Reference | None, samples: SampleSet
    ) -> None:
        self.store = store
        self.selection = selection
        self.judging = judging_images(samples if reference is None else reference.samples)
        mark = images_mark(selection.observer_sha256)
        self.seen = store.observation(len(samples.samples), mark)
        self.natural = self.seen if reference is None else self.of_reference(reference)

    def of_reference(self, reference: Reference) -> Observation | None:
        """What the observer makes of the images behind a reference, where it has seen them."""
        seen = reference.observed
        known = seen is not None and seen.weights_sha256 == self.selection.observer_sha256
        return seen if known else None

    def of_layer(
        self, natural: LayerStats, channels: Sequence[int], parent: LayerStats | None = None
    ) -> LayerEvidence | None:
        """What it recognises of some units of a layer; None where there is no observer.

        Args:
            natural: statistics of the layer over the natural images.
            channels: those that are shown.
            parent: of a dictionary, statistics of the layer that it reads.
        """
        if self.natural is None or len(natural.activations) != len(self.judging):
            return None
        pictures = {}
        chosen = self.selection  # whose mappings are sorted once they have been in a file
        for recipe in dict.fromkeys([*chosen.recipes, *chosen.class_recipes]):
            own = pictures_mark(chosen.observer_sha256, chosen.fingerprints[recipe])
            seen = self.store.features(natural.layer, own)
            shown = {channel: seen[channel] for channel in channels if channel in seen}
            if shown:
                pictures[recipe] = shown
        judge = Judge(self.natural, self.judging, natural)
        found = judge_layer(judge, pictures, channels)
        if parent is None:
            return found
        return place_among_channels(found, judge, Judge(self.natural, self.judging, parent))


def order_recipes(asked: Sequence[str], evidence: LayerEvidence | None) -> tuple[str, ...]:
    """Recipes in the order in which their pictures are shown.

    The one by which units are identified best comes first; of two that do equally, `company`. What
    a unit dislikes and further pictures come last, as asked for. Without evidence nothing moves.
    """
    if evidence is None:
        return tuple(asked)

    def key(recipe: str) -> tuple[bool, float, bool]:
        variant = kind_of(recipe) in ("negative", "facet")
        places = evidence.pictures.get(recipe, {})
        median = evidence.median(places) if places and not variant else math.inf
        return variant, math.inf if math.isnan(median) else median, recipe != "company"

    return tuple(sorted(asked, key=key))
