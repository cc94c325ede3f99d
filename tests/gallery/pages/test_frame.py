"""The frame around every page: links to the neighbours."""

from atlas.gallery.pages.frame import Way, ways


def link(item: str) -> tuple[str, str]:
    return f"{item}.html", item.upper()


def test_ways_lead_to_the_neighbours_that_there_are() -> None:
    before = Way(rel="prev", key="ArrowLeft", page="a.html", label="A")
    after = Way(rel="next", key="ArrowRight", page="c.html", label="C")
    assert ways("abc", 1, link) == [before, after]
    assert ways("bc", 0, link) == [after]
    assert ways("ab", 1, link) == [before]
    assert ways("b", 0, link) == []


def test_ways_of_another_order_have_keys_of_their_own() -> None:
    assert [way.key for way in ways("abc", 1, link, "Shift+")] == [
        "Shift+ArrowLeft",
        "Shift+ArrowRight",
    ]
