"""Weights files: fetch, check, read, fit to a network, digest. Start at `read_weights`.

Nothing in a file is run, and whatever may lie under a weights file's name instead of weights is
told apart: a folder, a web page, a broken download, a whole network, a training checkpoint.
"""

import hashlib
import re
import socket
import stat
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.modules.utils import consume_prefix_in_state_dict_if_present

from .config import EMBEDDED_MODEL
from .errors import INSTALL, InputError, one_line
from .files import sha256_file

DOWNLOAD_TIMEOUT = 30
"""Seconds without an answer after which a download has failed; torch.hub itself waits for ever."""

AUXILIARY = ("aux1.", "aux2.", "AuxLogits.", "aux_classifier.")
"""Auxiliary classifiers of GoogLeNet, Inception and segmentation: used in training only."""

WRAPPERS = ("module.", "_orig_mod.")
"""What DataParallel and torch.compile write before every name."""


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


def read_weights(path: Path, published: str = "") -> dict[str, Tensor]:
    """Read a state_dict, running no code that a file may carry.

    Args:
        path: a .safetensors file, or whatever torch.save wrote.
        published: a file of this name must have the digest that its name holds.

    Returns:
        Name → tensor, floating-point ones as float32.

    Raises:
        InputError: the file is not there, damaged, or something else than a state_dict.
    """
    check_content(checked_file(path))
    if path.name == published:
        check_published(path)
    held = read_safetensors(path) if path.suffix == ".safetensors" else read_pickle(path)
    return float_tensors(path, unwrapped(held))


def check_content(path: Path) -> None:
    """Refuse what often lies under a weights file's name: pages, pointers, broken downloads."""
    try:
        with path.open("rb") as file:
            head = file.read(64).lstrip()
    except OSError as error:
        raise InputError(f"weights {path} cannot be read: {error.strerror}") from error
    if head.startswith(b"<"):
        raise InputError(f"weights {path} are an HTML page, not weights; download the file itself")
    if head.startswith(b"version https://git-lfs"):
        raise InputError(
            f"weights {path} are a Git LFS pointer; fetch the file with `git lfs pull`"
        )


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
    """The tensors of a .safetensors file."""
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise InputError(f"reading {path} needs the package safetensors: {INSTALL}") from error
    try:
        return load_file(path)
    except Exception as error:  # SafetensorError derives from Exception only
        raise damaged(path, error) from error


