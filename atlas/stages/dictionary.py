"""The stage activations → dictionaries: directions of a layer become a layer of their own.

`add_dictionaries` is the way in: what --dictionary asks for is found, or read from its file, and
from then on part of the run's table and model. What the cache holds is never found again; so shards
that share a cache share its dictionaries, and others find the same.
"""

import functools
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..dictionaries.files import read_code
from ..dictionaries.find import find_code, require_learn
from ..dictionaries.measure import Measured, measure_code
from ..dictionaries.sampling import Sampled, Split, sample_layers, split_images
from ..errors import InputError, UsageError
from ..files.digests import fingerprint, sha256_file
from ..files.names import shown
from ..images.load import Loaded, load
from ..models.directions import find_parent
from ..models.load import Model, with_dictionaries
from ..network import tuning
from ..network.network import Network
from ..records.dictionary import Code, Dictionary
from ..records.network import LayerInfo
from ..records.wanted import Wanted, parse_wanted
from .run import Work

DICTIONARY_VERSION = 1
"""Raised whenever the same images and weights would give other directions."""

LEAST_IMAGES = 20
"""Distinct images below which directions are those of single pictures."""

LEAST_POSITIONS = 4
"""Positions for each direction."""

SMALLER = (4, 2)
"""What K is divided by for the curve of what is left out."""

SEED = 0
"""Of methods and samples. Not --seed: another start of the pictures is no other dictionary."""


def add_dictionaries(work: Work) -> Work:
    """The run with the dictionaries that it asks for.

    Raises:
        UsageError: no such layer, or more directions than the activations allow.
        InputError: a file that cannot be used, too few images, a method for layers of another
            sign, or scikit-learn is missing.
    """
    wanted = wanted_dictionaries(work)
    if not wanted:
        return work
    marks = {one.name: dictionary_mark(one) for one in wanted}
    todo = [one for one in wanted if work.store.dictionary(one.name, marks[one.name]) is None]
    if todo:
        for made in find_dictionaries(work, todo):
            keep_dictionary(work, made, marks[made.name])
    found = tuple(work.store.dictionaries(marks))
    for one in found:
        forget_foreign(work, one.name)
    return with_found(work, found)


def expect_dictionaries(work: Work) -> Work:
    """The run with dictionaries of the right size, where the cache does not hold them: to plan."""
    found = []
    for one in wanted_dictionaries(work):
        known = work.store.dictionary(one.name, dictionary_mark(one))
        found.append(known or made_up(one, find_parent(work.store.read_network()[1], one.parent)))
    return with_found(work, tuple(found))


def with_found(work: Work, found: tuple[Dictionary, ...]) -> Work:
    """The run with dictionaries as layers of its table and its model."""
    if not found:
        return work

    @functools.cache
    def model() -> Model:
        return with_dictionaries(work.model(), found)

    return replace(work, dictionaries=found, model=model)


def wanted_dictionaries(work: Work) -> list[Wanted]:
    """What --dictionary asks for, all of it of layers that there are.

    Raises:
        UsageError: no such layer.
    """
    wanted = [parse_wanted("--dictionary", text) for text in work.config.dictionary]
    table = work.store.read_network()[1]
    for one in wanted:
        parent = find_parent(table, one.parent)
        if one.method in ("nmf", "pca") and one.directions > parent.channels:
            raise UsageError(
                f"--dictionary: {one.method} finds at most {parent.channels} directions in "
                f"{parent.name}, as many as it has channels, got {one.directions}; semi-nmf and "
                "kmeans find more"
            )
    return wanted


def dictionary_mark(wanted: Wanted) -> str:
    """Identifies what decides a dictionary beside the key.

    Raises:
        InputError: its file cannot be read.
    """
    path = Path(wanted.file)
    if wanted.file and not path.is_file():
        raise InputError(f"dictionary {shown(path)} is no file; check --dictionary")
    held = sha256_file(path) if wanted.file else ""
    parts = [wanted.parent, wanted.method, wanted.directions, held]
    return fingerprint(["dictionary", DICTIONARY_VERSION, *parts])


def keep_dictionary(work: Work, found: Dictionary, mark: str) -> None:
    """Keep a dictionary; whatever belongs to another one of its name goes."""
    if work.store.dictionary(found.name):
        work.progress.say(f"{found.name} is another dictionary now: ranked and rendered anew")
        work.store.forget_layer(found.name)
    work.store.write_dictionary(found, mark)


def forget_foreign(work: Work, name: str) -> None:
    """Forget what was made with a dictionary that was lost, and is not found again as it was."""
    if not work.store.fits_dictionary(name):
        mark, found = work.store.dictionary_block(name), work.store.dictionary(name)
        assert mark is not None
        assert found is not None
        work.store.forget_layer(name)
        work.store.write_dictionary(found, mark.fingerprint)


# --- finding them ---------------------------------------------------------------------------------


def find_dictionaries(work: Work, wanted: Sequence[Wanted]) -> list[Dictionary]:
    """Find or read dictionaries: one pass over some of the images for all of them."""
    table = work.store.read_network()[1]
    parents = {one.parent: find_parent(table, one.parent) for one in wanted}
    codes = {
        one.name: read_code(Path(one.file), one.parent, parents[one.parent].channels)
        for one in wanted
        if one.file
    }
    split = split_images(work.images)
    if len(codes) < len(wanted):
        require_learn()
        require_images(split)
    began = time.perf_counter()
    samples = sample_activations(work, list(parents.values()), split)
    spent = time.perf_counter() - began
    names = ", ".join(parents)
    work.progress.say(f"activations of {names} on {len(split.items)} images in {spent:.1f} s")
    return [find_one(work, one, samples[one.parent], codes.get(one.name)) for one in wanted]


