"""What a key folder holds, told by names alone: no block is opened."""

from pathlib import Path

from ..errors import CacheError
from ..files.digests import sha256_file
from .audit import PLACES, SIDECAR, walk


def list_holdings(folder: Path) -> dict[str, str | int]:
    """Every file of results of a key folder: its place → what tells it from others.

    A block is told by its name, which ends in the digest of its bytes, and by its size; a sidecar,
    whose name is that of its block, and the key by their digests. Nothing is listed where the
    folder cannot be read; whoever opens it says why.
    """
    try:
        places = {path.relative_to(folder).as_posix(): path for path in walk(folder)}
        return {
            place: path.stat().st_size if is_block(place) else sha256_file(path)
            for place, path in places.items()
            if is_block(place) or place == "key.json" or SIDECAR.fullmatch(place)
        }
    except (OSError, CacheError):
        return {}


def is_block(place: str) -> bool:
    """Return whether a place in a key folder is that of a file with its digest in its name."""
    return any(pattern.fullmatch(place) for pattern in PLACES.values())
