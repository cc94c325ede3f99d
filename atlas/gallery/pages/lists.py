"""The folder of the lists: an index, a page a list, and the stops of its tour.

It is a tree of its own beside the models, swapped in whole, so that no link from stop to stop is
ever broken. Its index is always there: pages of models that were built at other times link to it.
"""

from collections.abc import Sequence

from ..data.encode import to_json
from ..data.lists import lists_file
from ..lists import ListView, Stop
from ..page import Page
from ..text import plural
from ..tree import Tree
from .frame import FillTemplate, Trail, ways

FOLDER = "lists"
"""Beside the folders of the models; no model takes its name."""

INDEX = f"{FOLDER}/index.html"


def write_lists(lists: Sequence[ListView], tree: Tree, fill: FillTemplate, example: str) -> None:
    """Write everything about the lists of a site into its tree.

    Args:
        lists: in order.
        tree: of their folder.
        fill: turns a page and its values into markup.
        example: something that the search of this site finds.
    """

    def put(kind: str, file: str, title: str, said: str, trail: Trail, **values: object) -> None:
        up = "../" * (file.count("/") + 1)
        page = Page(
            path=f"{FOLDER}/{file}",
            kind=kind,
            title=f"{title} · CNN atlas",
            description=said,
            trail=(("Atlas", f"{up}index.html"), *trail),
        )
        frame = {"page": page, "example": example, "stands_on": ""}
        tree.put_page(file, fill(kind, {**frame, **values}))

    put("lists", "index.html", "Lists and tours", index_sentence(lists), INDEX_TRAIL, lists=lists)
    for one in lists:
        put(
            "list",
            f"{one.slug}/index.html",
            one.title,
            f"{one.title}: {plural(len(one.stops), 'unit')}, one by one.",
            (("Lists", "../index.html"), (one.title, "")),
            one=one,
            ways=ways(steps(one), 0, step_link),
        )
        for stop in one.stops:
            put(
                "stop",
                f"{one.slug}/{stop.number}.html",
                f"{stop.title} · {one.title}, {stop.number} of {len(one.stops)}",
                f"{stop.title}, {stop.number} of {len(one.stops)} in {one.title}.",
                (("Lists", "../index.html"), (one.title, "index.html"), (str(stop.number), "")),
                one=one,
                stop=stop,
                size=input_size(stop),
                ways=ways(steps(one), stop.number, step_link),
            )
    tree.put("lists.json", to_json(lists_file(lists)))


INDEX_TRAIL: Trail = (("Lists", ""),)


def index_sentence(lists: Sequence[ListView]) -> str:
    """What the index of the lists holds."""
    return f"{plural(len(lists), 'list')} of units, each with a tour from one to the next."


def steps(one: ListView) -> list[Stop | None]:
    """The pages of a tour: that of the list itself, None, then the stops."""
    return [None, *one.stops]


def step_link(stop: Stop | None) -> tuple[str, str]:
    """Address and label of a page of a tour."""
    return (f"{stop.number}.html", stop.title) if stop else ("index.html", "the list")


def input_size(stop: Stop) -> str:
    """Width and height of the input of a stop's model, as the viewer reads them."""
    if stop.place is None:
        return ""
    model = stop.place.model
    height, width = model.get("input_shape") or [model.get("input_size", 0)] * 2
    return f"{width} {height}"
