"""Records to JSON: how the site's data files are written, schema 1 (docs/data.md).

`record` makes a record from values that are there under the same names, and checks each; `to_json`
writes it. A number that is not finite is `null`; one that the network computed in 32 bits is
written with the shortest digits that give the same 32 bits back. JSON is ASCII, so text of others
survives it byte for byte.
"""

import json
import math
from collections.abc import Callable
from dataclasses import fields
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from ..views import Shot

Schema = Literal[1]
SCHEMA: Schema = 1

Json = dict[str, Any]

Kind = TypeVar("Kind")


class Single(float):
    """A number of 32 bits, by its shortest digits; not finite where there is none."""


class Double(float):
    """A number of 64 bits; not finite where there is none."""


class Address(str):
    """Address of a file, relative to the folder of the file that holds the address."""


NUMBER = {"type": ["number", "null"]}
Singles = Annotated[NDArray[np.float32], Meta(extra_json_schema={"items": NUMBER})]
Integers = Annotated[NDArray[np.int32], Meta(extra_json_schema={"items": {"type": "integer"}})]


def single(value: float) -> float | None:
    """The shortest decimal number that is the same in 32 bits; None where it is not finite."""
    return float(str(np.float32(value))) if math.isfinite(value) else None


def double(value: float) -> float | None:
    """The number, or None where it is not finite."""
    return float(value) if math.isfinite(value) else None


def record(kind: type[Kind], /, *sources: object, **values: object) -> Kind:
    """A record of a kind, each field checked.

    Args:
        kind: a dataclass; its records may be nested.
        sources: fields that have no value are attributes of the first source that has them.
        values: of fields, by name; UNSET leaves one out.

    Raises:
        ValidationError: a field is missing or of another type, which is our mistake.
    """
    given = {"schema": SCHEMA, **values}
    for name in (field.name for field in fields(kind)):  # type: ignore[arg-type]
        if name not in given:
            source = next((one for one in sources if hasattr(one, name)), None)
            if source is not None:
                given[name] = getattr(source, name)
    given = {name: value for name, value in given.items() if value is not msgspec.UNSET}
    return msgspec.convert(given, kind, from_attributes=True, dec_hook=take)


def take(kind: Any, value: Any) -> Any:
    """A value as the type of a field that only we know."""
    if type(value) is kind or kind not in (Single, Double, Address):
        return value
    if kind is Address:
        return Address(value.file if isinstance(value, Shot) else value)
    number = single(value) if kind is Single and value is not None else value
    return kind(math.nan if number is None else number)


def singles(array: NDArray[Any]) -> list[Any]:
    """The numbers of an array, those of 32 bits as `single` has them."""
    values: list[Any] = array.tolist()
    return list(map(single, values)) if array.dtype == np.float32 else values


PLAIN: dict[type, Callable[[Any], object]] = {
    Single: double,
    Double: double,
    Address: str,
    np.ndarray: singles,
}
"""Encoders of the types that only this package knows."""


def plain(value: object) -> Any:
    """A record as dictionaries, lists, text and numbers."""
    return msgspec.to_builtins(value, enc_hook=lambda one: PLAIN[type(one)](one))


def to_json(value: object) -> bytes:
    """Bytes of a JSON file: ASCII, keys in the order of the fields, one line."""
    return (json.dumps(plain(value), allow_nan=False, separators=(",", ":")) + "\n").encode()
