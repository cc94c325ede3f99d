"""Contents of a file of weights, and the part of it that is meant. Start at `find_part`.

A checkpoint is a tree: wrappers (`state_dict`, `model_ema`, …), in them names with the words of
those who wrapped the network (`module.`, `_orig_mod.`, the attribute of a LightningModule). Opened
to dotted names, a wrapper is no more than another word in front: a copy of the network is
wherever all of its names stand behind the same words, with tensors of its shapes.

Two copies that differ are never taken for one another: an average of the training's steps (EMA) is
preferred, as by timm and by torchvision's own training scripts, because it is what they evaluate;
everything else, such as teacher and student, is refused by name.
"""

import re
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

from ..errors import InputError
from ..files.names import shown

State = Mapping[str, object]
"""A state_dict: nearly always tensors, but modules may keep other things in it."""

WRAPPERS = r"(^|\.)(?:(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.)+"
"""Words that DataParallel, torch.compile, FSDP and checkpointing write, also inside a name."""

OLD_DENSENET = r"(denselayer\d+\.(?:norm|conv))\.([12]\.)"
"""torchvision's DenseNet files have `norm.1` for `norm1`."""

TRAINING_ONLY = re.compile(
    r"aux[12]|AuxLogits|aux_classifier"
    r"|(?:\w+_)?(?:loss|losses|criterion|criteria|metrics?|acc|accuracy)(?:_\w+)?"
)
"""Children that serve training alone: auxiliary classifiers, losses, metrics."""

AVERAGE = re.compile(r"(?:^|_)(?:ema|swa|averaged?|avg)(?:_|$)", re.IGNORECASE)
"""A wrapper's name that says: an average over the steps of the training."""


COUNTER = "num_batches_tracked"
"""A number that only training reads, and that files from before torch 0.4.1 do not have."""

MMENGINE = "meta.mmengine_version"
"""An entry of every checkpoint of mmengine."""


class StandIn(list[object]):
    """Stands for a Python object in a file, so that no code of that object runs.

    A list, because what is appended to an object has to go somewhere.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        """Take any arguments and forget them."""

    def __setstate__(self, state: object) -> None:
        """Forget what the object held."""


class DictStandIn:
    """The same for a class of dicts: torch's reader fills none but its own."""

    def __new__(cls, *args: object, **kwargs: object) -> "OrderedDict[object, object]":  # type: ignore[misc]  # not itself
        """A plain dict."""
        return OrderedDict()


