"""The class of an option, and the kinds of options: number, list, folder, flag and so on.

An option is declared once, as a field of `config.Config`: `KIND.option(default, help)`. Its kind
says how text becomes a value, which values are allowed, and how a value is typed again.
"""

import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from .errors import UsageError, did_you_mean
from .records.wanted import check_wanted
from .shapes import Size, pair, typed

MOST_CHANNELS = 64
"""Of a network's input: pictures of more would not fit into the memory that one may take."""


def type_plain(value: Any) -> str:
    """Text of a value; the parts of a tuple are separated by commas."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option: `--name METAVAR  help`. A kind of options is one that has no name yet.

    Attributes:
        parse: (option, text) → value; raises a UsageError that names the option.
        check: (option, value): raises a UsageError unless the value is allowed.
        typed: value → the text that a user types for it.
        metavar: the word for the value in the help.
        lists_names: whether a value lists names, which may hold commas if they come from Python.
        default: the value where nothing is given.
        short: one letter for `-x`.
        bare: the text that it stands for where it is typed without a value; "" where it may not.
        repeats: whether it may be typed several times, for further values.
    """

    parse: Callable[[str, str], Any]
    check: Callable[[str, Any], None] = lambda option, value: None
    typed: Callable[[Any], str] = type_plain
    metavar: str = ""
    lists_names: bool = False
    name: str = ""
    default: Any = None
    help: str = ""
    short: str = ""
    bare: str = ""
    repeats: bool = False

    @property
    def key(self) -> str:
        """The name as a field of `Config`."""
        return self.name.replace("-", "_")

    @property
    def is_flag(self) -> bool:
        """True if it is typed without a value."""
        return self.parse is parse_flag

    def read(self, text: str) -> Any:
        """The value of a text, or a UsageError if it has none."""
        return self.parse(f"--{self.name}", text)

    def option(self, default: Any, help: str, short: str = "") -> Any:
        """Declare an option of this kind as a field of a dataclass."""
        declared = replace(self, default=default, help=help, short=short)
        return field(default=default, metadata={"option": declared})


# --- checks --------------------------------------------------------------------------------------


def check_range(option: str, value: int, low: int, high: int) -> None:
    """Raise a UsageError unless low <= value <= high."""
    if not low <= value <= high:
        raise UsageError(f"{option} must be from {low} to {high}, got {value}")


def check_filled(option: str, value: str) -> None:
    """Raise a UsageError if there is no text."""
    if not value.strip():
        raise UsageError(f"{option} is empty; see `build_atlas.py build --help`")


def check_layers(option: str, value: Sequence[str]) -> None:
    """Raise a UsageError if no layers are named."""
    if not value:
        raise UsageError(f"{option} is empty; allowed: blocks, children, all, or names and globs")


def check_recipes(option: str, value: Sequence[str]) -> None:
    """Raise a UsageError unless there are names, each once."""
    if not value or len(set(value)) != len(value):
        raise UsageError(f"{option} names no recipe, or one twice: {','.join(value)!r}")


def check_classes(option: str, value: object) -> None:
    """Raise a UsageError if there are too many classes for any network."""
    if isinstance(value, int):
        check_range(option, value, 0, 1_000_000)


def check_shard(option: str, value: tuple[int, int]) -> None:
    """Raise a UsageError unless the part is one of the parts."""
    if not 1 <= value[0] <= value[1]:
        raise UsageError(f"{option} must be I/N with 1 <= I <= N, got {value[0]}/{value[1]}")


def check_size(option: str, value: Size) -> None:
    """Raise a UsageError unless a network can have an input of this size; 0 means its own."""
    for side in pair(value) if value else ():
        check_range(option, side, 8, 2048)


def check_shown(shown: Sequence[int], channels: int) -> None:
    """Raise a UsageError unless one or three channels are shown that there may be."""
    if shown and len(shown) not in (1, 3):
        raise UsageError(f"--show-channels takes one channel or three, got {len(shown)}")
    for channel in shown:
        check_range("--show-channels", channel, 1, channels or MOST_CHANNELS)


def check_numbers(option: str, value: Sequence[float]) -> None:
    """Raise a UsageError unless the numbers are finite and not more than there can be channels."""
    if len(value) > MOST_CHANNELS or not all(map(math.isfinite, value)):
        raise UsageError(f"{option} takes one number, or one a channel, got {value}")


def check_spread(option: str, value: Sequence[float]) -> None:
    """The same, and none of them may be 0 or less."""
    check_numbers(option, value)
    if any(number <= 0 for number in value):
        raise UsageError(f"{option} must be above 0, got {value}")


# --- from text to values -------------------------------------------------------------------------


def parse_text(option: str, text: str) -> str:
    """Take the text as it is, unless it holds a NUL character."""
    if "\0" in text:
        raise UsageError(f"{option} holds a NUL character")
    return text


def parse_location(option: str, text: str) -> str:
    """Take the name of a file, a folder or a set as it is; `~` is the home folder."""
    return os.path.expanduser(parse_text(option, text))


def parse_path(option: str, text: str) -> Path:
    """Read a path; `~` is the home folder."""
    if not text.strip():
        raise UsageError(f"{option} is empty; it takes a folder")
    return Path(parse_text(option, text)).expanduser()


def parse_flag(option: str, text: str) -> bool:
    """Read a flag from a configuration file."""
    if text.lower() not in ("true", "false"):
        raise UsageError(f"{option} takes true or false, got {text!r}")
    return text.lower() == "true"


def parse_digest(option: str, text: str) -> str:
    """Read a SHA-256 or its first digits, at least 8: fewer could fit by chance."""
    if not re.fullmatch("[0-9a-f]{8,64}", text.lower()):
        raise UsageError(f"{option} takes 8 to 64 hexadecimal digits, got {text!r}")
    return text.lower()


