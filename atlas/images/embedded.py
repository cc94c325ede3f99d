"""The image sets that need no folder of one's own: embedded photographs, and Imagenette."""

import hashlib
import importlib.util
import math
import shutil
from pathlib import Path

from ..errors import INSTALL, InputError
from ..files.files import atomic_write
from ..files.names import shown
from ..records.samples import SkippedFile
from .folder import nothing_usable, read_file
from .headers import read_header
from .imageset import ImageItem, ImageSet

PHOTOGRAPHS = {
    "astronaut.png": "Eileen Collins, NASA; public domain",
    "brick.png": "Brick wall, CC0Textures; CC0",
    "camera.png": "Cameraman, Lav Varshney; CC0",
    "chelsea.png": "Chelsea the cat, Stéfan van der Walt; CC0",
    "coffee.png": "Coffee cup, Rachel Michetti, courtesy of Pikolo Espresso Bar; CC0",
    "coins.png": "Greek coins from Pompeii, Brooklyn Museum; no known copyright restrictions",
    "grass.png": "Grass, linolafett; CC0",
    "gravel.png": "Gravel, CC0Textures; CC0",
    "hubble_deep_field.jpg": "Hubble eXtreme Deep Field, NASA; public domain",
    "ihc.png": "Colonic glands under the microscope, Center for Microscopy and Molecular Imaging; "
    "no known copyright restrictions",
    "moon.png": "Surface of the moon; distributed with scikit-image",
    "motorcycle_left.png": "Motorcycle, Middlebury Stereo 2014 (Scharstein et al., GCPR 2014); "
    "distributed with scikit-image",
    "retina.jpg": "Retina of a human eye, Wikimedia Commons; CC0",
    "rocket.jpg": "DSCOVR on Falcon 9, SpaceX; public domain",
}
"""The photographs in the wheel of scikit-image, and their origin as its documentation gives it.

Left out: drawings, text, logos, phantoms, faces of 25 pixels, a motion-blurred clock."""

OVERLAP = 0.55
"""Least overlap of neighbouring crops, as a share of their side: gives 284 crops."""


def find_photographs() -> ImageSet:
    """The embedded photographs, each cut into overlapping squares of two sizes.

    Real photographs without a download: a few hundred squares are enough to rank units and to show
    what excites them. The large squares have the short side of the photograph, the small ones half.

    Raises:
        InputError: scikit-image, which carries them, is not installed.
    """
    spec = importlib.util.find_spec("skimage")  # finds the folder without importing the package
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            f"the embedded photographs are not installed; run `{INSTALL}`, "
            "or give --images a folder of pictures"
        )
    root = Path(spec.submodule_search_locations[0]) / "data"
    items: list[ImageItem] = []
    skipped: list[SkippedFile] = []
    for name in PHOTOGRAPHS:
        try:
            items += photograph_items(root / name, root)
        except InputError as error:
            skipped.append(SkippedFile(name=name, reason=str(error)))
    if not items:
        raise nothing_usable("the installed scikit-image", skipped)
    return ImageSet(
        title="photographs of scikit-image",
        items=tuple(items),
        skipped=tuple(skipped),
        root=root,
        credits=tuple(f"{name}: {credit}" for name, credit in PHOTOGRAPHS.items()),
        trusted=True,
    )


def photograph_items(path: Path, root: Path) -> list[ImageItem]:
    """The crops of one photograph, large ones first, each size row by row."""
    data = read_file(path, root)
    header = read_header(data)
    digest = hashlib.sha256(data).hexdigest()
    short = min(header.height, header.width)
    return [
        ImageItem(
            name=f"{path.name}#{y},{x},{side}",
            path=path,
            sha256=digest,
            crop=(y, x, y + side, x + side),
        )
        for side in (short, short // 2)
        for y in crop_starts(header.height, side)
        for x in crop_starts(header.width, side)
    ]


def crop_starts(length: int, side: int) -> list[int]:
    """Evenly spaced starts of squares that cover an axis, overlapping by `OVERLAP` at least."""
    steps = math.ceil((length - side) / (side * (1 - OVERLAP)))
    return [round(step * (length - side) / steps) for step in range(steps + 1)] if steps else [0]


# --- imagenette ----------------------------------------------------------------------------------

IMAGENETTE_ROOT = Path("~/.cache/cnn-atlas")
IMAGENETTE, SPLIT = "imagenette2-320", "train"


def imagenette_folder() -> Path:
    """The 9,469 training photographs of Imagenette, downloaded by torchvision at first use.

    Raises:
        InputError: they cannot be downloaded.
    """
    root = IMAGENETTE_ROOT.expanduser()
    complete = root / f"{IMAGENETTE}.complete"
    if not complete.exists():
        shutil.rmtree(root / IMAGENETTE, ignore_errors=True)  # half unpacked by an earlier run
        download_imagenette(root)
        atomic_write(complete, b"")
    return root / IMAGENETTE / SPLIT


def download_imagenette(root: Path) -> None:
    """Have torchvision download and unpack Imagenette (ten classes, 320 pixels) into `root`."""
    try:
        from torchvision.datasets import Imagenette  # heavy, and needed nowhere else here

        root.mkdir(parents=True, exist_ok=True)
        Imagenette(str(root), split=SPLIT, size="320px", download=True)
    except (ImportError, OSError, RuntimeError, ValueError, EOFError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"cannot download Imagenette ({IMAGENETTE}.tgz, 340 MB, into {shown(root)}): {reason}; "
            "give --images a folder of pictures, or leave it out for the embedded photographs"
        ) from error
