"""What --dictionary asks for: `parse_wanted` reads `LAYER=METHOD:K` and `LAYER=FILE`."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from ..errors import UsageError, did_you_mean

Method = Literal["nmf", "semi-nmf", "kmeans", "pca", "file"]
FITTED: tuple[str, ...] = get_args(Method)[:-1]
"""Methods that find directions themselves."""

ENDINGS = (".npz", ".safetensors")
"""Of the files that hold a dictionary."""

FORMS = f"LAYER=METHOD:K with {', '.join(FITTED)}, or LAYER=FILE with {' or '.join(ENDINGS)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A dictionary that is asked for.

    Attributes:
        parent: the layer that it reads.
        method: how its directions are found.
        directions: their number, K; 0 where the file says.
        file: that holds it; "" where it is to be found.
    """

    parent: str
    method: Method
    directions: int = 0
    file: str = ""

    @property
    def name(self) -> str:
        """Name of the layer that it is."""
        if not self.file:
            return f"{self.parent}@{self.method}{self.directions}"
        return f"{self.parent}@{re.sub('[^A-Za-z0-9._-]', '-', Path(self.file).stem)}"


def parse_wanted(option: str, text: str) -> Wanted:
    """Read one dictionary.

    Raises:
        UsageError: it is no such text, or names a method that is not known.
    """
    parent, _, what = text.partition("=")
    if not parent or not what:
        raise UsageError(f"{option} takes {FORMS}, got {text!r}")
    if what.lower().endswith(ENDINGS):
        return Wanted(parent=parent, method="file", file=str(Path(what).expanduser()))
    method, colon, number = what.partition(":")
    if method not in FITTED:
        hint = did_you_mean(method, FITTED)
        raise UsageError(f"{option}: no method is called {method!r}{hint}; {option} takes {FORMS}")
    if not colon or not number.isdecimal() or int(number) < 2:
        raise UsageError(
            f"{option}: {method} needs a number of directions, at least 2, such as {method}:32; "
            f"got {what!r}"
        )
    return Wanted(parent=parent, method=cast(Method, method), directions=int(number))


def check_wanted(option: str, value: tuple[str, ...]) -> None:
    """Raise a UsageError unless every text is a dictionary, and each another one."""
    names = [parse_wanted(option, text).name for text in value]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{option}: two dictionaries would be called {name}; rename one file")
