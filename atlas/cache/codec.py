"""Records as the bytes of HDF5 blocks and back; the only module that knows HDF5.

`build_block` makes the bytes, `open_block` opens a file of them; between the two stand functions
that turn each record into named arrays and named arrays into the record.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np
from numpy.typing import NDArray

from ..records import (
    CentralCrop,
    FeatureMaps,
    FoolingImage,
    LayerInfo,
    LayerStats,
    Lens,
    ModelInfo,
    Prediction,
    Readout,
    Rendering,
    Sample,
    SampleSet,
    Scores,
    SkippedFile,
    Start,
    Status,
    Unit,
)
from ..shapes import Size, pair

SCHEMA = 1
"""Version of every file in the cache. Newer ones are refused, older ones migrated."""

CHUNK_BYTES = 1 << 18
"""About how much of a dataset one checksum covers: a rendering of 224 pixels is a chunk."""

Array = NDArray[Any]

SHAPE = "input_shape"
"""Field of a ModelInfo that older caches lack."""


def build_block(attributes: Mapping[str, str | int], datasets: Mapping[str, Array]) -> bytes:
    """The bytes of an HDF5 file, made in memory; equal arguments give equal bytes.

    Built in memory because a full disk inside the HDF5 library ends the process (16 of 20 points
    of failure), while the same bytes written by `os.write` give an ordinary error.

    Args:
        attributes: of the root group.
        datasets: name → array of numbers, truth values or byte strings, written in this order.
    """
    memory = {"driver": "core", "backing_store": False, "libver": ("v110", "v110")}
    with h5py.File("block", "w", **memory) as file:
        file.attrs["schema"] = SCHEMA
        for name, value in attributes.items():
            file.attrs[name] = value
        for name, array in datasets.items():
            add_dataset(file, name, array)
        file.flush()
        return cast(bytes, file.id.get_file_image())


def add_dataset(file: Any, name: str, array: Array) -> None:
    """Write one array with checksums; an empty one has no chunks to check."""
    options: dict[str, Any] = {"data": array, "track_times": False}
    if array.size:
        rows = max(1, CHUNK_BYTES // (array[:1].nbytes or 1))
        options |= {"chunks": (min(rows, len(array)), *array.shape[1:]), "fletcher32": True}
    file.create_dataset(name, **options)


def encode_texts(texts: Sequence[str]) -> NDArray[np.bytes_]:
    """(N,) UTF-8 byte strings of one length, which unlike HDF5's variable ones are checksummed."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    longest = max([1, *map(len, encoded)])
    return np.array(encoded, dtype=h5py.string_dtype("utf-8", longest))


def decode_texts(column: Array) -> list[str]:
    """The texts of `encode_texts`."""
    return [value.decode("utf-8", "surrogatepass") for value in column.tolist()]


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
    return {"channels": readout.channels, "contributions": readout.contributions}


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


def open_block(path: Path) -> Any:
    """An HDF5 file opened for reading, without the locks that network file systems lack.

    Raises:
        OSError: it cannot be read, or is no HDF5 file.
    """
    return h5py.File(path, "r", locking=False)


# --- one file for other people --------------------------------------------------------------------

IMAGE = {
    "CLASS": "IMAGE",
    "IMAGE_VERSION": "1.2",
    "IMAGE_SUBCLASS": "IMAGE_TRUECOLOR",
    "INTERLACE_MODE": "INTERLACE_PIXEL",
    "IMAGE_COLORMODEL": "RGB",
    "DISPLAY_ORIGIN": "UL",
}
"""What marks a dataset as RGB pictures with the origin at the upper left.

Source: HDF5 Image and Palette Specification 1.2, section 1.2. It describes one picture, (H, W, 3);
ours are stacked, (U, H, W, 3), which its truecolor layout does not name: viewers that know the
attributes show one row, others a plain array.
"""

READ_BYTES = 1 << 22
"""About how much of a dataset is read at a time when a whole file is looked through."""


