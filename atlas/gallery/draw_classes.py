"""Draw the classes of a model: values for their pages, and their pictures.

A class is a unit of the layer of class scores; what only classes have are probabilities: the sample
images that the network is most and least sure of, and the channels that vote for the class.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..ranking.classes import LEAST_EVIDENCE, class_probabilities
from ..records.atlas import LayerAtlas
from ..records.network import CLASSES
from ..records.samples import Sample
from . import addresses
from .class_views import ClassesView, ClassImage, ClassView, ContributingChannel
from .draw import Illustrator
from .draw_outlines import outline_layer
from .parts import IMAGES_PART
from .views import LayerView, UnitView

SHOWN_IMAGES = 6
"""Sample images shown of those that the network is most sure of, and of the others."""


def draw_classes(illustrator: Illustrator, layers: Sequence[LayerView]) -> ClassesView | None:
    """Draw the classes, or outline those of another site; None where there are none to show.

    Args:
        illustrator: of the model.
        layers: the layers that have pages.
    """
    classes = illustrator.atlas.classes
    if classes is None:
        return None
    probabilities = class_probabilities(classes.stats, illustrator.atlas.model.outputs)
    surest, part = with_surest_image(classes, probabilities), illustrator.part
    folder = part.home_of(CLASSES, illustrator.tree.old.name) + addresses.CLASSES
    if not part.holds(CLASSES):
        return outline_classes(outline_layer(illustrator, surest, folder))
    drawn, _ = illustrator.draw(surest, folder)
    readout = illustrator.atlas.readout
    read = next((layer for layer in layers if readout and layer.name == readout.layer), None)
    voters = {unit.channel: unit for unit in read.units} if read else {}
    return ClassesView(
        layer=drawn,
        classes=tuple(class_view(illustrator, unit, probabilities, voters) for unit in drawn.units),
        readout=readout.layer if readout else "",
        readout_folder=read.folder if read else "",
    )


def outline_classes(layer: LayerView) -> ClassesView:
    """The classes of another site: what links to their pages show."""
    classes = [
        ClassView(unit=unit, most=(), least=(), voters=(), voting_images=0) for unit in layer.units
    ]
    return ClassesView(layer=layer, classes=tuple(classes), readout="", readout_folder="")


def with_surest_image(classes: LayerAtlas, probabilities: NDArray[np.float64]) -> LayerAtlas:
    """The classes, each with the sample image that the network is surest of as its one example.

    A score can be high where those of other classes are higher still; a probability cannot. An
    image that is hardly given the class is no example of it.
    """
    best = probabilities.argmax(0)[:, None]  # (K, 1)
    likely = probabilities.max(0)[:, None] >= LEAST_EVIDENCE
    scores = np.take_along_axis(classes.stats.activations.T, best, 1).astype(np.float32)
    stats = replace(
        classes.stats,
        example_image=np.where(likely, best, -1).astype(np.int32),
        example_activation=scores * classes.stats.scale[:, None],
        example_box=classes.stats.example_box[:, :1],
    )
    natural = stats if classes.natural is classes.stats else classes.natural
    return replace(classes, stats=stats, natural=natural)


def class_view(
    illustrator: Illustrator,
    unit: UnitView,
    probabilities: NDArray[np.float64],
    voters: dict[int, UnitView],
) -> ClassView:
    """A class with its sample images and its voters."""
    own = probabilities[:, unit.channel]
    most, least = sure_images(own, illustrator.atlas.samples.samples)
    readout = illustrator.atlas.readout
    return ClassView(
        unit=unit,
        most=tuple(class_image(illustrator, image, unit.channel, own[image]) for image in most),
        least=tuple(class_image(illustrator, image, unit.channel, own[image]) for image in least),
        voters=votes(illustrator, unit.channel, voters),
        voting_images=int(readout.images[unit.channel]) if readout else 0,
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


def class_image(
    illustrator: Illustrator, image: int, channel: int, probability: float
) -> ClassImage:
    """A sample image for the page of a class."""
    atlas, part = illustrator.atlas, illustrator.part
    assert atlas.classes
    home = part.home(IMAGES_PART, illustrator.tree.old.name)
    return ClassImage(
        image=image,
        name=atlas.samples.samples[image].name,
        probability=float(probability),
        score=float(atlas.classes.stats.over_images(channel)[image]),
        whole=illustrator.whole(image),
        page=addresses.image_page(image, home) if image in atlas.lenses else "",
    )


def votes(
    illustrator: Illustrator, channel: int, units: dict[int, UnitView]
) -> tuple[ContributingChannel, ...]:
    """The channels that raise a class most."""
    readout = illustrator.atlas.readout
    if readout is None:
        return ()
    pairs = zip(
        readout.channels[channel].tolist(), readout.contributions[channel].tolist(), strict=True
    )
    return tuple(
        ContributingChannel(channel=voter, contribution=value, unit=units.get(voter))
        for voter, value in pairs
    )
