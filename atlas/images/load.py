"""The ordered set of sample images: find them, decode them safely, cut out what the network sees.

`find_images` lists and hashes the files, `load` decodes them in order. Files of unknown origin are
decoded by content and not by name, only after their header has been checked, and in processes of
their own, because a file can still hang or kill a decoder. A file that is no good is skipped with
its reason and everything else goes on.
"""

import contextlib
import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ..config import MAX_PIXELS
from ..records.samples import USUAL_CROP, CentralCrop, Sample, SkippedFile
from ..shapes import Picture, Size, pair
from .decode import decode
from .embedded import find_photographs, imagenette_folder
from .folder import nothing_usable
from .imageset import ImageItem, ImageSet, find_in_folder
from .sandbox import Decoder, Task, perform_all

TIME_LIMIT = 10.0
"""Seconds that one file may take; the largest allowed JPEG takes about one."""

FEW_FILES = 16
"""Up to this many files are worth one process only: a worker takes .3 s to start."""

WORKERS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """One decoded sample image.

    Attributes:
        sample: its record; indices are consecutive over the images that could be decoded.
        pixels: (H, W, C), the part as the network sees it.
        square: the same part as a JPEG file, for pages.
    """

    sample: Sample
    pixels: Picture
    square: bytes


def find_images(
    source: str,
    max_pixels: int = MAX_PIXELS,
    centre: CentralCrop = USUAL_CROP,
    follow_links: bool = False,
) -> ImageSet:
    """List the sample images of a source in an order that no file system decides.

    Args:
        source: "sample", "imagenette" or a folder, which is searched with its subfolders.
        max_pixels: larger pictures will be skipped.
        centre: which part of a picture the network sees, where the source does not say.
        follow_links: links out of the folder count.

    Raises:
        InputError: there is no such folder, no readable image in it, or no way to get the set.
    """
    if source == "sample":
        found = find_photographs()
    elif source == "imagenette":
        found = replace(find_in_folder(imagenette_folder()), title="Imagenette")
    else:
        found = find_in_folder(Path(source).expanduser(), follow_links)
    return replace(found, max_pixels=max_pixels, centre=centre)


def load(
    image_set: ImageSet,
    size: Size,
    square_size: Size,
    *,
    workers: int | Literal["auto"] = "auto",
    decoder: Decoder = decode,
    time_limit: float = TIME_LIMIT,
) -> Iterator[Loaded | SkippedFile]:
    """Decode a set in order, in worker processes ahead of the consumer.

    Closing the generator ends the processes.

    Args:
        image_set: from `find_images`.
        size: of the pixels for the network.
        square_size: largest size of the squares for pages.
        workers: processes; 0 decodes in this one.
        decoder: a function of a module; other than `decode` for tests only.
        time_limit: seconds that a worker may spend on one file.

    Raises:
        InputError: not one file could be decoded.
    """
    count = auto_workers(image_set) if workers == "auto" else workers
    groups = [list(group) for _, group in itertools.groupby(image_set.items, lambda i: i.path)]
    tasks = [make_task(image_set, group, size, square_size) for group in groups]
    skipped: list[SkippedFile] = []
    index = 0
    with contextlib.closing(perform_all(tasks, count, decoder, time_limit)) as results:
        for group, result in zip(groups, results, strict=True):
            if isinstance(result, str):
                skipped.append(SkippedFile(name=file_name(group[0]), reason=result))
                yield skipped[-1]
                continue
            for item, piece in zip(group, result, strict=True):
                sample = Sample(index=index, name=item.name, sha256=item.sha256, box=piece.box)
                yield Loaded(sample=sample, pixels=piece.pixels, square=piece.square)
                index += 1
    if not index:
        raise nothing_usable(image_set.title, skipped)


def auto_workers(image_set: ImageSet) -> int:
    """No process for the embedded photographs, one for a few files, else two.

    Files that somebody else made are never decoded in this process: one of them could end it.
    """
    if image_set.trusted:
        return 0
    files = len({item.path for item in image_set.items})
    return 1 if files <= FEW_FILES else min(WORKERS, os.cpu_count() or 1)


def make_task(
    image_set: ImageSet, group: Sequence[ImageItem], size: Size, square_size: Size
) -> Task:
    """Return the decoding task for one file and its crops in the set."""
    return Task(
        path=str(group[0].path),
        root=str(image_set.root),
        sha256=group[0].sha256,
        crops=tuple(item.crop for item in group),
        centre=image_set.centre,
        size=pair(size),
        square_size=pair(square_size),
        max_pixels=image_set.max_pixels,
        bands=image_set.bands,
    )


def file_name(item: ImageItem) -> str:
    """The name of an item without the crop."""
    return item.name if item.crop == "centre" else item.name.rpartition("#")[0]
