"""Numbers as JSON and CSV."""

import json
from math import inf, nan

import numpy as np
import pytest

from atlas.gallery import data as sitedata
from tests.json_schema import problems


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e-30, 3.4e38, -2.5])
def test_shortest_digits_give_the_same_32_bits_back(value: float) -> None:
    written = sitedata.single(float(np.float32(value)))
    assert np.float32(written) == np.float32(value)
    assert len(repr(written)) <= 14


def test_a_tenth_is_written_as_a_tenth() -> None:
    assert sitedata.to_json(sitedata.single(float(np.float32(0.1)))) == b"0.1\n"


@pytest.mark.parametrize("value", [nan, inf, -inf])
def test_what_is_no_number_is_null(value: float) -> None:
    assert sitedata.single(value) is None
    assert sitedata.double(value) is None


def test_names_survive_json_whatever_they_hold() -> None:
    for name in ("\udc80", "\u202e", "目", '"</script>'):
        data = sitedata.to_json({"name": name})
        assert data.isascii()
        assert json.loads(data) == {"name": name}


@pytest.mark.parametrize(
    ("value", "cell"),
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
def test_cells(value: object, cell: str) -> None:
    assert sitedata.cell(value) == cell


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        ("a", {"type": "integer"}),
        (True, {"type": "integer"}),
        (2, {"const": 1}),
        ("x", {"enum": ["a"]}),
        ("x", {"type": "string", "pattern": "^[0-9]$"}),
        (-1, {"type": "integer", "minimum": 0}),
        ([1, 2], {"type": "array", "maxItems": 1}),
        ([1, "a"], {"type": "array", "items": {"type": "integer"}}),
        ({}, {"type": "object", "required": ["a"]}),
        ({"b": 1}, {"type": "object", "properties": {}, "additionalProperties": False}),
        ({"b": 1}, {"type": "object", "additionalProperties": {"type": "string"}}),
    ],
)
def test_the_validator_sees_each_kind_of_mistake(value: object, schema: dict[str, object]) -> None:
    assert len(problems(value, schema, schema)) == 1
