"""Numbers, texts and records as JSON, and the schemas of the files."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from math import inf, nan
from typing import Any

import msgspec
import numpy as np
import pytest

from atlas.gallery.data.encode import Address, Double, Singles, plain, record, single, to_json
from atlas.gallery.views import Shot
from tests.schemas import FILES, path_of, problems, write_out


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e-30, 3.4e38, -2.5])
def test_shortest_digits_give_the_same_32_bits_back(value: float) -> None:
    written = single(float(np.float32(value)))
    assert np.float32(written) == np.float32(value)
    assert len(repr(written)) <= 14


def test_a_tenth_is_written_as_a_tenth() -> None:
    assert to_json(single(float(np.float32(0.1)))) == b"0.1\n"


@pytest.mark.parametrize("value", [nan, inf, -inf])
def test_what_is_no_number_is_null(value: float) -> None:
    assert single(value) is None
    assert plain(Double(value)) is None


def test_names_survive_json_whatever_they_hold() -> None:
    for name in ("\udc80", "\u202e", "目", '"</script>'):
        data = to_json({"name": name})
        assert data.isascii()
        assert json.loads(data) == {"name": name}


# --- records -------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Thing:
    """One field of each kind."""

    name: str
    file: Address | None
    reach: Double
    mean: Singles
    left_out: int | msgspec.UnsetType = msgspec.UNSET


VALUES: dict[str, Any] = {"name": "a", "reach": 0.5, "mean": np.array([0.1, nan], np.float32)}
SHOT = Shot(file="img/3.jpg", height=2, width=2)


def test_a_record_is_written_in_the_order_of_its_fields() -> None:
    thing = record(Thing, **VALUES, file=SHOT)
    assert to_json(thing) == b'{"name":"a","file":"img/3.jpg","reach":0.5,"mean":[0.1,null]}\n'


def test_no_picture_and_no_number_are_null() -> None:
    thing = plain(record(Thing, **{**VALUES, "reach": None}, file=None))
    assert (thing["file"], thing["reach"]) == (None, None)


def test_fields_come_from_values_then_from_the_first_source_that_has_them() -> None:
    first = record(Thing, **{**VALUES, "reach": 1.0}, file=SHOT)
    second = record(Thing, **VALUES, file="second.jpg", left_out=2)
    thing = record(Thing, SHOT, first, second, name="b", left_out=msgspec.UNSET)
    assert (thing.name, thing.file, thing.reach) == ("b", "img/3.jpg", 1.0)
    assert "left_out" not in plain(thing)


@pytest.mark.parametrize("values", [{}, {"name": 3}], ids=["missing", "of another type"])
def test_a_field_that_is_not_as_declared_is_an_error(values: dict[str, object]) -> None:
    rest = {name: value for name, value in VALUES.items() if name != "name"}
    with pytest.raises(msgspec.ValidationError, match="name"):
        record(Thing, **rest, file=None, **values)


# --- schemas -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_schemas_on_the_disk_are_those_of_the_records(name: str) -> None:
    assert path_of(name).read_text("utf-8") == write_out(name), "run `make schemas`"


def comparison() -> dict[str, Any]:
    """A file as docs/data.md describes it, by hand."""
    row = {"layer": "conv", "channel": 2, "other_layer": None, "other_channel": None}
    row |= {"correlation": None, "shown_layer": "relu", "shown_channel": 0}
    row |= {"shown_correlation": 0.25}
    return {"schema": 1, "model": "a", "other": "b", "n_images": 3, "units": [row]}


def test_a_file_by_hand_obeys_its_schema() -> None:
    assert problems(comparison(), "compare") == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data.update(schema=2),
        lambda data: data.update(more=1),
        lambda data: data.update(n_images=2),
        lambda data: data.pop("other"),
        lambda data: data["units"][0].pop("shown_layer"),
        lambda data: data["units"][0].update(correlation="0.5"),
        lambda data: data["units"][0].update(channel=-1),
    ],
)
def test_a_schema_refuses_each_kind_of_mistake(spoil: Callable[[dict[str, Any]], object]) -> None:
    data = comparison()
    spoil(data)
    assert len(problems(data, "compare")) == 1
