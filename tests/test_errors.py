"""Errors: one exit code each, and the ends of their messages."""

import pytest

from atlas.errors import (
    AtlasError,
    CacheError,
    CheckError,
    InputError,
    Interrupted,
    UsageError,
    closest,
    did_you_mean,
    one_line,
)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (AtlasError, 1),
        (UsageError, 2),
        (InputError, 3),
        (CacheError, 3),
        (CheckError, 4),
        (Interrupted, 130),
    ],
)
def test_every_error_is_an_atlas_error_with_its_exit_code(
    kind: type[AtlasError], code: int
) -> None:
    assert issubclass(kind, AtlasError)
    assert kind("why").exit_code == code
    assert str(kind("why")) == "why"


def test_closest_names_come_best_first_whatever_the_case() -> None:
    names = ["inception3a", "inception4a", "inception4b", "conv1"]
    assert closest("Incepton4a", names).startswith("; closest: inception4a, ")
    assert "conv1" not in closest("Incepton4a", names)


def test_nothing_is_suggested_where_nothing_is_close() -> None:
    assert closest("zzz", ["conv1"]) == ""
    assert did_you_mean("zzz", ["conv1"]) == ""


def test_did_you_mean_gives_one_name() -> None:
    assert did_you_mean("octave", ["octaves", "pyramid"]) == "; did you mean octaves?"


def test_one_line_keeps_type_and_first_line() -> None:
    assert one_line(ValueError("\n bad \nmore")) == "ValueError: bad"
    assert one_line(KeyError()) == "KeyError"
    assert one_line(MemoryError()) == "MemoryError"
