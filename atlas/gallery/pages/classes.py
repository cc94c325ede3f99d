"""The classes of a model: their pictures, their pages, the data beside them.

`draw_classes` writes the pictures and collects what the pages show, `write_classes` writes the
pages. A class is a unit of the layer of class scores; what only classes have are probabilities:
the sample images the network is most and least sure of, and the channels that vote for the class.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from ...ranking.classes import class_probabilities, compete
from ...records import LayerAtlas, Rendering, Sample
from .. import addresses, class_sentences, sentences
from .. import data as sitedata
from ..draw import Studio
from ..recipes import class_recipe_sentence
from ..text import plural_classes, shown
from ..views import ClassesView, ClassImage, ClassView, LayerView, Picture, UnitView, Voter
from .frame import Book, ways
from .layer import first_picture, recipe_row, sort_json
from .panels import Panel, card_of, histogram, panel

SHOWN_IMAGES = 6
"""Sample images shown of those that the network is most sure of, and of the others."""

SORTS = (
    *(("rank", "order of the atlas"), ("name", "name"), ("channel", "number")),
    *(("reach", "REACH"), ("select", "place"), ("robust", "ROBUST"), ("hf", "HF")),
)
"""Keys and names of the orders of the grid of classes."""


# --- pictures ------------------------------------------------------------------------------------


def draw_classes(studio: Studio, layers: Sequence[LayerView]) -> ClassesView | None:
    """Write the pictures of the classes; None where there are no classes to show.

    Args:
        studio: of the model.
        layers: the layers that have pages.
    """
    classes = studio.atlas.classes
    if classes is None:
        return None
    probabilities = class_probabilities(classes.stats, studio.atlas.model.outputs)
    drawn = studio.classes(with_surest_image(classes, probabilities))
    readout = studio.atlas.readout
    read = next((layer for layer in layers if readout and layer.name == readout.layer), None)
    voters = {unit.channel: unit for unit in read.units} if read else {}
    return ClassesView(
        layer=drawn,
        classes=tuple(class_view(studio, unit, probabilities, voters) for unit in drawn.units),
        readout=readout.layer if readout else "",
        readout_folder=read.folder if read else "",
    )


def with_surest_image(classes: LayerAtlas, probabilities: NDArray[np.float64]) -> LayerAtlas:
    """The classes, each with the sample image that the network is surest of as its one example.

    A score can be high where those of other classes are higher still; a probability cannot.
    """
    best = probabilities.argmax(0)[:, None]  # (K, 1)
    scores = np.take_along_axis(classes.stats.activations.T, best, 1).astype(np.float32)
    stats = replace(
        classes.stats,
        example_image=best.astype(np.int32),
        example_activation=scores * classes.stats.scale[:, None],
        example_box=classes.stats.example_box[:, :1],
    )
    natural = stats if classes.natural is classes.stats else classes.natural
    return replace(classes, stats=stats, natural=natural)


def class_view(
    studio: Studio,
    unit: UnitView,
    probabilities: NDArray[np.float64],
    voters: dict[int, UnitView],
) -> ClassView:
    """A class with its sample images and its voters."""
    own = probabilities[:, unit.channel]
    most, least = sure_images(own, studio.atlas.samples.samples)
    return ClassView(
        unit=unit,
        most=tuple(class_image(studio, image, unit.channel, own[image]) for image in most),
        least=tuple(class_image(studio, image, unit.channel, own[image]) for image in least),
        voters=votes(studio, unit.channel, voters),
    )


def sure_images(
    probabilities: NDArray[np.float64], samples: Sequence[Sample]
) -> tuple[list[int], list[int]]:
    """The sample images that the network is most and least sure of, one crop of each file.

    Args:
        probabilities: (N,) of one class.
        samples: the N sample images.

    Returns:
        Indices of at most six images each, none in both, that which it is most (least) sure of
        first; ties by index.
    """
    most = one_of_each(np.argsort(-probabilities, kind="stable").tolist(), samples)[:SHOWN_IMAGES]
    taken = {samples[image].sha256 for image in most}
    others = one_of_each(np.argsort(probabilities, kind="stable").tolist(), samples)
    return most, [one for one in others if samples[one].sha256 not in taken][:SHOWN_IMAGES]


def one_of_each(images: Iterable[int], samples: Sequence[Sample]) -> list[int]:
    """The first of the images that were cut from the same file."""
    found: dict[str, int] = {}
    for image in images:
        found.setdefault(samples[image].sha256, image)
    return list(found.values())


def class_image(studio: Studio, image: int, channel: int, probability: float) -> ClassImage:
    """A sample image for the page of a class; its view is written where that is not done yet."""
    atlas = studio.atlas
    assert atlas.classes
    return ClassImage(
        image=image,
        name=atlas.samples.samples[image].name,
        probability=float(probability),
        score=float(atlas.classes.stats.over_images(channel)[image]),
        whole=studio.whole(image),
        page=addresses.image_page(image) if image in atlas.lenses else "",
    )


def votes(studio: Studio, channel: int, units: dict[int, UnitView]) -> tuple[Voter, ...]:
    """The channels that raise a class most."""
    readout = studio.atlas.readout
    if readout is None:
        return ()
    pairs = zip(
        readout.channels[channel].tolist(), readout.contributions[channel].tolist(), strict=True
    )
    return tuple(
        Voter(channel=voter, contribution=value, unit=units.get(voter)) for voter, value in pairs
    )


# --- pages ---------------------------------------------------------------------------------------


def write_classes(book: Book) -> None:
    """Write the page of all classes, and the page and the data of each."""
    classes = book.classes
    if classes is None:
        return
    write_grid(book, classes)
    for place, one in enumerate(classes.classes):
        write_class(book, classes, place)
        data = sitedata.class_page_json(book.atlas, classes, one)
        book.tree.put(f"{classes.folder}/{one.index}.json", sitedata.to_json(data))


def write_grid(book: Book, classes: ClassesView) -> None:
    """Write the page that shows all classes."""
    recipes = book.atlas.class_recipes
    book.put(
        "classes",
        f"{classes.folder}/index.html",
        title=f"Classes · {book.title}",
        description=f"{plural_classes(len(classes.classes))} of {book.title}: what raises the "
        "score of each, and which photographs the network takes for it.",
        trail=(("Classes", ""),),
        card=f"{classes.folder}/card.jpg",
        classes=classes,
        layer=classes.layer,
        sorts=SORTS,
        statuses=list(sentences.STATUSES),
        shown_recipes=[
            {**recipe_row(name, recipes), "sentence": class_recipe_sentence(name)}
            for name in recipes
        ],
        tiles=[addresses.tile(at) for at in range(len(classes.classes))],
        word=class_sentences.OUTPUTS.get(book.atlas.model.outputs, ""),
        sheet=addresses.sheet,
        patch_sheet=addresses.patch_sheet,
        first_picture=first_picture(recipes[0]),
        sort_values=sort_values(classes, recipes),
        by_name=[one.unit for one in sorted_by_name(classes)],
        sentence=images_sentence(book, classes),
    )


def sort_values(classes: ClassesView, recipes: Sequence[str]) -> Callable[[UnitView], str]:
    """What the script sorts by.

    Returns:
        A function of the class: JSON of [place, number, mean, max, contrast, place by name] and,
        for each recipe, what `layer.score_values` gives and the number of its sheet, or null.
    """
    order = {one.index: place for place, one in enumerate(classes.classes)}
    names = {one.index: place for place, one in enumerate(sorted_by_name(classes))}

    def values(unit: UnitView) -> str:
        place = order[unit.channel]
        numbers = [sitedata.single(value) for value in (unit.mean, unit.max, unit.contrast)]
        first = [place, unit.channel, *numbers, names[unit.channel]]
        return sort_json(first, unit, recipes, place)

    return values


def sorted_by_name(classes: ClassesView) -> list[ClassView]:
    """The classes by name, capital letters aside; those of the same name by number."""
    return sorted(classes.classes, key=lambda one: (one.name.casefold(), one.index))


def write_class(book: Book, classes: ClassesView, place: int) -> None:
    """Write the page of the class at a place of the order."""
    one = classes.classes[place]
    unit, samples, alone = one.unit, book.atlas.samples, not compete(book.atlas.model.outputs)
    book.put(
        "class",
        f"{classes.folder}/{one.page}",
        title=f"{one.name} · class {one.index} · {book.title}",
        description=f"What raises the score of class {one.index}, {one.name}, of {book.title}: "
        "its renderings, what the network takes them for, and real images.",
        trail=(("Classes", "index.html"), (one.name, "")),
        card=card_of(classes.folder, unit),
        classes=classes,
        one=one,
        unit=unit,
        panels=[class_panel(one, unit, classes.layer, alone) for one in unit.pictures],
        verdicts=[verdict(item.rendering, one.name, alone) for item in unit.pictures],
        word=class_sentences.OUTPUTS.get(book.atlas.model.outputs, ""),
        ways=ways(classes.classes, place, lambda other: (other.page, other.name)),
        histogram=histogram(unit, classes.layer, "score of a natural image"),
        sure=class_sentences.sure_sentence(len(samples.samples), samples.distinct),
        longest=max((vote.contribution for vote in one.voters), default=0.0),
        sentence=images_sentence(book, classes),
    )


def class_panel(picture: Picture, unit: UnitView, layer: LayerView, alone: bool) -> Panel:
    """Put the rendering of a class, which may stand by itself, into words and curves."""
    rendering, images = picture.rendering, len(layer.atlas.natural.activations)
    scores, count = rendering.scores, layer.atlas.info.channels
    said = {
        "confidence": class_sentences.confidence_sentence(scores, alone),
        "select": class_sentences.class_rank_sentence(scores, count),
        "activation": class_sentences.class_score_sentence(scores, unit.natural_max, images),
        "reach": class_sentences.class_reach_sentence(scores),
        "robust": sentences.robust_sentence(scores),
        "hf": sentences.hf_sentence(scores),
    }
    return panel(picture, class_recipe_sentence(rendering.recipe), said)


def verdict(rendering: Rendering, name: str, alone: bool) -> Markup:
    """What the network takes a rendering for; "" where there is none to take for anything."""
    if rendering.status == "failed":
        return Markup("")
    say = class_sentences.own_verdict if alone else class_sentences.verdict
    before, after = say(rendering.scores)
    return Markup("{} <b><bdi>{}</bdi></b>{}").format(before, shown(name), after)


def images_sentence(book: Book, classes: ClassesView) -> str:
    """What the scores of classes are measured against: a reference set need not have any."""
    if classes.layer.atlas.natural is not classes.layer.atlas.stats:
        return book.images_sentence
    samples = book.atlas.samples
    return sentences.images_sentence(len(samples.samples), samples.distinct)
