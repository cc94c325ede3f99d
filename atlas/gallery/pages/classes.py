"""The pages of classes, and the data beside them.

`write_classes` is the way in.
"""

from collections.abc import Callable, Sequence

from markupsafe import Markup

from ...ranking.classes import compete
from ...records.units import Rendering
from .. import addresses, class_sentences, sentences
from ..class_views import ClassesView, ClassView
from ..data.classes import class_file
from ..data.encode import single, to_json
from ..recipes import class_recipe_sentence
from ..text import plural_classes, shown
from ..views import LayerView, Picture, UnitView
from .frame import PageWriter, ways
from .layer import first_picture, orders, recipe_row, sort_json
from .panels import Panel, card_of, histogram, natural_images, panel

SORTS = (
    *(("rank", "order of the atlas"), ("name", "name"), ("channel", "number")),
    *(("reach", "REACH"), ("select", "place"), ("robust", "ROBUST"), ("hf", "HF")),
    *(("ident", "IDENT"), ("similar", "similar classes together")),
)
"""Keys and names of the orders of the grid of classes."""


def write_classes(writer: PageWriter) -> None:
    """Write the page of all classes, and the page and the data of each."""
    classes = writer.own_classes
    if classes is None:
        return
    write_grid(writer, classes)
    for place, one in enumerate(classes.classes):
        write_class(writer, classes, place)
        data = class_file(writer.atlas, classes, one, writer.provenance)
        writer.tree.put(f"{classes.folder}/{one.index}.json", to_json(data))


def write_grid(writer: PageWriter, classes: ClassesView) -> None:
    """Write the page that shows all classes."""
    asked, recipes = writer.atlas.class_recipes, writer.atlas.recipes_of(classes.layer.atlas)
    writer.put(
        "classes",
        f"{classes.folder}/index.html",
        title=f"Classes · {writer.title}",
        description=f"{plural_classes(len(classes.classes))} of {writer.title}: a picture that "
        "raises the score of each, and the photographs for which the network predicts it.",
        trail=(("Classes", ""),),
        card=f"{classes.folder}/card.jpg",
        classes=classes,
        layer=classes.layer,
        sorts=orders(SORTS, classes.layer),
        shown_recipes=[
            {**recipe_row(name, asked), "sentence": class_recipe_sentence(name)} for name in recipes
        ],
        word=class_sentences.OUTPUTS.get(writer.atlas.model.outputs, ""),
        first_picture=first_picture(recipes[0]),
        suffix=addresses.recipe_suffix(recipes[0], asked),
        sort_values=sort_values(classes, recipes),
        by_name=[one.unit for one in sorted_by_name(classes)],
        sentence=images_sentence(writer, classes),
    )


def sort_values(classes: ClassesView, recipes: Sequence[str]) -> Callable[[UnitView], str]:
    """Return the values by which the script sorts classes.

    Returns:
        A function of the class: JSON of [place, number, mean, max, contrast, similar, place by
        name] and, for each recipe, what `layer.score_values` gives and the number of its sheet, or
        null.
    """
    order = {one.index: place for place, one in enumerate(classes.classes)}
    names = {one.index: place for place, one in enumerate(sorted_by_name(classes))}

    def values(unit: UnitView) -> str:
        place = order[unit.channel]
        numbers = [single(value) for value in (unit.mean, unit.max, unit.contrast)]
        first = [place, unit.channel, *numbers, unit.similar, names[unit.channel]]
        return sort_json(first, unit, recipes, place)

    return values


def sorted_by_name(classes: ClassesView) -> list[ClassView]:
    """The classes by name, capital letters aside; those of the same name by number."""
    return sorted(classes.classes, key=lambda one: (one.name.casefold(), one.index))


def write_class(writer: PageWriter, classes: ClassesView, place: int) -> None:
    """Write the page of the class at a place of the order."""
    one = classes.classes[place]
    unit, samples, alone = one.unit, writer.atlas.samples, not compete(writer.atlas.model.outputs)
    writer.put(
        "class",
        f"{classes.folder}/{one.page}",
        title=f"{one.name} · class {one.index} · {writer.title}",
        description=f"Class {one.index}, {one.name}, of {writer.title}: "
        "renderings that raise its score, the classes predicted for them, and real images.",
        trail=(("Classes", "index.html"), (one.name, "")),
        card=card_of(classes.folder, unit),
        classes=classes,
        one=one,
        unit=unit,
        panels=[class_panel(one, unit, classes.layer, alone) for one in unit.pictures],
        verdicts=[verdict(item.rendering, one.name, alone) for item in unit.pictures],
        word=class_sentences.OUTPUTS.get(writer.atlas.model.outputs, ""),
        ways=ways(classes.classes, place, lambda other: (other.page, other.name)),
        histogram=histogram(unit, classes.layer, "score of a natural image"),
        sure=class_sentences.sure_sentence(len(samples.samples), samples.distinct),
        longest=max((vote.contribution for vote in one.voters), default=0.0),
        sentence=images_sentence(writer, classes),
    )


def class_panel(picture: Picture, unit: UnitView, layer: LayerView, alone: bool) -> Panel:
    """Put the rendering of a class, which may stand by itself, into words and curves."""
    rendering, images = picture.rendering, natural_images(layer)
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
    """Return the sentence on the class predicted for a rendering; "" without a picture."""
    if rendering.status == "failed":
        return Markup("")
    say = class_sentences.own_verdict if alone else class_sentences.verdict
    before, after = say(rendering.scores)
    return Markup("{} <b><bdi>{}</bdi></b>{}").format(before, shown(name), after)


def images_sentence(writer: PageWriter, classes: ClassesView) -> str:
    """Return the sentence on the images behind the scores of classes: a reference may have none."""
    if classes.layer.atlas.natural is not classes.layer.atlas.stats:
        return writer.images_sentence
    samples = writer.atlas.samples
    return sentences.images_sentence(len(samples.samples), samples.distinct)
