"""Reference statistics: mean activations over a larger image set than the one that is shown.

A reference file holds the matrices of mean activations, deviations and peaks (images × channels of
each layer), what an observer makes of the images, and where it comes from, but no picture. REACH,
SELECT, HF, IDENT and the natural company of a unit are then measured against it, while ranking and
patches stay with the sample images of the atlas.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, one_line
from ..files.digests import canonical_json, sha256_file
from ..files.files import atomic_write
from ..records.evidence import Observation
from ..records.network import CLASSES, ModelInfo
from ..records.samples import SampleSet
from ..records.statistics import EXAMPLES, NEIGHBOURS, LayerStats
from ..shapes import Size, typed
from .codec import samples_from_json, stats_from_datasets, stats_to_datasets
from .hdf5 import SCHEMA, build_block, open_block

KIND = "reference"
REFERENCE_SCHEMA = 2
"""Version of these files; the first knew means only."""

MATRICES = ("activations", "deviations", "peaks")
KEPT = ("scale", "mean", "std", "max", "p99", "active", "finite")
"""Fields of LayerStats that say how active a channel is, not where; the others are left out."""

FEATURES = "features of the observer"
"""Name of a dataset that no layer has."""

LEVELS = 1023
"""Steps of a matrix, for each channel from its least to its largest value: correlations between
channels change by less than .001; 255 steps change them by up to .0023 (500 photographs)."""

PACKAGED = Path(__file__).parents[1] / "data"
"""References that come with the package, `<model>.reference.h5`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Natural statistics from elsewhere.

    Attributes:
        path: of the file.
        sha256: of its bytes.
        weights_sha256, input_size, outputs: of the network that was measured; the size is a pair
            where it is no square.
        samples: the images behind it; their names and digests are its provenance.
        stats: layer → statistics, without dataset examples and neighbours.
        observed: what an observer makes of the images; None where none was there.
    """

    path: Path
    sha256: str
    weights_sha256: str
    input_size: Size
    outputs: str
    samples: SampleSet
    stats: Mapping[str, LayerStats]
    observed: Observation | None


def write_reference(
    path: Path,
    model: ModelInfo,
    samples: SampleSet,
    stats: Sequence[LayerStats],
    observed: Observation | None,
) -> None:
    """Write a reference file, whole or not at all.

    Raises:
        CacheError: it cannot be written.
    """
    datasets: dict[str, NDArray[Any]] = {}
    for one in stats:
        arrays = stats_to_datasets(one)
        datasets |= {f"{one.layer}/{name}": arrays[name] for name in KEPT}
        if len(one.rows) < len(one.activations):
            datasets[f"{one.layer}/rows"] = one.rows
        for name in MATRICES:
            datasets |= in_steps(f"{one.layer}/{name}", arrays[name])
    attributes: dict[str, str | int] = {
        "kind": KIND,
        "reference_schema": REFERENCE_SCHEMA,
        "weights_sha256": model.weights_sha256,
        "input_size": model.input_size,
        "outputs": model.outputs,
        "layers": canonical_json([one.layer for one in stats]),
        "samples": canonical_json(asdict(samples)),
    }
    if model.input_shape:
        attributes["input_shape"] = typed(model.input_shape)
    if observed is not None:
        datasets[FEATURES] = observed.features.astype(np.float16)
        attributes["observer"] = observed.observer
        attributes["observer_sha256"] = observed.weights_sha256
        attributes["observer_widths"] = canonical_json(list(observed.widths))
    packed = [name for name in datasets if name.endswith("/steps")]
    atomic_write(path, build_block(attributes, datasets, packed))


def read_reference(path: Path) -> Reference:
    """Read a reference file.

    Raises:
        InputError: there is none, it is damaged, or a newer version wrote it.
    """
    try:
        with open_block(path) as file:
            if file.attrs.get("kind") != KIND:
                raise InputError(f"{path} is no reference; make one with `rank --save-reference`")
            if file.attrs["schema"] > SCHEMA:
                raise InputError(
                    f"{path} has schema {file.attrs['schema']}, this version reads up to {SCHEMA}"
                )
            schema = int(file.attrs.get("reference_schema", 1))
            if schema != REFERENCE_SCHEMA:
                raise InputError(
                    f"{path} is a reference of schema {schema}, this version reads "
                    f"{REFERENCE_SCHEMA}; make it anew with `rank --save-reference`"
                )
            stats = {}
            for layer in json.loads(file.attrs["layers"]):
                known = [name for name in (*KEPT, "rows") if name in file[layer]]
                arrays = {name: file[layer][name][...] for name in known}
                matrices = {name: from_steps(file[layer][name]) for name in MATRICES}
                stats[layer] = without_places(layer, arrays | matrices)
            return Reference(
                path=path,
                sha256=sha256_file(path),
                weights_sha256=str(file.attrs["weights_sha256"]),
                input_size=measured_size(file.attrs),
                outputs=str(file.attrs.get("outputs", "logits")),
                samples=samples_from_json(json.loads(file.attrs["samples"])),
                stats=stats,
                observed=read_observed(file),
            )
    except FileNotFoundError:
        raise InputError(f"there is no reference file {path}") from None
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise InputError(f"{path} cannot be read as a reference: {one_line(error)}") from error


def in_steps(name: str, matrix: NDArray[np.float16]) -> dict[str, NDArray[Any]]:
    """A matrix (N, C) in 10 bits: the steps, and beside them where each channel begins and ends."""
    wide = matrix.astype(np.float32)
    low, high = wide.min(0), wide.max(0)
    span = np.where(high > low, high - low, 1)
    steps = np.round((wide - low) / span * LEVELS).astype(np.uint16)
    return {f"{name}/steps": steps, f"{name}/low": low, f"{name}/high": high}


def from_steps(group: Any) -> NDArray[np.float16]:
    """The matrix of `in_steps`, as near as its steps are fine."""
    low, high = group["low"][...], group["high"][...]
    matrix: NDArray[np.float16] = (low + group["steps"][...] * ((high - low) / LEVELS)).astype("f2")
    return matrix


def read_observed(file: Any) -> Observation | None:
    """Read the observer's results on the images behind a reference."""
    if FEATURES not in file:
        return None
    return Observation(
        observer=str(file.attrs["observer"]),
        weights_sha256=str(file.attrs["observer_sha256"]),
        widths=tuple(json.loads(file.attrs["observer_widths"])),
        features=file[FEATURES][...].astype(np.float32),
    )