def new_file(stream: Any) -> Any:
    """An empty HDF5 file that is written into an open binary stream.

    Args:
        stream: whatever has `seek`, `readinto`, `write`, `truncate` and `flush`.
    """
    return h5py.File(stream, "w", libver=("v110", "v110"))


def add_group(file: Any, name: str, ordered: bool = False) -> Any:
    """Make a group without a date, so that equal content gives equal bytes.

    Args:
        file: an open file or group.
        name: of the group; the groups above it exist.
        ordered: whether its members are listed in the order they are made in, not by name.
    """
    properties = h5py.h5p.create(h5py.h5p.GROUP_CREATE)
    properties.set_obj_track_times(False)
    if ordered:
        order = h5py.h5p.CRT_ORDER_TRACKED | h5py.h5p.CRT_ORDER_INDEXED
        properties.set_link_creation_order(order)
    return h5py.Group(h5py.h5g.create(file.id, name.encode(), gcpl=properties))


def add_pictures(file: Any, name: str, count: int, size: Size) -> Any:
    """An empty dataset for `count` RGB pictures of a size, a checksummed chunk for each."""
    shape = (count, *pair(size), 3)
    options: dict[str, Any] = {"shape": shape, "dtype": np.uint8, "track_times": False}
    if count:
        options |= {"chunks": (1, *shape[1:]), "fletcher32": True}
    dataset = file.create_dataset(name, **options)
    for attribute, value in IMAGE.items():
        add_c_text(dataset, attribute, value)
    return dataset


def add_c_text(item: Any, name: str, value: str) -> None:
    """An attribute as the image specification wants it: ASCII of one length, ended by a NUL."""
    kind = h5py.h5t.C_S1.copy()
    kind.set_size(len(value) + 1)
    item.attrs.create(name, value.encode("ascii"), dtype=h5py.Datatype(kind))


def visible_text(text: str) -> str:
    """A text that is valid UTF-8 without NUL, which any reader takes; other parts as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")


def encode_visible(texts: Sequence[str]) -> NDArray[np.bytes_]:
    """The column of `encode_texts` for readers outside; there may be no texts at all."""
    if not texts:
        return np.zeros(0, dtype=h5py.string_dtype("utf-8", 1))
    return encode_texts([visible_text(text) for text in texts])


def start_digest(shape: Sequence[int], dtype: Any) -> "hashlib._Hash":
    """A SHA-256 that knows the shape and dtype of an array and waits for its bytes, row by row."""
    return hashlib.sha256(f"{tuple(shape)} {dtype.str} ".encode())


def digest_array(array: Array) -> str:
    """SHA-256 of an array's shape, dtype and bytes."""
    digest = start_digest(array.shape, array.dtype)
    digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def read_back(file: Any) -> dict[str, str]:
    """Read a whole file: each dataset's `digest_array`, and each attribute of a group as text.

    Returns:
        path of a dataset → 64 hexadecimal digits; `path@name` of an attribute → its value.

    Raises:
        OSError: a checksum does not fit.
    """
    found = {f"@{name}": str(value) for name, value in file.attrs.items()}
    datasets: list[str] = []

    def note(path: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            datasets.append(path)
        else:
            found.update({f"{path}@{name}": str(value) for name, value in item.attrs.items()})

    file.visititems(note)
    # opened one by one: each that is open keeps some 9 MB of its chunks
    return found | {path: digest_dataset(file[path]) for path in datasets}


def digest_dataset(dataset: Any) -> str:
    """SHA-256 of a dataset's shape, dtype and bytes, a few rows in memory at a time."""
    digest = start_digest(dataset.shape, dataset.dtype)
    if dataset.size:
        rows = max(1, READ_BYTES * len(dataset) // dataset.nbytes)
        for first in range(0, len(dataset), rows):
            digest.update(dataset[first : first + rows].tobytes())
    return digest.hexdigest()
