"""Circuits as named arrays and back: what `hdf5` writes and reads."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..records.circuits import KINDS, Circuit, Kind, Link
from .codec import pad, unpad
from .hdf5 import Array, decode_texts, encode_texts

NUMBERS = ("effect", "change", "product")
"""Fields of a Link that are numbers."""


def circuits_to_datasets(found: Sequence[Circuit]) -> dict[str, Array]:
    """The columns of a block: one row per unit, and below `links/` one row per link."""
    images, counts = pad([np.array(one.images, np.int32) for one in found], np.int32)
    columns: dict[str, Array] = {
        "channel": np.array([one.channel for one in found], np.int32),
        "activation": np.array([one.activation for one in found], np.float64),
        "error": np.array([one.error for one in found], np.float64),
        "images": images,
        "images_shape": counts,
    }
    for kind in KINDS:
        columns[f"reasons/{kind}"] = encode_texts([one.reasons.get(kind, "") for one in found])
    links = [
        (row, KINDS.index(kind), link)
        for row, one in enumerate(found)
        for kind in KINDS
        for link in one.of(kind)
    ]
    return columns | (links_to_datasets(links) if links else {})


def links_to_datasets(rows: Sequence[tuple[int, int, Link]]) -> dict[str, Array]:
    """The columns of links, each with the row of its unit and the number of its kind."""
    links = [link for *_, link in rows]
    kernels, shapes = pad([link.kernel for link in links], np.float32)
    columns: dict[str, Array] = {
        "unit": np.array([row for row, *_ in rows], np.int32),
        "kind": np.array([kind for _, kind, _ in rows], np.int32),
        "layer": encode_texts([link.layer for link in links]),
        "channel": np.array([link.channel for link in links], np.int32),
        "kernel": kernels,
        "kernel_shape": shapes,
    }
    columns |= {name: np.array([getattr(one, name) for one in links]) for name in NUMBERS}
    return {f"links/{name}": column for name, column in columns.items()}


def read_circuits(file: Any) -> list[Circuit]:
    """All circuits of a block."""
    channels = file["channel"][...].tolist()
    links: list[dict[Kind, list[Link]]] = [{kind: [] for kind in KINDS} for _ in channels]
    for unit, kind, link in read_links(file["links"]) if "links" in file else ():
        links[unit][KINDS[kind]].append(link)
    reasons = {kind: decode_texts(file[f"reasons/{kind}"][...]) for kind in KINDS}
    images, counts = file["images"][...], file["images_shape"][...]
    columns = {name: file[name][...].tolist() for name in ("activation", "error")}
    return [
        Circuit(
            channel=channel,
            images=tuple(unpad(images[row], counts[row]).tolist()),
            links={kind: tuple(some) for kind, some in links[row].items()},
            reasons={kind: texts[row] for kind, texts in reasons.items() if texts[row]},
            **{name: column[row] for name, column in columns.items()},
        )
        for row, channel in enumerate(channels)
    ]


def read_links(file: Any) -> list[tuple[int, int, Link]]:
    """The rows of `links_to_datasets`."""
    columns = {name: file[name][...] for name in file}
    layers, numbers = decode_texts(columns["layer"]), ("channel", *NUMBERS)
    return [
        (
            int(unit),
            int(kind),
            Link(
                layer=layers[row],
                kernel=unpad(columns["kernel"][row], columns["kernel_shape"][row]),
                **{name: columns[name][row].item() for name in numbers},
            ),
        )
        for row, (unit, kind) in enumerate(zip(columns["unit"], columns["kind"], strict=True))
    ]
