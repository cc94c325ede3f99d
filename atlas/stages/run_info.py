"""Versions, device, command and date of a run, as pages show them."""

import datetime
import functools
import importlib.metadata
import platform
import time
from contextlib import suppress
from dataclasses import replace

from .. import __version__
from ..config import Config, command_line, source_date_epoch
from ..keywords import IN_MEMORY, call_line
from ..network import tuning
from ..records.atlas import RunInfo

LIBRARIES = ("torch", "torchvision", "timm", "numpy", "opencv-python-headless", "h5py", "jinja2")


def run_info(config: Config) -> RunInfo:
    """Versions, device, command and date of this run."""
    return RunInfo(
        versions=(("cnn-atlas", __version__), *library_versions(LIBRARIES).items()),
        device=tuning.describe_device(tuning.choose_device(config.device)),
        command=call_line(config)
        if config.model.startswith(IN_MEMORY)
        else command_line(replace(config, shard=(1, 1))),  # shards together are one run
        created=now(),
    )


@functools.cache
def library_versions(libraries: tuple[str, ...]) -> dict[str, str]:
    """Version of Python, and of each of the libraries that is installed."""
    versions = {"python": platform.python_version()}
    for library in libraries:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[library] = importlib.metadata.version(library)
    return versions


def now() -> str:
    """This moment or SOURCE_DATE_EPOCH, as ISO date and time in UTC."""
    epoch = source_date_epoch()
    moment = int(time.time()) if epoch is None else epoch
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).isoformat()
