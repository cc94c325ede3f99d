"""Lists of units that people made, and the units of a site that they name.

A unit is written `layer:channel`, or `model/layer:channel` where several models of the site have
it. What a page of a list shows of a unit comes from the file beside its page (`225.json`), so that
a list may hold units of models that were built at other times.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..errors import AtlasError
from .addresses import CLASSES, IMAGES
from .data.encode import Json
from .text import shown


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitList:
    """A list as its maker wrote it.

    Attributes:
        slug: its folder among the lists.
        title, text: what it is called, and what it says of itself; paragraphs are blank lines.
        units: name and sentence of each unit, in order; the sentence may be "".
    """

    slug: str
    title: str
    text: str
    units: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A unit of a site.

    Attributes:
        model, layer, channel: which.
        folder: of its page, seen from the site's folder.
        elsewhere: the part of the atlas, in words, where its page is on another site; "" for this.
    """

    model: Json
    layer: str
    channel: int
    folder: str
    elsewhere: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A unit of a list.

    Attributes:
        number: from 1.
        name: of the unit, as its maker wrote it.
        sentence: on it, or "".
        place: where it is; None where no model of the site shows it.
        unit: its data; {} without a place on this site.
    """

    number: int
    name: str
    sentence: str
    place: Place | None
    unit: Json

    @property
    def title(self) -> str:
        """The unit's name for readers, without its model."""
        return f"{self.place.layer}:{self.place.channel}" if self.place else self.name

    @property
    def called(self) -> str:
        """What people call the unit, or its class, or ""."""
        return self.unit.get("label") or self.unit.get("class_name") or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListView:
    """A list as its pages show it."""

    slug: str
    title: str
    paragraphs: tuple[str, ...]
    stops: tuple[Stop, ...]

    @property
    def found(self) -> list[Stop]:
        """The stops whose unit is on the site, or on that of another part."""
        return [stop for stop in self.stops if stop.place]

    @property
    def models(self) -> list[str]:
        """Titles of the models whose units it holds, in order."""
        return list(dict.fromkeys(stop.place.model["title"] for stop in self.stops if stop.place))


Places = Mapping[str, Sequence[Place]]
"""Name of a unit → where it is; several places where models share the name of a layer."""


def find_places(models: Sequence[Json], searches: Sequence[Json]) -> Places:
    """Every unit of a site and of the other parts of its models, under both of its names.

    Args:
        models: the model.json of each, with its folder.
        searches: the search.json of each.
    """
    places: dict[str, list[Place]] = {}
    for model, search in zip(models, searches, strict=True):
        for place in (*places_here(model, search), *places_elsewhere(model)):
            name = f"{place.layer}:{place.channel}"
            for known in (name, f"{search['name']}/{name}"):
                places.setdefault(known, []).append(place)
    return places


def places_here(model: Json, search: Json) -> Iterator[Place]:
    """The units of a model that are on the site."""
    for at, channel, *_ in search["rows"]:
        layer, folder = search["layers"][at][:2]
        if folder not in (CLASSES, IMAGES):
            home = f"{model['folder']}/{folder}"
            yield Place(model=model, layer=layer, channel=channel, folder=home)


def places_elsewhere(model: Json) -> Iterator[Place]:
    """The units of a model that are on sites with other parts of it."""
    for row in model["layers"]:
        for channel in row.get("shown", ()):
            yield Place(
                model=model,
                layer=shown(row["layer"]),
                channel=channel,
                folder=f"{model['folder']}/{row['folder']}",
                elsewhere=f"part {row['part']}",
            )


def view_lists(
    lists: Sequence[UnitList], places: Places, read: Callable[[str], bytes]
) -> tuple[list[ListView], list[str]]:
    """The lists with the units that they name.

    Args:
        lists: in order.
        places: of all units of the site.
        read: path of a file of a model in the site → its bytes.

    Returns:
        The lists, and a sentence for each name that is missing or means several units.
    """
    views = [
        ListView(
            slug=one.slug,
            title=shown(one.title),
            paragraphs=tuple(filter(None, map(str.strip, shown(one.text).split("\n\n")))),
            stops=tuple(
                find_stop(number, name, sentence, places, read)
                for number, (name, sentence) in enumerate(one.units, 1)
            ),
        )
        for one in lists
    ]
    found = [
        f"list “{view.title}”: {doubt}"
        for view in views
        for stop in view.stops
        for doubt in doubts(stop, places)
    ]
    return views, found


def find_stop(
    number: int, name: str, sentence: str, places: Places, read: Callable[[str], bytes]
) -> Stop:
    """A unit of a list with its data, where it is on the site; of several the first one."""
    place = next(iter(places.get(shown(name), ())), None)
    here = place if place and not place.elsewhere else None
    try:
        data = json.loads(read(f"{here.folder}/{here.channel}.json")) if here else {}
    except (AtlasError, OSError, ValueError):  # of another model, whose next build mends it
        place, data = None, {}
    return Stop(number=number, name=shown(name), sentence=shown(sentence), place=place, unit=data)


def doubts(stop: Stop, places: Places) -> list[str]:
    """What is to be said of the name of a unit: that it is missing, or means several."""
    if stop.place is None:
        return [f"there is no unit {stop.name} on this site"]
    models = [place.model["model"] for place in places[stop.name]]
    if len(models) == 1:
        return []
    return [
        f"{', '.join(models)} have a unit {stop.name}; that of {models[0]} is shown; write "
        f"{models[0]}/{stop.name} or another one"
    ]