@dataclass(frozen=True, slots=True)
class Held:
    """Contents of a file, its wrappers opened.

    Attributes:
        values: dotted name → tensor, number, text, `StandIn` …
        homes: the same names → the wrapper it is in, "" or with `.` at the end.
        versions: dotted name of a module → what torch notes of its version.
    """

    values: dict[str, object] = field(default_factory=dict)
    homes: dict[str, str] = field(default_factory=dict)
    versions: dict[str, object] = field(default_factory=dict)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Those of the values that are tensors."""
        return {name: value for name, value in self.values.items() if isinstance(value, Tensor)}

    @property
    def objects(self) -> list[str]:
        """Classes of the Python objects in it."""
        found = (type(one).__name__ for one in self.values.values() if isinstance(one, StandIn))
        return sorted(set(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A place in a file where names of the network stand.

    Attributes:
        spelled: how names are written before they are compared.
        prefix: the words before them in the file, "" or with `.` at the end.
        own: the words before them in the network that the file lacks.
        names: name in the network → name in the file.
    """

    spelled: Callable[[str], str] = str
    prefix: str = ""
    own: str = ""
    names: dict[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Name of the place in messages."""
        return shown(self.prefix.rstrip(".")) or "the top level"

    def in_network(self, there: str) -> str:
        """Return the network's name for a name behind the prefix, "" for any other name."""
        name = self.spelled(there)
        return self.own + name.removeprefix(self.prefix) if name.startswith(self.prefix) else ""


# --- opening -------------------------------------------------------------------------------------


def open_wrappers(held: object, path: Path) -> Held:
    """Open all wrappers of what a file holds, except the state of optimisers.

    Raises:
        InputError: two things in it have the same dotted name.
    """
    opened, seen = Held(), set()
    waiting: list[tuple[str, str, object]] = [("", "", held)]
    while waiting:
        home, name, value = waiting.pop()
        parts = parts_of(value)
        if parts is None:
            if name in opened.values:
                raise InputError(f"weights {path} hold two entries {shown(name)}; save one alone")
            opened.values[name], opened.homes[name] = value, home
        elif id(value) not in seen:  # a file may hold one thing twice, or within itself
            seen.add(id(value))
            start = f"{name}." if name else ""
            note_versions(opened, start, value)
            waiting += reversed([(start, f"{start}{key}", part) for key, part in parts])
    return opened


def parts_of(value: object) -> list[tuple[object, object]] | None:
    """Return the contents of a wrapper by key, None for other values."""
    if isinstance(value, list | tuple) and not isinstance(value, StandIn):
        return list(enumerate(value))
    if isinstance(value, Mapping):
        return [pair for pair in value.items() if not is_optimiser(*pair)]
    return None


def is_optimiser(key: object, part: object) -> bool:
    """Return whether a wrapper holds the state of an optimiser: tensors of the weights' shapes."""
    return "optim" in str(key).lower() and isinstance(part, Mapping | list | tuple)


def note_versions(opened: Held, start: str, value: object) -> None:
    """Keep what torch notes beside a state_dict: how its modules were named at the time."""
    noted = getattr(value, "_metadata", None)
    for module, version in noted.items() if isinstance(noted, Mapping) else ():
        opened.versions[f"{start}{module}".rstrip(".")] = version


# --- which part ----------------------------------------------------------------------------------


def find_part(own: State, held: Held, path: Path) -> tuple[Copy, list[Copy]]:
    """The copy of a network in a file, or what comes nearest to one, and other copies in it.

    Args:
        own: the network's state_dict.
        held: the opened file.
        path: of the file, for messages.

    Raises:
        InputError: the file holds several copies, and nothing says which is meant.
    """
    copies = [*copies_of(own, held, str), *copies_of(own, held, without_wrappers)]
    whole = distinct([copy for copy in copies if is_whole(copy, own, held)], held)
    if not whole:
        return max(copies, key=lambda copy: len(copy.names), default=Copy()), []
    chosen = choose(whole, held, path)
    return chosen, [copy for copy in whole if copy is not chosen]


def without_wrappers(name: str) -> str:
    """A name without the words of wrappers, and as DenseNet has it now."""
    return re.sub(OLD_DENSENET, r"\1\2", re.sub(WRAPPERS, r"\1", name))


def copies_of(own: State, held: Held, spelled: Callable[[str], str]) -> list[Copy]:
    """Every place that holds a name of the network, alone or with others."""
    here, there = ({spelled(name): name for name in names} for names in (own, held.values))
    if len(here) < len(own) or len(there) < len(held.values):
        return []  # two names would be one
    return [
        Copy(spelled=spelled, prefix=prefix, own=start, names=names)
        for start in common_starts(list(here))
        for prefix, names in places({n.removeprefix(start): here[n] for n in here}, there).items()
    ]


def places(wanted: Mapping[str, str], there: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Words in front → name in the network → name in the file."""
    found: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for name, full in there.items():
        for start in starts(name):
            if name.removeprefix(start) in wanted:
                found[start][wanted[name.removeprefix(start)]] = full
    return found


def starts(name: str) -> list[str]:
    """`a.b.c` → "", `a.`, `a.b.`."""
    return ["", *(name[: dot.end()] for dot in re.finditer(r"\.", name))]


def common_starts(names: list[str]) -> list[str]:
    """The words before all names, from none to all but one that stand before the last."""
    return [
        start
        for start in starts(min(names, default=""))
        if not start or all("." in n.removeprefix(start) and n.startswith(start) for n in names)
    ]


def is_whole(copy: Copy, own: State, held: Held) -> bool:
    """Return whether a place holds all of the network, in its shapes and types."""
    return all(
        name in copy.names and fits(own[name], held.values[copy.names[name]])
        for name in own
        if name in copy.names or not name.endswith(COUNTER)
    )


def fits(own: object, value: object) -> bool:
    """Return whether a value of a file can be that of the network."""
    if not isinstance(own, Tensor):
        return True
    return isinstance(value, Tensor) and same_shape(own, value) and same_type(own, value)


def same_shape(own: Tensor, value: Tensor) -> bool:
    """Return whether two tensors have one shape; that of a lazy module is open."""
    return is_lazy(own) or own.shape == value.shape


def same_type(own: Tensor, value: Tensor) -> bool:
    """Return whether numbers keep their meaning: integers without their scale are no weights."""
    if own.is_floating_point():
        return value.is_floating_point() or value.is_quantized
    return own.is_complex() or not value.is_complex()


def distinct(copies: list[Copy], held: Held) -> list[Copy]:
    """Those that differ from all before them in a number."""
    kept: list[Copy] = []
    for copy in copies:
        if not any(are_equal(copy, other, held) for other in kept):
            kept.append(copy)
    return kept


def are_equal(one: Copy, other: Copy, held: Held) -> bool:
    """Return whether two copies hold the same numbers."""
    pairs = ((one.names.get(name), other.names.get(name)) for name in {*one.names, *other.names})
    return all(
        a == b or (a and b and same_numbers(held.values[a], held.values[b])) for a, b in pairs
    )


def same_numbers(one: object, other: object) -> bool:
    """Return whether two plain tensors are equal; others are taken to differ."""
    if not (isinstance(one, Tensor) and isinstance(other, Tensor)):
        return False
    comparable = all(t.layout == torch.strided and not t.is_meta for t in (one, other))
    return comparable and one.dtype == other.dtype and torch.equal(one, other)


def choose(copies: list[Copy], held: Held, path: Path) -> Copy:
    """The copy that is meant.

    Raises:
        InputError: nothing says which.
    """
    if MMENGINE in held.values:  # it writes the average to `state_dict` and the rest to the other
        copies = [
            copy for copy in copies if not copy.prefix.startswith("ema_state_dict.")
        ] or copies
    averages = [copy for copy in copies if any(map(AVERAGE.search, copy.prefix.split(".")))]
    if len(averages) == 1 and len(copies) == 2:
        return averages[0]
    if len(copies) > 1:
        raise InputError(
            f"weights {path} hold {len(copies)} copies of the network that differ: "
            f"{', '.join(copy.label for copy in copies)}; save the one that is meant alone"
        )
    return copies[0]


def left_over(copy: Copy, others: list[Copy], own: State, held: Held) -> list[str]:
    """Tensors in the same wrapper that the network should have and has not, by the file's names."""
    used = {there for one in (copy, *others) for there in one.names.values()}
    homes = {held.homes[there] for there in copy.names.values()} or {*held.homes.values()}
    children = {name.split(".")[0] for name in map(copy.spelled, own)}
    return [
        there
        for there, tensor in held.tensors.items()
        if there not in used
        and held.homes[there] in homes
        and (name := copy.in_network(there))
        and not is_spare(name.removeprefix(copy.own), tensor, children)
    ]


def is_spare(name: str, tensor: Tensor, children: Container[str]) -> bool:
    """Return whether a network works without a tensor: a counter, or a part for training alone."""
    child = name.split(".")[0]
    counts = not tensor.dim() and not tensor.is_floating_point()
    return counts or (child not in children and bool(TRAINING_ONLY.fullmatch(child)))


def choice(copy: Copy, others: list[Copy], held: Held) -> str:
    """Return the choice in words; "" where the file holds nothing else."""
    refused = f", not {' or '.join(other.label for other in others)}" if others else ""
    more = any(one.dim() and not copy.in_network(name) for name, one in held.tensors.items())
    return f"its {copy.label}{refused}" if more or others else ""