def measured_size(attributes: Mapping[str, Any]) -> Size:
    """Size of the input of the network that was measured."""
    if "input_shape" in attributes:
        height, width = map(int, str(attributes["input_shape"]).split("x"))
        return height, width
    return int(attributes["input_size"])


def without_places(layer: str, arrays: Mapping[str, NDArray[Any]]) -> LayerStats:
    """The statistics of a layer with no dataset examples and no neighbours."""
    channels = len(arrays["mean"])
    nowhere: dict[str, NDArray[Any]] = {
        "example_image": np.full((channels, EXAMPLES), -1, np.int32),
        "example_activation": np.zeros((channels, EXAMPLES), np.float32),
        "example_box": np.zeros((channels, EXAMPLES, 4), np.int32),
        "neighbours": np.full((channels, NEIGHBOURS), -1, np.int32),
        "correlation": np.zeros((channels, NEIGHBOURS), np.float32),
    }
    return stats_from_datasets(layer, {**nowhere, **arrays})


def packaged_reference(model: str) -> Path | None:
    """The reference that comes with the package for a model, if there is one."""
    path = PACKAGED / f"{model}.reference.h5"
    return path if path.exists() else None


def check_reference(reference: Reference, model: ModelInfo) -> None:
    """Raise an InputError unless the reference was measured on this network."""
    got = (reference.weights_sha256[:12], typed(reference.input_size))
    expected = (model.weights_sha256[:12], typed(model.size))
    if got != expected:
        raise InputError(
            f"{reference.path} was measured on weights {got[0]} at {got[1]} px, this network has "
            f"{expected[0]} at {expected[1]} px; make one with `rank --save-reference`"
        )
    classes = CLASSES in reference.stats and model.outputs not in ("embedding", "none")
    if classes and reference.outputs != model.outputs:
        raise InputError(
            f"{reference.path} has class scores of {reference.outputs}, this network has "
            f"{model.outputs}; make one with `rank --save-reference`"
        )
