"""Questions about the units of a model, made from what is known of them.

`ask` chooses the photographs and notes the answers; which questions a player gets is drawn in the
browser, from a seed.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..ranking.evidence import looks
from ..ranking.questions import Favourites, choose_pool, sort_out, spread
from ..ranking.sampling import sampling_of
from ..records.atlas import ModelAtlas
from ..records.evidence import Observation
from .data.encode import record
from .data.quiz import QueryData, QuizFile, QuizUnit
from .text import shown
from .views import LayerView, UnitView

LAYER_UNITS = 24
"""Units of a layer that can be asked about, evenly spread over its ranks."""

LARGEST_UNITS = 600
"""Units of a model; of more layers fewer units each."""


@dataclass(frozen=True, slots=True)
class Onlooker:
    """What the observer makes of the sample images and of pictures, rows of length 1.

    Attributes:
        title: its name.
        natural: what it makes of the natural images, by which the rest is standardised.
        images: (N, D) the sample images.
    """

    title: str
    natural: Observation
    images: NDArray[np.float64]

    def pictures(self, seen: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
        """(U, D) rows of pictures from what it sees of each."""
        return looks(np.stack(seen), self.natural)


def find_onlooker(atlas: ModelAtlas) -> Onlooker | None:
    """The observer, where it has seen both the pictures and the sample images."""
    if atlas.observed is None or atlas.seen is None:
        return None
    images = looks(atlas.seen.features, atlas.observed)
    return Onlooker(atlas.observed.observer, atlas.observed, images)


def ask(atlas: ModelAtlas, layers: Sequence[LayerView]) -> QuizFile:
    """All that can be asked about a model, and the answers."""
    onlooker, files = find_onlooker(atlas), sampling_of(atlas.samples.samples).files
    pool = choose_pool(files) if len(files) else files
    each = max(2, min(LAYER_UNITS, LARGEST_UNITS // max(1, len(layers))))
    names: list[str] = []
    units: list[QuizUnit] = []
    for layer in layers:
        found = ask_layer(layer, pool, files, each)
        if not found:
            continue
        units += question_layer(layer, len(names), found, onlooker)
        names.append(shown(layer.name))
    return record(
        QuizFile,
        model=shown(atlas.model.name),
        title=shown(atlas.model.title),
        layers=names,
        observer=onlooker and onlooker.title,
        units=units,
    )


def ask_layer(
    layer: LayerView, pool: NDArray[np.int64], files: NDArray[np.int64], most: int
) -> list[tuple[UnitView, Favourites]]:
    """The units of a layer that have a picture and tell photographs apart, with these."""
    found, stats = [], layer.atlas.stats
    for unit in layer.units:
        if unit.thumb is None or not stats.finite[unit.channel]:
            continue
        answers = stats.over_images(unit.channel)[pool]
        favourites = sort_out(answers, pool.tolist(), files[pool].tolist())
        if favourites:
            found.append((unit, favourites))
    return [found[at] for at in spread(len(found), most)]


def question_layer(
    layer: LayerView,
    place: int,
    found: Sequence[tuple[UnitView, Favourites]],
    onlooker: Onlooker | None,
) -> list[QuizUnit]:
    """The questions about the units of one layer."""
    pictures = seen_pictures(layer, found, onlooker)
    return [
        question_unit(layer, place, unit, favourites, onlooker, pictures)
        for unit, favourites in found
    ]


def seen_pictures(
    layer: LayerView, found: Sequence[tuple[UnitView, Favourites]], onlooker: Onlooker | None
) -> Mapping[int, NDArray[np.float64]]:
    """Channel → what the observer makes of its lead picture; empty unless it has seen them all."""
    evidence = layer.atlas.evidence
    if onlooker is None or evidence is None:
        return {}
    seen = {
        unit.channel: evidence.features.get(unit.lead.rendering.recipe, {}).get(unit.channel)
        for unit, _ in found
        if unit.lead
    }
    known = {channel: one for channel, one in seen.items() if one is not None}
    if len(known) < len(found):
        return {}
    return dict(zip(known, onlooker.pictures(list(known.values())), strict=True))


def question_unit(
    layer: LayerView,
    place: int,
    unit: UnitView,
    favourites: Favourites,
    onlooker: Onlooker | None,
    pictures: Mapping[int, NDArray[np.float64]],
) -> QuizUnit:
    """The questions about one unit."""
    assert unit.lead
    own, answers = pictures.get(unit.channel), layer.atlas.stats.over_images(unit.channel)
    seen = onlooker.images if onlooker and own is not None else None
    strong = None if seen is None else seen[list(favourites.strong)].mean(0)

    def query(image: int) -> QueryData:
        return record(
            QueryData,
            image=image,
            activation=answers[image],
            by_picture=alike(own, seen, image),
            by_photographs=alike(strong, seen, image),
        )

    return record(
        QuizUnit,
        favourites,
        unit,
        layer=place,
        label=shown(unit.called),
        page=f"{layer.folder}/{unit.page}",
        image=f"{layer.folder}/{unit.lead.image.file}" if unit.lead.image else "",
        plain=unit.status == "ok" and not unit.lead.unidentified,
        high=[query(image) for image in favourites.high],
        low=[query(image) for image in favourites.low],
        fits=[] if strong is None else [float(one @ strong) for one in pictures.values()],
    )


def alike(
    view: NDArray[np.float64] | None, images: NDArray[np.float64] | None, image: int
) -> float:
    """How alike a view (D,) and one of the images (N, D) are; NaN where nobody has seen them."""
    return math.nan if view is None or images is None else float(view @ images[image])


def images_of(quiz: QuizFile) -> list[int]:
    """The sample images that its questions show."""
    shown_images = {
        image
        for unit in quiz.units
        for image in (*unit.strong, *unit.weak, *(one.image for one in (*unit.high, *unit.low)))
    }
    return sorted(shown_images)
