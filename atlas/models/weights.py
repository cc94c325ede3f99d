"""Weights files: fetch, check, read. Start at `read_weights`.

Nothing in a file is run. What a file is, `formats` tells; which part of a checkpoint is meant,
`checkpoints`; `state_dict` loads it into a network.
"""

import re
import socket
import stat
import warnings
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from ..config import EMBEDDED_MODEL
from ..errors import INSTALL, InputError, one_line
from ..files.digests import sha256_file
from ..files.names import shown
from .checkpoints import DictStandIn, Held, StandIn, open_wrappers
from .formats import TORCH, damaged, listed, recognise

DOWNLOAD_TIMEOUT = 30
"""Seconds without an answer after which a download has failed; torch.hub itself waits for ever."""


def download_weights(model: str, url: str, path: Path, *, progress: bool) -> None:
    """Fetch the published weights of a model to where its library looks for them.

    torch.hub writes a temporary file beside `path`, compares the digest in the name and renames.

    Args:
        model: its name, for the message.
        url: of the file.
        path: where to.
        progress: whether torch.hub may draw its bar.

    Raises:
        InputError: it cannot be done.
    """
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), digest_in_name(path.name), progress)
    except (OSError, RuntimeError, ValueError) as error:
        raise no_download(model, path.name, str(path.parent), error) from error
    finally:
        socket.setdefaulttimeout(before)


def no_download(model: str, wanted: str, looked: str, error: Exception) -> InputError:
    """The error of weights that are neither here nor to be had."""
    return InputError(
        f"{model}: its weights {wanted} are not in {looked} and fetching them failed "
        f"({one_line(error)}); give the file with WEIGHTS=/path/to/file, or take "
        f"MODEL={EMBEDDED_MODEL}, which needs no network"
    )


def digest_in_name(name: str) -> str:
    """The first digits of the SHA-256 in names like `googlenet-1378be20.pth`, or "".

    Source: naming convention of torch.hub (`check_hash`).
    """
    found = re.search(r"-([a-f0-9]{8,})\.", name)
    return found.group(1) if found else ""


# --- reading -------------------------------------------------------------------------------------


def checked_file(path: Path) -> Path:
    """The path itself, if it is a readable regular file with something in it.

    Raises:
        InputError: it is not.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(
            f"weights {path} cannot be read: {error.strerror}; check --weights (WEIGHTS=)"
        ) from error
    if not stat.S_ISREG(status.st_mode):  # a pipe would wait for ever
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise InputError(f"weights {path} are {kind}; give the .pth or .safetensors file")
    if not status.st_size:
        raise InputError(f"weights {path} are empty (0 bytes); download the file again")
    return path


def read_weights(path: Path, published: str = "") -> Held:
    """Read what a file holds, running no code that it may carry.

    Args:
        path: a safetensors file, or whatever torch.save wrote.
        published: a file of this name must have the digest that its name holds.

    Raises:
        InputError: the file is not there, damaged, or without tensors.
    """
    form = recognise(checked_file(path))
    if path.name == published:
        check_published(path)
    read = read_torch(path) if form == TORCH else read_safetensors(path)
    if isinstance(read, list) and read and all(isinstance(part, Tensor) for part in read):
        raise InputError(
            f"weights {path} hold a list of {len(read)} tensors without names; "
            f"a state_dict is wanted (name → tensor): torch.save(network.state_dict(), file)"
        )
    held = open_wrappers(read, path)
    if not held.tensors and held.objects:
        raise python_object(path, held.objects[0])
    if not held.tensors or "" in held.values:
        found = f"({listed(list(held.values))})" if any(held.values) else ""
        raise InputError(
            f"weights {path} hold no tensors with names {found or 'and nothing else'}; "
            f"a state_dict is wanted (name → tensor), alone or in a checkpoint"
        )
    return held


def check_published(path: Path) -> None:
    """Compare a published file with the digest in its name: torch.load misses flipped bits."""
    expected = digest_in_name(path.name)
    got = sha256_file(path)
    if not got.startswith(expected):
        raise InputError(
            f"weights {path} are damaged: SHA-256 starts with {expected} by name, got "
            f"{got[:8]}; delete the file and fetch it again"
        )


def read_safetensors(path: Path) -> object:
    """The tensors of a safetensors file, whatever its suffix."""
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise InputError(f"reading {path} needs the package safetensors: {INSTALL}") from error
    try:
        return load_file(path)
    except Exception as error:  # SafetensorError derives from Exception only
        raise damaged(path, "a safetensors file", error) from error


def read_torch(path: Path) -> object:
    """Read a file of torch.save by torch's restricted unpickler; of Python objects, stand-ins."""
    names = unknown_names(path)
    while True:
        try:
            return load_plain(path, stand_ins(names))
        except Exception as error:  # damaged bytes raise anything from KeyError to struct.error
            name = refused_name(error)
            if not name and not (names and isinstance(error, UnpicklingError)):
                raise damaged(path, "a file of torch.save", error) from error
            if not name or name in names:  # what there is no stand-in for
                raise python_object(path, name or names[0]) from error
            names.append(name)


def load_plain(path: Path, allowed: list[Any]) -> object:
    """Return torch.load's result; a foreign pickle warns before it fails; our error says why."""
    with warnings.catch_warnings(), torch.serialization.safe_globals(allowed):
        warnings.simplefilter("ignore")
        return torch.load(path, map_location="cpu", weights_only=True)


def refused_name(error: Exception) -> str:
    """The class or function that torch.load does not take, "" where it failed otherwise."""
    found = re.search(r"(?:GLOBAL |Can only .* got <class ')([\w.]+)", str(error))
    name = found[1] if found else ""
    return name if not name or "." in name else f"builtins.{name}"


def unknown_names(path: Path) -> list[str]:
    """Names of the classes and functions in a file that torch does not know.

    In the form of before 1.6 they show one by one, as reading meets them.
    """
    try:
        return torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # the file is of the form of before 1.6, or damaged: reading it will tell
        return []


def stand_ins(names: list[str]) -> list[Any]:
    """A harmless class for each name, as torch takes them.

    Checkpoints hold the settings of their training beside the weights (argparse, numpy, omegaconf).
    """
    kinds = {name: DictStandIn if "dict" in name.lower() else StandIn for name in names}
    return [(type(name, (kind,), {"__module__": "builtins"}), name) for name, kind in kinds.items()]


def python_object(path: Path, name: str) -> InputError:
    """The error of a file that holds an object, such as a whole network, in place of tensors."""
    return InputError(
        f"weights {path} hold a Python object ({shown(name)}), which could run code; "
        f"save the state_dict alone: torch.save(network.state_dict(), file)"
    )
