"""The ordered set of sample images before anything is decoded: names, digests, crops."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from ..config import MAX_PIXELS
from ..errors import InputError
from ..files.digests import fingerprint
from ..files.names import shown
from ..records.samples import USUAL_CROP, CentralCrop, SkippedFile
from .bands import COLOUR, Bands
from .folder import check_folder, list_images, nothing_usable, read_file, shown_name
from .squares import Crop


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageItem:
    """One sample image to be: a file and the square to cut out of it.

    Attributes:
        name: relative path, with `#y,x,side` for one of several crops; bytes that are no UTF-8 are
            shown as `\\xff`.
        path: the file.
        sha256: of the bytes of the file.
        crop: the square.
    """

    name: str
    path: Path
    sha256: str
    crop: Crop


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSet:
    """The sample images in order, before they are decoded.

    Attributes:
        title: what pages call the set.
        items: one per sample image, crops of one file side by side.
        skipped: files that were left out already.
        sha256: identifies names, bytes, crops, the limit and --white of the whole set; not what
            the centre is, which the network decides, so that two networks are compared over one
            set.
        root: the folder that no file may be outside of, by links.
        credits: one line of origin and licence for each photograph, where known.
        trusted: whether the files came with this package's own dependencies.
        max_pixels: larger pictures are skipped.
        centre: what the crop "centre" means.
        bands: how files are read whose channels are no colours.
    """

    title: str
    items: tuple[ImageItem, ...]
    skipped: tuple[SkippedFile, ...]
    root: Path
    credits: tuple[str, ...] = ()
    trusted: bool = False
    max_pixels: int = MAX_PIXELS
    centre: CentralCrop = USUAL_CROP
    bands: Bands = COLOUR
    sha256: str = field(init=False)

    def __post_init__(self) -> None:
        identity: list[object] = [[item.name, item.sha256, item.crop] for item in self.items]
        if self.max_pixels != MAX_PIXELS:
            identity.append(self.max_pixels)
        if self.bands.white:
            identity.append({"white": self.bands.white})
        object.__setattr__(self, "sha256", fingerprint(identity))

    @property
    def crop(self) -> CentralCrop | None:
        """The rule by which squares are cut; None where each was chosen."""
        return self.centre if any(item.crop == "centre" for item in self.items) else None


NUMBERS = (".npy", ".tif", ".tiff")


def find_in_folder(root: Path, follow_links: bool = False) -> ImageSet:
    """List the images of a folder and its subfolders, sorted by the bytes of their paths.

    Links to files inside the folder count as files; everything that is not a plain readable file
    (links that leave the folder or go round, FIFOs, sockets) is skipped with the reason.

    Args:
        root: the folder.
        follow_links: links that leave the folder count too, also links to other folders.

    Raises:
        InputError: no such folder, or no readable image in it.
    """
    check_folder(root)
    items: list[ImageItem] = []
    skipped: list[SkippedFile] = []
    home = Path("/") if follow_links else root
    paths, others = list_images(root, skipped, follow_links)
    arrays = [path for path in paths if path.suffix.lower() == ".npy"]
    # Beside photographs arrays are masks and the like.
    if any(path.suffix.lower() not in NUMBERS for path in paths):
        paths, others = [path for path in paths if path not in arrays], others + len(arrays)
    for path in paths:
        name = shown_name(path.relative_to(root))
        try:
            digest = hashlib.sha256(read_file(path, home)).hexdigest()
        except InputError as error:
            skipped.append(SkippedFile(name=name, reason=str(error)))
        else:
            items.append(ImageItem(name=name, path=path, sha256=digest, crop="centre"))
    if not items:
        raise nothing_usable(f"folder {shown(root)}", skipped, others)
    title = shown_name(Path(root.resolve().name or "/"))
    return ImageSet(title=title, items=tuple(items), skipped=tuple(skipped), root=home)
