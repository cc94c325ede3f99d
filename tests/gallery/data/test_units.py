"""A unit as a row of units.csv."""

import pytest

from atlas.gallery.data.table import cell


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (1.5, "1.5"),
        (-2, "-2"),
        ("plain", "plain"),
        ("=1+1", "'=1+1"),
        ("@x", "'@x"),
        ("-x", "'-x"),
        ("a\u202eb", "a\\u202eb"),
    ],
)
def test_cells(value: object, text: str) -> None:
    assert cell(value) == text
