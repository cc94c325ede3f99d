"""The Ray cluster of a run: `open_pool` connects to it, or starts one on this machine."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..config import ray_address
from ..errors import InputError, one_line
from .pool import NAMESPACE, Pool

REACH_SECONDS = 5.0
"""Seconds that the head of a cluster has to answer."""

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # the coming default; else a FutureWarning
}
"""Settings of Ray unless the user chose others: nothing leaves the machine."""


@contextmanager
def open_pool(
    build: Callable[[str], Callable[[], object]], device: str, warn: Callable[[str], None]
) -> Iterator[Pool]:
    """Connect to the cluster of RAY_ADDRESS, or start one on this machine for the time of the run.

    Args:
        build: device of the processes, "cpu" or "cuda" → what makes the worker of each.
        device: as given to --device; "auto" takes GPUs if the cluster has any.
        warn: told what was lost.

    Raises:
        InputError: Ray is not installed, the cluster does not answer, or has no GPU.
    """
    with connected() as ray:
        gpus = device != "cpu" and ray.cluster_resources().get("GPU", 0) >= 1
        if device not in ("auto", "cpu") and not gpus:
            raise InputError(
                f"--device {device!r}, but the Ray cluster has no GPU; use auto or cpu"
            )
        yield Pool(ray, build("cuda" if gpus else "cpu"), gpus, warn)


@contextmanager
def connected() -> Iterator[Any]:
    """Ray, connected; the connection ends with the block, and a cluster of our own with it."""
    ray, address = require_cluster()
    with signals_kept():
        try:
            ray.init(
                address=address or "local",
                namespace=NAMESPACE,
                log_to_driver=False,
                logging_level="ERROR",
                **({} if address not in ("", "local") else {"include_dashboard": False}),
            )
        except Exception as error:  # Ray's start fails in many ways
            raise unreachable(address or "on this machine", one_line(error)) from error
    try:
        yield ray
    finally:
        with signals_kept():
            ray.shutdown()


def require_cluster() -> tuple[Any, str]:
    """Ray and the address of the cluster, before anything is computed for it.

    Raises:
        InputError: Ray is not installed, or nothing listens at the address.
    """
    ray, address = import_ray(), ray_address()
    require_reachable(address)
    return ray, address


def import_ray() -> Any:
    """Ray itself, or an InputError that says how to get it."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.exceptions
        import ray.util
    except ImportError as error:
        raise InputError(
            '--engine ray needs the package ray: pip install "cnn-atlas[ray]", or use --engine '
            "local"
        ) from error
    return ray


def require_reachable(address: str) -> None:
    """Raise an InputError unless something listens at `HOST:PORT`; Ray itself tries for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host:  # "", "local" and "auto" are Ray's to find
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACH_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        raise unreachable(address, one_line(error)) from error


def unreachable(address: str, reason: str) -> InputError:
    """The error of a cluster that does not answer."""
    return InputError(
        f"the Ray cluster {address} cannot be reached ({reason}); set RAY_ADDRESS to HOST:PORT of "
        "its head, or unset it to use this machine alone"
    )


@contextmanager
def signals_kept() -> Iterator[None]:
    """Keep our answer to Ctrl-C and SIGTERM: Ray puts its own in the place of it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
