"""Records as named arrays, and named arrays as records: what `hdf5` writes and reads."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..records.lens import FeatureMaps, FoolingImage, Lens, Prediction
from ..records.network import LayerInfo, ModelInfo
from ..records.samples import CentralCrop, Sample, SampleSet, SkippedFile
from ..records.statistics import LayerStats, Readout
from ..records.units import Rendering, Scores, Start, Status, Unit
from .hdf5 import Array, decode_texts, encode_texts

SHAPE = "input_shape"
"""Field of a ModelInfo that older caches lack."""


def pad(arrays: Sequence[Array], dtype: type) -> tuple[Array, NDArray[np.int32]]:
    """Stack arrays of one rank but perhaps several shapes, zeros behind the shorter ones.

    Returns:
        (U, …) the stack, and (U, rank) the shape of each.
    """
    shapes = np.array([array.shape for array in arrays], np.int32)
    stack = np.zeros((len(arrays), *shapes.max(0)), dtype)
    for row, array in zip(stack, arrays, strict=True):
        row[tuple(map(slice, array.shape))] = array
    return stack, shapes


def unpad(row: Array, shape: Array) -> Array:
    """One array out of the stack of `pad`."""
    return np.ascontiguousarray(row[tuple(map(slice, shape))])


RAGGED: dict[str, type] = {
    "image": np.float16,
    "snapshots": np.float16,
    "objective": np.float32,
    "octave_steps": np.int64,
}
"""Fields of a Rendering that are arrays; a second dataset `<name>_shape` holds their shapes."""

PIXELS = ("image", "snapshots")
TEXTS = ("recipe", "status", "reason", "start", "precision")
INTEGERS = ("seed", "attempts")
SCORES: dict[str, type] = {
    **{"activation": float, "reach": float, "select": int, "robust": float, "hf": float},
    **{"ranks": int, "confidence": float},
}


def renderings_to_datasets(renderings: Sequence[Rendering]) -> dict[str, Array]:
    """The columns of a rendering block, one row per unit; `seconds` is left to the sidecar."""
    columns: dict[str, Array] = {"channel": np.array([r.unit.channel for r in renderings], "i4")}
    for name in TEXTS:
        columns[name] = encode_texts([getattr(r, name) for r in renderings])
    for name in INTEGERS:
        columns[name] = np.array([getattr(r, name) for r in renderings], np.int64)
    for name, type_ in SCORES.items():
        columns[name] = np.array([getattr(r.scores, name) for r in renderings], type_)
    for name, dtype in RAGGED.items():
        arrays: list[Array] = [np.asarray(getattr(r, name), dtype) for r in renderings]
        columns[name], columns[f"{name}_shape"] = pad(arrays, dtype)
    return columns


def read_columns(file: Any) -> dict[str, Array]:
    """Everything of a rendering block but its pixels."""
    return {name: file[name][...] for name in file if name not in PIXELS}


def rendering_from_columns(
    layer: str, columns: Mapping[str, Array], row: int, seconds: float
) -> Rendering:
    """One row of a block, with (3, 0, 0) image and (0, 3, 0, 0) snapshots."""
    texts = {name: decode_texts(columns[name][row : row + 1])[0] for name in TEXTS}
    arrays = {
        name: unpad(columns[name][row], columns[f"{name}_shape"][row])
        for name in RAGGED
        if name not in PIXELS
    }
    numbers: dict[str, Any] = {name: columns[name][row].tolist() for name in (*INTEGERS, *SCORES)}
    numbers["ranks"] = tuple(numbers["ranks"])
    return Rendering(
        unit=Unit(layer=layer, channel=int(columns["channel"][row])),
        recipe=texts["recipe"],
        image=np.zeros((3, 0, 0), np.float16),
        snapshots=np.zeros((0, 3, 0, 0), np.float16),
        status=cast(Status, texts["status"]),
        reason=texts["reason"],
        scores=Scores(**{name: numbers[name] for name in SCORES}),
        objective=arrays["objective"],
        octave_steps=tuple(arrays["octave_steps"].tolist()),
        seed=numbers["seed"],
        start=cast(Start, texts["start"]),
        attempts=numbers["attempts"],
        seconds=seconds,
        precision=texts["precision"],
    )


def stats_to_datasets(stats: LayerStats) -> dict[str, Array]:
    """The arrays of a LayerStats under their own names."""
    names = [field.name for field in fields(stats) if field.name != "layer"]
    return {name: np.asarray(getattr(stats, name)) for name in names}


def stats_from_datasets(layer: str, arrays: Mapping[str, Array]) -> LayerStats:
    """The statistics of a layer; earlier versions kept all peaks, and not where they are."""
    images, channels = arrays["peaks"].shape
    unknown = {"places": np.zeros((0, channels), np.uint8), "rows": np.arange(images, dtype="i4")}
    return LayerStats(layer=layer, **{**unknown, **arrays})


def model_to_json(model: ModelInfo) -> dict[str, Any]:
    """A ModelInfo as JSON takes it; a square input is not named, as in older caches."""
    value = asdict(model)
    return value if model.input_shape else {name: value[name] for name in value if name != SHAPE}


def model_from_json(value: dict[str, Any]) -> ModelInfo:
    """The ModelInfo that `model_to_json` and JSON made lists of."""
    names = ("mean", "std", "class_names", SHAPE)
    return ModelInfo(**{**value, **{name: tuple(value.get(name, ())) for name in names}})


def layer_from_json(value: dict[str, Any]) -> LayerInfo:
    """The LayerInfo that `asdict` and JSON made lists of."""
    lists = {name: tuple(value.get(name, ())) for name in ("groups", "places")}
    return LayerInfo(**{**value, **lists})


def samples_from_json(value: dict[str, Any]) -> SampleSet:
    """The SampleSet that `asdict` and JSON made lists of."""
    samples = tuple(Sample(**{**row, "box": tuple(row["box"])}) for row in value["samples"])
    skipped = tuple(SkippedFile(**row) for row in value["skipped"])
    credits = tuple(value.get("credits", ()))
    crop = CentralCrop(**value["crop"]) if value.get("crop") else None
    tuples = {"samples": samples, "skipped": skipped, "credits": credits}
    return SampleSet(**{**value, **tuples, "crop": crop})


def readout_to_datasets(readout: Readout) -> dict[str, Array]:
    """The arrays of a Readout under their own names."""
    names = ("channels", "contributions", "images")
    return {name: getattr(readout, name) for name in names}


def lenses_to_datasets(lenses: Sequence[Lens]) -> dict[str, Array]:
    """The lenses of some images: a group for each, named after its image."""
    datasets: dict[str, Array] = {"image": np.array([lens.image for lens in lenses], np.int32)}
    for lens in lenses:
        start = f"{lens.image}/"
        datasets |= predictions_to_datasets(start, lens.predictions)
        datasets[f"{start}saliency"] = lens.saliency
        datasets[f"{start}smoothgrad"] = lens.smoothgrad
        if lens.fooling is not None:
            datasets |= fooling_to_datasets(f"{start}fooling/", lens.fooling)
        datasets[f"{start}layers"] = encode_texts([maps.layer for maps in lens.maps])
        for place, maps in enumerate(lens.maps):
            for name in MAPS:
                datasets[f"{start}maps/{place}/{name}"] = getattr(maps, name)
    return datasets


MAPS = ("channels", "means", "peaks", "maps")
FOOLING: dict[str, type] = {"target": int, "fooled": bool, "steps": int, "l2": float, "linf": float}


def predictions_to_datasets(start: str, predictions: Sequence[Prediction]) -> dict[str, Array]:
    """Two columns: index and probability."""
    return {
        f"{start}index": np.array([one.index for one in predictions], np.int32),
        f"{start}probability": np.array([one.probability for one in predictions], np.float64),
    }


def fooling_to_datasets(start: str, fooling: FoolingImage) -> dict[str, Array]:
    """A fooling image, its numbers as arrays of one value."""
    numbers: dict[str, Array] = {
        f"{start}{name}": np.array([getattr(fooling, name)], type_)
        for name, type_ in FOOLING.items()
    }
    predictions = predictions_to_datasets(start, fooling.predictions)
    images = {f"{start}image": fooling.image, f"{start}original": fooling.original}
    return {**images, **numbers, **predictions}


def lens_from_file(file: Any, image: int) -> Lens:
    """One image of a block of lenses."""
    group = file[str(image)]
    layers = decode_texts(group["layers"][...]) if len(group["layers"]) else []
    return Lens(
        image=image,
        predictions=read_predictions(group),
        saliency=group["saliency"][...],
        smoothgrad=group["smoothgrad"][...],
        fooling=read_fooling(group["fooling"]) if "fooling" in group else None,
        maps=tuple(
            FeatureMaps(layer=layer, **{name: group[f"maps/{place}/{name}"][...] for name in MAPS})
            for place, layer in enumerate(layers)
        ),
    )


def read_predictions(group: Any) -> tuple[Prediction, ...]:
    """The predictions of `predictions_to_datasets`."""
    columns = (group["index"][...].tolist(), group["probability"][...].tolist())
    return tuple(
        Prediction(index=index, probability=probability)
        for index, probability in zip(*columns, strict=True)
    )


def read_fooling(group: Any) -> FoolingImage:
    """The fooling image of `fooling_to_datasets`."""
    numbers: dict[str, Any] = {name: type_(group[name][0]) for name, type_ in FOOLING.items()}
    original = {"original": group["original"][...]} if "original" in group else {}
    return FoolingImage(
        image=group["image"][...], predictions=read_predictions(group), **original, **numbers
    )


# --- one file for other people --------------------------------------------------------------------
