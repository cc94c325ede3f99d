"""Options as Python values: `units=20, layers=["layer4"]` → the same checked `Config`.

A value becomes what one would have typed on the command line, so that limits and messages are the
same. Start at `configure_call`; `call_line` is the way back.
"""

import os
from collections.abc import Mapping
from typing import Any

from .config import OPTIONS, Config, changed_options
from .errors import UsageError, did_you_mean
from .options import Option

IN_MEMORY = "nn.Module:"
"""Begins the model's name where it is no name but a network in memory."""

COMMAND_LINE_ONLY = {
    "engine": "workers of a Ray cluster load a network by its name",
    "shard": "the parts are put together by `build_atlas.py merge`",
    "site_part": "the parts of a site are written by `build_atlas.py site`",
    "out": "it belongs to `build_atlas.py export`",
    "save_reference": "it belongs to `build_atlas.py rank`",
    "config": "give the options of the file as keywords",
}
"""Options that a call from Python refuses, and why."""


def configure_call(model: str, images: object, options: Mapping[str, object]) -> Config:
    """The settings of a call.

    Args:
        model: a name as of --model, or `IN_MEMORY` and the class of a network.
        images: a folder, or the name of a set.
        options: keywords → values as people write them in Python.

    Raises:
        UsageError: an option is unknown or for the command line only, or a value is not allowed.
    """
    if not isinstance(images, str | os.PathLike):
        raise UsageError(
            f"images takes a folder, 'sample' or 'imagenette', got a {type(images).__name__}; save "
            "pictures that are in memory as files first, such as by cv2.imwrite"
        )
    by_key = {option.key: option for option in OPTIONS}
    for key in options:
        check_key(key, by_key, model)
    given = {**options, "model": model, "images": images}
    return Config(**{key: read_value(by_key[key], value) for key, value in given.items()})


def check_key(key: str, known: Mapping[str, Option], model: str) -> None:
    """Refuse an option that is none, or that a call from Python does not have."""
    if key in COMMAND_LINE_ONLY:
        raise UsageError(f"{key} is for the command line only: {COMMAND_LINE_ONLY[key]}")
    if key not in known:
        raise UsageError(
            f"atlas.build has no option {key!r}; its options are those of `build_atlas.py build "
            f"--help`, with _ for -{did_you_mean(key, known)}"
        )
    if key == "weights" and model.startswith(IN_MEMORY):
        raise UsageError("weights: the network in memory has its own; leave the option out")


def read_value(option: Option, value: object) -> Any:
    """A value of an option as `Config` holds it.

    Names in a list may hold commas, which no list typed on a command line can.
    """
    plain = value.tolist() if hasattr(value, "tolist") else value  # numpy's and torch's numbers
    if not isinstance(plain, list | tuple):
        return option.read(text_of(option, plain))
    texts = [text_of(option, part) for part in plain]
    return tuple(texts) if option.lists_names else option.read(",".join(texts))


def text_of(option: Option, value: object) -> str:
    """Return a value as it would be typed.

    Raises:
        UsageError: nobody could type it.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float | os.PathLike):
        return str(value)
    if option.key == "device" and value is not None:  # torch.device
        return str(value)
    hint = "; leave it out for its default" if value is None else ""
    wanted = option.metavar or "True or False"
    raise UsageError(f"{option.key} takes {wanted}, got {type(value).__name__}{hint}")


def call_line(config: Config) -> str:
    """The shortest call that means `config`, for a network in memory; run-only options left out."""
    changed = [(one.key, value) for one, value in changed_options(config) if one.key != "model"]
    return f"atlas.build({', '.join(['network', *(f'{key}={value!r}' for key, value in changed)])})"
