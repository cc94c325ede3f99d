"""What the last build made a model's folder of the site from, remembered beside the cache.

`recall` reads a memory, `remember` writes one. A folder whose memory names the same inputs, and in
which every file is found as it was, would be made again byte for byte, so it need not be. A memory
only ever saves work: where it is missing, damaged or of another build, everything is made.
"""

import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import msgspec

from ..errors import CacheError
from ..files.digests import canonical_json, sha256_bytes
from ..files.files import atomic_write
from .finish import SiteReport
from .tree import MANIFEST, digits


class Left(NamedTuple):
    """A file as a build left it.

    Attributes:
        digits: that tell its bytes.
        size, mtime, ctime: what the file system says of it; whoever changes a file may set its
            time of modification (`mtime`) back, but not that of its last change (`ctime`).
    """

    digits: str
    size: int
    mtime: int
    ctime: int

    @classmethod
    def at(cls, path: str, told: str) -> "Left":
        """The file at a path; `told` are the digits of its bytes.

        Raises:
            OSError: there is no regular file.
        """
        found = os.lstat(path)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(f"{path} is no file")
        return cls(told, found.st_size, found.st_mtime_ns, found.st_ctime_ns)

    def found_at(self, path: str) -> "Left | None":
        """The same file as it is now, None for another one; read only where its times differ."""
        try:
            now = Left.at(path, self.digits)
            same = now == self or (now.size == self.size and has_digits(path, self.digits))
        except OSError:
            return None
        return now if same else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What a model's folder was made from, and the files that came of it.

    Attributes:
        key: digest of all inputs.
        unnamed: keys of labels that name no unit of the model.
        files: path in the folder → the file, its manifest among them.
    """

    key: str
    unnamed: tuple[str, ...] = ()
    files: Mapping[str, Left]

    @property
    def sizes(self) -> dict[str, int]:
        """Path → bytes of every file but the manifest."""
        return {path: left.size for path, left in self.files.items() if path != MANIFEST}

    @property
    def digests(self) -> dict[str, str]:
        """Path → digits of every file."""
        return {path: left.digits for path, left in self.files.items()}

    def found_in(self, folder: Path) -> "Memory | None":
        """The same with the times of now; None where a file is gone or has other bytes.

        Files of others in the folder do not count.
        """
        files = {}
        for path, left in self.files.items():
            now = left.found_at(f"{folder}/{path}")
            if now is None:
                return None
            files[path] = now
        return replace(self, files=files)


def has_digits(path: str, told: str) -> bool:
    """Return whether the bytes of a file have these digits."""
    return digits(Path(path).read_bytes()) == told


def remember(path: Path, key: str, folder: Path, report: SiteReport) -> None:
    """Write a memory, whole or not at all; one that cannot be written is done without.

    Args:
        path: of the memory.
        key: digest of all inputs.
        folder: of the model in the site.
        report: of its build.
    """
    with suppress(OSError, CacheError):
        told = report.digests.items()
        files = {file: Left.at(f"{folder}/{file}", digits) for file, digits in told}
        write_memory(path, Memory(key=key, unnamed=report.unnamed, files=files))


def write_memory(path: Path, memory: Memory) -> None:
    """Write a memory behind the digest of its bytes.

    Raises:
        CacheError: it cannot be written.
    """
    body = canonical_json(msgspec.to_builtins(memory)).encode()
    atomic_write(path, sha256_bytes(body).encode() + b"\n" + body)


def recall(path: Path, key: str) -> Memory | None:
    """The memory of a build from these inputs; None where it is missing, damaged or of others."""
    try:
        digest, _, body = path.read_bytes().partition(b"\n")
        if digest != sha256_bytes(body).encode():
            return None
        memory = msgspec.convert(json.loads(body), Memory)
    except (OSError, ValueError, TypeError):  # msgspec's errors are ValueErrors
        return None
    return memory if memory.key == key else None
