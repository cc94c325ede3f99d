"""The lists of a site as data: lists/lists.json."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..lists import ListView, Stop
from .encode import Address, Schema, record


@dataclass(frozen=True, kw_only=True)
class StopData:
    """A unit of a list; model, layer, channel and page are null where the site does not show it."""

    name: str
    text: str
    model: str | None
    layer: str | None
    channel: int | None
    page: Address | None


@dataclass(frozen=True, kw_only=True)
class ListData:
    """A list of units."""

    title: str
    text: str
    page: Address
    units: tuple[StopData, ...]


@dataclass(frozen=True, kw_only=True)
class ListsFile:
    """`lists/lists.json`: every list of a site, in order."""

    schema: Schema
    lists: tuple[ListData, ...]


def lists_file(lists: Sequence[ListView]) -> ListsFile:
    """The lists of a site."""
    rows = [
        record(
            ListData,
            one,
            text="\n\n".join(one.paragraphs),
            page=f"{one.slug}/index.html",
            units=[stop_data(stop) for stop in one.stops],
        )
        for one in lists
    ]
    return record(ListsFile, lists=rows)


def stop_data(stop: Stop) -> StopData:
    """A unit of a list."""
    place = stop.place
    return record(
        StopData,
        stop,
        text=stop.sentence,
        model=place and place.model["model"],
        layer=place and place.layer,
        channel=place and place.channel,
        page=place and f"../{place.folder}/{place.channel}.html",
    )
