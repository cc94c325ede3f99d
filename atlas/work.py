"""What the stages of one run share, and how a run begins: check everything, then lock the cache."""

import datetime
import functools
import importlib.metadata
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from . import __version__, tuning
from .config import Config, command_line, source_date_epoch
from .errors import InputError
from .files import require_writable
from .images import find_images
from .imageset import ImageSet
from .layers import select_layers
from .models import Identity, Model, identify, load_model
from .progress import Progress
from .recipes import find_recipes
from .records import LayerInfo, RunInfo
from .reference import Reference, check_reference, packaged_reference, read_reference
from .store import Store

RANKING_VERSION = 1
"""Raised whenever the same images and weights would give other statistics."""

LIBRARIES = ("torch", "torchvision", "timm", "numpy", "opencv-python-headless", "h5py", "jinja2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What the stages of one run share.

    Attributes:
        config: the settings.
        images: the image set, found and identified but not decoded.
        reference: statistics that scores are measured against instead of those of `images`.
        store: the key folder, locked.
        model: loads the network when first called; not called where the cache holds everything.
        progress: where the run says how far it is.
    """

    config: Config
    images: ImageSet
    reference: Reference | None
    store: Store
    model: Callable[[], Model]
    progress: Progress


@contextmanager
def open_work(config: Config, progress: Progress) -> Iterator[Work]:
    """Check all that can be checked without computing, then lock the cache.

    Raises:
        AtlasError: an option, the model, its weights, the images, the cache or the site cannot be
            used; nothing has been written then.
    """
    find_recipes(tuple(name for name in config.recipe if name != "auto"))
    tuning.check_precision(config.precision, tuning.choose_device(config.device))
    identity = identify(config)
    images = find_images(config.images, config.max_pixels)
    require_writable(config.cache)
    require_writable(config.site)
    model = functools.cache(functools.partial(load_loudly, config, progress))
    if not identity.complete:
        identity = identity.completed(model().info)
    reference = find_reference(config, identity)
    key = {
        "ranking": RANKING_VERSION,
        "model": asdict(identity),
        "images": images.sha256,
    }
    with Store.open(config.cache, config.model, key) as store:
        for line in store.quarantined:
            progress.warn(f"moved to quarantine, will be made again: {line}")
        if not store.has("network"):
            store.write_network(model().info, model().layers)
        yield Work(
            config=config,
            images=images,
            reference=checked_reference(reference, config, store),
            store=store,
            model=model,
            progress=progress,
        )


def load_loudly(config: Config, progress: Progress) -> Model:
    """Load the model and say so."""
    model = load_model(config)
    progress.say(f"{model.info.title}: weights {model.info.weights_sha256[:12]} loaded")
    return model


def find_reference(config: Config, identity: Identity) -> Reference | None:
    """The reference that --reference means, if any.

    "auto" is the one that comes with the package, if it was measured on the same weights and the
    images are the embedded photographs, which alone are too few to measure against.
    """
    if config.reference == "none":
        return None
    if config.reference != "auto":
        return read_reference(Path(config.reference))
    path = packaged_reference(config.model)
    if path is None or config.images != "sample" or config.mean or config.std or config.input_size:
        return None
    reference = read_reference(path)
    return reference if reference.weights_sha256 == identity.weights_sha256 else None


def checked_reference(
    reference: Reference | None, config: Config, store: Store
) -> Reference | None:
    """The reference, if it knows the network and all layers of --layers; "auto" gives way.

    Raises:
        InputError: the reference given was measured on another network, or lacks a layer.
    """
    if reference is None:
        return None
    model, table = store.read_network()
    check_reference(reference, model)
    layers = select_layers(table, config.layers)
    missing = [layer.name for layer in layers if layer.name not in reference.stats]
    if missing and config.reference == "auto":
        return None
    if missing:
        raise InputError(
            f"{reference.path} has no layer {missing[0]}; make a reference that has with "
            "`rank --save-reference`, or use --reference none"
        )
    return reference


def choose_layers(work: Work) -> tuple[LayerInfo, ...]:
    """The rows of the layer table that --layers means."""
    return select_layers(work.store.read_network()[1], work.config.layers)


def run_info(config: Config) -> RunInfo:
    """Versions, device, command and date of this run."""
    versions = [("cnn-atlas", __version__), ("python", platform.python_version())]
    for library in LIBRARIES:
        try:
            versions.append((library, importlib.metadata.version(library)))
        except importlib.metadata.PackageNotFoundError:
            continue
    return RunInfo(
        versions=tuple(versions),
        device=tuning.describe_device(tuning.choose_device(config.device)),
        command=command_line(config),
        created=now(),
    )


def now() -> str:
    """This moment or SOURCE_DATE_EPOCH, as ISO date and time in UTC."""
    epoch = source_date_epoch()
    moment = int(time.time()) if epoch is None else epoch
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).isoformat()