def require_images(split: Split) -> None:
    """Refuse to find directions in too few images.

    Raises:
        InputError: there are too few.
    """
    if len(split.items) < LEAST_IMAGES:
        raise InputError(
            f"--dictionary finds directions in at least {LEAST_IMAGES} distinct images, there are "
            f"{len(split.items)}; give more --images, some hundreds are good, or a dictionary in a "
            "file"
        )


def sample_activations(
    work: Work, layers: Sequence[LayerInfo], split: Split
) -> Mapping[str, Sampled]:
    """What layers answer at some positions of the images."""
    device = tuning.choose_device(work.config.device)
    network = Network(work.model(), [layer.name for layer in layers], device)
    size = network.info.shape
    chosen = replace(work.images, items=split.items)
    pictures = load(chosen, size, size)
    stream = (
        one.pixels if isinstance(one, Loaded) else None
        for one in work.progress.images(pictures, len(split.items), "activations")
    )
    return sample_layers(network, layers, stream, split)


def find_one(work: Work, wanted: Wanted, sampled: Sampled, code: Code | None) -> Dictionary:
    """Find one dictionary in activations, or measure the one that is there, and say how it went.

    Raises:
        UsageError: more directions than the activations allow.
        InputError: a method for layers of another sign.
    """
    began = time.perf_counter()
    sizes = [wanted.directions]
    if code is None:
        require_positions(wanted, sampled.fit)
        require_sign(wanted, sampled.fit)
        sizes = sorted({max(wanted.directions // part, 1) for part in SMALLER} | {*sizes})
        codes = [find_code(wanted.method, sampled.fit, size, SEED) for size in sizes]
        code = codes[-1]
    else:
        sizes, codes = [code.directions], [code]
    measured = [measure_code(one, sampled.judge, SEED) for one in codes]
    found = put_together(wanted, code, sampled, sizes, measured)
    spent = time.perf_counter() - began
    work.progress.say(
        f"{found.name}: {code.directions} directions explain {found.explained:.0%} of the variance "
        f"of {found.parent} on images that had no part in them ({spent:.1f} s)"
    )
    return found


def put_together(
    wanted: Wanted,
    code: Code,
    sampled: Sampled,
    sizes: Sequence[int],
    measured: Sequence[Measured],
) -> Dictionary:
    """A dictionary and what was measured of it."""
    last = measured[-1]
    return Dictionary(
        name=wanted.name,
        parent=wanted.parent,
        method=wanted.method,
        code=code,
        fitted=0 if wanted.file else sampled.fitted,
        judged=sampled.judged,
        positions=len(sampled.judge),
        explained=last.explained,
        shuffled=last.shuffled,
        shares=last.shares,
        active=last.active,
        sizes=np.array(sizes, np.int32),
        errors=np.array([1 - one.explained for one in measured], np.float32),
    )


def require_positions(wanted: Wanted, activations: NDArray[np.float32]) -> None:
    """Refuse to find more directions than positions can tell apart.

    Raises:
        UsageError: there are too many.
    """
    most = len(activations) // LEAST_POSITIONS
    if wanted.directions > most:
        raise UsageError(
            f"--dictionary: {wanted.directions} directions of {wanted.parent} are more than these "
            f"images allow, {most}: {len(activations)} positions, {LEAST_POSITIONS} for each; ask "
            "for fewer or give more --images"
        )


def require_sign(wanted: Wanted, activations: NDArray[np.float32]) -> None:
    """Refuse NMF where activations are negative, and any method where they are not finite.

    Raises:
        InputError: they are.
    """
    if not np.isfinite(activations).all():
        raise InputError(f"--dictionary: {wanted.parent} gives values that are not finite")
    lowest = float(activations.min())
    if wanted.method == "nmf" and lowest < 0:
        raise InputError(
            f"--dictionary: nmf is for layers without negative activations, {wanted.parent} has "
            f"some (the lowest is {lowest:.3g}); use semi-nmf:{wanted.directions}, pca or kmeans, "
            "or a layer behind a ReLU"
        )


def made_up(wanted: Wanted, parent: LayerInfo) -> Dictionary:
    """A dictionary of the right size that says nothing, to time what one costs.

    Raises:
        InputError: its file cannot be used.
    """
    if wanted.file:
        code = read_code(Path(wanted.file), wanted.parent, parent.channels)
    else:
        drawn = np.random.default_rng(SEED).normal(size=(wanted.directions, parent.channels))
        rows, zeros = drawn.astype(np.float32), np.zeros(wanted.directions, np.float32)
        nowhere = np.zeros(parent.channels, np.float32)
        code = Code(encoder=rows, decoder=rows, bias=zeros, threshold=zeros, offset=nowhere)
    nothing = Measured(
        explained=0.0,
        shuffled=0.0,
        shares=np.zeros(code.directions, np.float32),
        active=np.zeros(code.directions, np.float32),
    )
    empty = np.zeros((0, parent.channels), np.float32)
    sampled = Sampled(fit=empty, judge=empty, fitted=0, judged=0)
    return put_together(wanted, code, sampled, [code.directions], [nothing])