def parse_names(option: str, text: str) -> tuple[str, ...]:
    """Split a comma-separated list; blanks around names do not count."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def parse_integer(option: str, text: str) -> int:
    """Read an integer, or say which option wanted one."""
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"{option} takes a whole number, got {text!r}") from None


def parse_channels(option: str, text: str) -> tuple[int, ...]:
    """Read comma-separated numbers of channels, counted from 1."""
    return tuple(parse_integer(option, part) for part in text.split(","))


def parse_numbers(option: str, text: str) -> tuple[float, ...]:
    """Read comma-separated numbers."""
    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise UsageError(f"{option} takes one number, or one a channel, got {text!r}") from None


def parse_classes(option: str, text: str) -> tuple[str, ...] | int | Literal["all"]:
    """Read a number of classes, `all`, or a list of names and indices (`207,` is a list of one)."""
    if text.strip() == "all":
        return "all"
    if re.fullmatch(r"\s*\d+\s*", text):
        return int(text)
    names = parse_names(option, text)
    if not names:
        raise UsageError(f"{option} takes a number, all, or class names and indices, got {text!r}")
    return names


def parse_shard(option: str, text: str) -> tuple[int, int]:
    """Read `I/N`."""
    match = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", text)
    if not match:
        raise UsageError(f"{option} takes I/N, such as 2/8, got {text!r}")
    return int(match[1]), int(match[2])


def parse_size(option: str, text: str) -> Size:
    """Read a side, or a height and a width; equal ones are a side."""
    texts = re.split("[xX×,]", text)  # a pair of Python has a comma
    parts = [parse_integer(option, part) for part in texts]
    if len(parts) > 2:
        raise UsageError(f"{option} takes a side, or height x width such as 128x64, got {text!r}")
    return parts[0] if parts[0] == parts[-1] else (parts[0], parts[1])


# --- from values to text -------------------------------------------------------------------------


def type_classes(value: Any) -> str:
    """The text of a choice of classes; a comma behind one index tells it from a number."""
    text = type_plain(value)
    return f"{text}," if isinstance(value, tuple) and text.isdecimal() else text


# --- kinds ---------------------------------------------------------------------------------------

FLAG = Option(parse=parse_flag)
FOLDER = Option(metavar="DIR", parse=parse_path)
DIGEST = Option(metavar="DIGEST", parse=parse_digest)
MODEL = Option(metavar="NAME", parse=parse_text, check=check_filled)
IMAGES = Option(metavar="DIR|sample|imagenette", parse=parse_location, check=check_filled)
LAYERS = Option(metavar="WHICH", parse=parse_names, check=check_layers, lists_names=True)
DICTIONARIES = Option(
    metavar="LAYER=METHOD:K[,…]",
    parse=parse_names,
    check=check_wanted,
    lists_names=True,
    repeats=True,
)
SOME_LAYERS = Option(metavar="LAYER[,LAYER]", parse=parse_names, lists_names=True)
RECIPES = Option(metavar="NAME[,NAME]", parse=parse_names, check=check_recipes, lists_names=True)
CLASSES = Option(
    metavar="N|all|LIST",
    parse=parse_classes,
    check=check_classes,
    typed=type_classes,
    lists_names=True,
)
SHARD = Option(
    metavar="I/N", parse=parse_shard, check=check_shard, typed=lambda part: f"{part[0]}/{part[1]}"
)
SIZE = Option(metavar="PX|HxW", parse=parse_size, check=check_size, typed=typed)
CHANNELS = Option(metavar="N[,N,N]", parse=parse_channels)
MEAN = Option(metavar="X[,X…]", parse=parse_numbers, check=check_numbers)
SPREAD = Option(metavar="X[,X…]", parse=parse_numbers, check=check_spread)


def text(metavar: str) -> Option:
    """Any text."""
    return Option(metavar=metavar, parse=parse_text)


def location(metavar: str) -> Option:
    """A file, or a word for one."""
    return Option(metavar=metavar, parse=parse_location)


def whole(low: int, high: int, metavar: str = "N", word: str | int = "") -> Option:
    """Whole numbers within limits; one word, or number, may stand for something else."""

    def parse(option: str, text: str) -> int | str:
        return text if text == word else parse_integer(option, text)

    def check(option: str, value: int) -> None:
        if value != word:
            check_range(option, value, low, high)

    return Option(metavar=metavar, parse=parse, check=check)


def above_zero(metavar: str, most: float, words: str) -> Option:
    """Numbers above 0 and at most `most`; `words` say so."""

    def parse(option: str, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0 < value <= most:
            raise UsageError(f"{option} takes {words}, got {text!r}")
        return value

    return Option(metavar=metavar, parse=parse)


def one_of(*allowed: str) -> Option:
    """One of some words; another is refused with the closest."""

    def check(option: str, value: str) -> None:
        if value not in allowed:
            hint = did_you_mean(value, allowed)
            raise UsageError(f"{option} is {value!r}; allowed: {', '.join(allowed)}{hint}")

    return Option(metavar="|".join(allowed), parse=parse_text, check=check)


def parse_switch(option: str, text: str) -> str:
    """Read on or off, as a flag is written too."""
    return {"true": "on", "false": "off"}.get(text.lower(), text)


SWITCH = replace(one_of("auto", "on", "off"), parse=parse_switch, bare="on")
LIVE = replace(one_of("on", "off"), parse=parse_switch, bare="on")
ON_OFF = replace(one_of("off", "on"), parse=parse_switch, bare="on")
OUTPUTS = one_of("auto", "logits", "probabilities", "multilabel", "none")