def read_pickle(path: Path) -> object:
    """What a .pth file holds, by torch's restricted unpickler."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a foreign pickle warns before it fails; we say why
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes raise anything from KeyError to struct.error
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        if found:
            raise InputError(
                f"weights {path} hold a Python object ({found.group(1)}), which could run code; "
                f"save the state_dict alone: torch.save(network.state_dict(), file)"
            ) from error
        if "TorchScript" in str(error):
            raise InputError(
                f"weights {path} are a TorchScript program; save its state_dict() instead"
            ) from error
        raise damaged(path, error) from error


def damaged(path: Path, error: Exception) -> InputError:
    """The error of a file that is cut short or no weights file at all."""
    size = path.stat().st_size
    reason = str(error).split(".")[0].splitlines()
    detail = f"{type(error).__name__}: {reason[0]}" if reason else type(error).__name__
    return InputError(
        f"weights {path} ({size:,} bytes) are cut short or no weights file ({detail}); "
        f"copy or download the file again"
    )


def unwrapped(held: object) -> object:
    """The state_dict inside a training checkpoint, or what was given."""
    for key in ("state_dict", "model"):
        if isinstance(held, Mapping) and isinstance(held.get(key), Mapping):
            held = held[key]
    return held


def float_tensors(path: Path, held: object) -> dict[str, Tensor]:
    """Check that it is a state_dict and make its floating-point tensors float32."""
    if not isinstance(held, Mapping) or not held:
        raise InputError(
            f"weights {path} hold a {type(held).__name__} of no tensors; a state_dict is wanted"
        )
    if not all(isinstance(part, Tensor) for part in held.values()):
        raise InputError(
            f"weights {path} are no state_dict: they hold {', '.join(map(str, list(held)[:5]))}; "
            f"a state_dict (name → tensor) is wanted, alone or under 'state_dict' or 'model'"
        )
    weights = OrderedDict(
        (str(name), part.float() if part.is_floating_point() else part)
        for name, part in held.items()
    )
    # The versions of its modules, by which torch knows how to load a file of older naming.
    if hasattr(held, "_metadata"):
        weights._metadata = held._metadata  # type: ignore[attr-defined]
    return weights


# --- fitting a network ---------------------------------------------------------------------------


def part_of(weights: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    """The weights of one part of a network, by their names in it; all of them where `part` is ""
    or the file holds that part alone."""
    inside = [name for name in weights if name.startswith(f"{part}.")]
    if not part or not inside:
        return weights
    return OrderedDict((name.removeprefix(f"{part}."), weights[name]) for name in inside)


def named_for(network: nn.Module, weights: dict[str, Tensor], model: str) -> dict[str, Tensor]:
    """Give weights the names that `network` uses, where others are known to mean the same.

    These are a wrapper's word before every name (`module.`), torchvision's DenseNet files with
    `norm.1` for `norm1`, auxiliary classifiers that the network is built without, and the embedded
    file, whose tensors are in timm's order and shapes but not under timm's names.
    """
    own = network.state_dict()
    for word in WRAPPERS:
        if all(name.startswith(word) for name in weights) and not own.keys() & weights.keys():
            consume_prefix_in_state_dict_if_present(weights, word)
    if model == EMBEDDED_MODEL and shapes(own) == shapes(weights):
        return dict(zip(own, weights.values(), strict=True))
    for name in [name for name in weights if name not in own]:
        tensor = weights.pop(name)
        dense = re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)", r"\1\2", name)
        absent = getattr(network, name.split(".")[0], None) is None
        auxiliary = name.startswith(AUXILIARY) and absent
        if not auxiliary:
            weights[dense if dense in own else name] = tensor
    return weights


def shapes(weights: Mapping[str, Tensor]) -> list[torch.Size]:
    """The shapes of tensors in order."""
    return [tensor.shape for tensor in weights.values()]


def load_weights(network: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    """Load all weights or none: names and shapes must be exactly those of the network.

    Raises:
        InputError: they are not; with counts and the first few names.
    """
    own = network.state_dict()
    # A counter that only training reads, and that files from before torch 0.4.1 do not have.
    for name in own.keys() - weights.keys():
        if name.endswith("num_batches_tracked"):
            weights[name] = own[name]
    # Some modules insist on a version of their naming; a file that has none is taken as current.
    if not hasattr(weights, "_metadata"):
        weights = OrderedDict(weights)
        weights._metadata = own._metadata  # type: ignore[attr-defined]
    try:
        network.load_state_dict(weights, strict=True)
    except (RuntimeError, ValueError) as error:
        reason = mismatch(own, weights) or one_line(error)
        raise InputError(f"weights {path} do not fit {type(network).__name__}: {reason}") from error


def mismatch(own: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> str:
    """In what a state_dict differs from the network's own, "" if in nothing."""
    wrong = [name for name in own if name in weights and own[name].shape != weights[name].shape]
    parts = [
        some("missing", [name for name in own if name not in weights]),
        some("unexpected", [name for name in weights if name not in own]),
        some(
            "of another shape",
            [f"{name} expected {size(own[name])} got {size(weights[name])}" for name in wrong],
        ),
    ]
    if wrong and not parts[0] and not parts[1] and len(wrong) <= 2:
        last, got = own[wrong[0]], weights[wrong[0]]
        if last.shape[1:] == got.shape[1:]:
            parts.append(
                f"its classifier has {got.shape[0]} classes, the model's {last.shape[0]}: give "
                f"the network it was trained with as --model package.module:callable"
            )
    return "; ".join(part for part in parts if part)


def some(what: str, names: list[str]) -> str:
    """`2 missing (a, b)`, at most three names, or ""."""
    more = ", …" if len(names) > 3 else ""
    return f"{len(names)} {what} ({', '.join(names[:3])}{more})" if names else ""


def size(tensor: Tensor) -> str:
    """The shape of a tensor as `64×3×7×7`, `()` for a single number."""
    return "×".join(map(str, tensor.shape)) or "()"


def digest_tensors(network: nn.Module) -> str:
    """SHA-256 over names, types, shapes and bytes of all weights and buffers, in order."""
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(name.encode() + b"\0")
        for part in bytes_of(value):
            digest.update(part)
    return digest.hexdigest()


def bytes_of(value: object) -> Iterator[bytes]:
    """What tells a value of a state_dict from others; quantised modules keep more than tensors."""
    if isinstance(value, tuple | list):
        for part in value:
            yield from bytes_of(part)
    elif isinstance(value, Tensor):
        yield f"{value.dtype}\0{tuple(value.shape)}\0".encode()
        if value.is_quantized:
            yield repr(value.qscheme()).encode()
            value = value.dequantize()
        yield value.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes()
    else:
        yield repr(value).encode()
