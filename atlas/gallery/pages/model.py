"""The page of a model: the network as a strip, its layers, its classes and images."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from markupsafe import Markup

from .. import charts
from ..image_views import ImageView
from ..strip import Node, layer_strip
from ..text import plural
from ..views import LayerView
from .frame import PageWriter


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A compare page as the model's page links to it: whom with, and its address from there."""

    title: str
    page: str


def write_model(
    writer: PageWriter,
    images: Sequence[ImageView],
    comparison: Comparison | None,
    quiz: bool = False,
    wall: bool = False,
    lists: bool = False,
) -> None:
    """Write a model's own page.

    Args:
        writer: the model.
        images: sample images with pages.
        comparison: with another model; None where it is not compared.
        quiz, wall, lists: whether there is one.
    """
    layers = writer.layers
    units = sum(len(layer.units) for layer in layers)
    writer.put(
        "model",
        "index.html",
        title=writer.title,
        description=f"{plural(units, 'unit')} of {len(layers)} layers of {writer.title}: pictures "
        "that excite each, from the first layer to the last.",
        layers=layers,
        groups=group_layers(layers),
        classes=writer.classes,
        images=images,
        comparison=comparison,
        quiz=quiz,
        wall=wall,
        lists=lists,
        n_units=units,
        n_rendered=sum(layer.rendered for layer in layers),
        strip=Markup(layer_strip([node(layer) for layer in layers])),
        charts={layer.name: Markup(charts.reach_histogram(layer.reaches)) for layer in layers},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Layers that follow each other.

    Attributes:
        name: of the module that holds them; "" where no module holds just them.
        layers: in forward order.
        folded: whether the page folds all of them but the first and the last.
    """

    name: str
    layers: tuple[LayerView, ...]
    folded: bool


FOLDED = 6
"""Repeated blocks from which a page folds them."""


def group_layers(layers: Sequence[LayerView]) -> list[Group]:
    """Group the layers in one module whose type and shape are the same, in forward order."""
    runs = [tuple(run) for _, run in groupby(layers, block_of)]
    return [Group(name=block_of(run[0])[0], layers=run, folded=len(run) >= FOLDED) for run in runs]


def block_of(layer: LayerView) -> tuple[str, str, int, int, int]:
    """Return what repeated blocks have in common: their module, type and shape."""
    info = layer.atlas.info
    return layer.name.rpartition(".")[0], info.type, info.channels, info.height, info.width


def node(layer: LayerView) -> Node:
    """A layer for the strip."""
    info = layer.atlas.info
    first = layer.teasers[0] if layer.teasers else None
    return Node(
        name=info.name,
        type=info.type,
        height=info.height,
        width=info.width,
        channels=info.channels,
        href=f"{layer.folder}/index.html",
        elsewhere=layer.elsewhere,
        picture=f"{layer.folder}/{first.thumb.file}" if first and first.thumb else "",
        patch=f"{layer.folder}/{first.examples[0].patch.file}" if first and first.examples else "",
    )
