"""The start and the shared state of a run: check everything, then lock the cache."""

import contextlib
import functools
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from ..cache.keys import BEHAVIOUR, known_key
from ..cache.reference import Reference, check_reference, packaged_reference, read_reference
from ..cache.store import Store
from ..config import Config
from ..errors import InputError, UsageError
from ..files.digests import fingerprint
from ..files.files import require_writable
from ..files.names import escape_name
from ..images.bands import COLOUR, Bands
from ..images.imageset import ImageSet
from ..images.load import find_images
from ..models.classnames import folder_names, read_class_names
from ..models.directions import GROUP, rows_of
from ..models.load import Identity, Model, central_crop, identify, load_model
from ..models.own import is_own
from ..models.selection import class_layer, left_out, select_layers
from ..network import tuning
from ..options import check_shown
from ..progress import Progress
from ..ranking.classes import find_classes
from ..records.dictionary import Dictionary
from ..records.network import LayerInfo
from ..records.samples import USUAL_CROP
from ..records.wanted import parse_wanted
from ..rendering.recipes import find_recipes

RANKING_VERSION = 4
"""Raised whenever the same images and weights would give other statistics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """State that the stages of one run share.

    Attributes:
        config: the settings.
        images: the image set, found and identified but not decoded.
        reference: statistics that scores are measured against instead of those of `images`.
        store: the key folder, locked.
        class_names: of the classes; () where they have none.
        model: loads the network when first called; not called where the cache holds everything.
        progress: where the run says how far it is.
        dictionaries: that are layers of it.
    """

    config: Config
    images: ImageSet
    reference: Reference | None
    store: Store
    class_names: tuple[str, ...]
    model: Callable[[], Model]
    progress: Progress
    dictionaries: tuple[Dictionary, ...] = ()

    @property
    def table(self) -> tuple[LayerInfo, ...]:
        """The layers of the network, and the dictionaries behind theirs."""
        return rows_of(self.store.read_network()[1], self.dictionaries)


@contextmanager
def open_work(
    config: Config, progress: Progress, network: nn.Module | None = None
) -> Iterator[Work]:
    """Check all that can be checked without computing, then lock the cache.

    Args:
        config, progress: of the run.
        network: the one that `config` means, where it is in memory already.

    Raises:
        AtlasError: an option, the model, its weights, the images, the cache or the site cannot be
            used; nothing has been written then.
    """
    plain = prepare(config, progress, network)
    key = plain.key()
    if not key_folder(config, key).exists():
        plain.model()  # weights that do not fit are noticed before anything is written
    require_writable(config.cache)
    require_writable(config.site)
    with Store.open(config.cache, config.atlas_name, key) as store:
        for line in store.quarantined:
            progress.warn(f"moved to quarantine, will be made again: {line}")
        yield plain.work(store)


@contextmanager
def peek_work(config: Config, progress: Progress) -> Iterator[Work]:
    """The same for looking only: the cache is read where it holds this work, and never written.

    Raises:
        AtlasError: as of `open_work`.
    """
    plain = prepare(config, progress)
    key = plain.key()
    folder = key_folder(config, key)
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(Store.read(folder)) if folder.exists() else None
        if store is None or not store.has("network"):
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            store = stack.enter_context(Store.open(scratch, config.atlas_name, key))
        yield plain.work(store)


def key_folder(config: Config, key: Mapping[str, object]) -> Path:
    """Return the folder in which the cache keeps the work of this key."""
    return config.cache / escape_name(config.atlas_name) / fingerprint(key)[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """A run before its cache is open: settings that were checked, images found, no network yet.

    Attributes:
        grey: whether the network has one channel.
    """

    config: Config
    images: ImageSet
    identity: Identity
    model: Callable[[], Model]
    progress: Progress
    grey: bool = False

    def key(self) -> dict[str, Any]:
        """Everything that changes the statistics; what is as it always was is not named."""
        usual = () if self.identity.outputs else ("outputs",)
        model = asdict(self.identity).items()
        key: dict[str, Any] = {
            "ranking": RANKING_VERSION,
            "model": {name: value for name, value in model if name not in usual},
            "images": self.images.sha256,
        }
        if self.images.crop not in (None, USUAL_CROP):
            key["crop"] = asdict(self.images.centre)
        if self.grey:
            key["grey"] = "luminance"
        if is_own(self.config.model):
            key[BEHAVIOUR] = list(self.model().behaviour)
        return known_key(self.config.cache / escape_name(self.config.atlas_name), key)

    def work(self, store: Store) -> Work:
        """The run on a cache that is open."""
        if not store.has("network"):
            store.write_network(self.model().info, self.model().layers)
        reference = find_reference(self.config, self.identity)
        return Work(
            config=self.config,
            images=self.images,
            reference=reference and require_layers(reference, self.config, store, self.progress),
            store=store,
            class_names=self.class_names(store),
            model=self.model,
            progress=self.progress,
        )

    def class_names(self, store: Store) -> tuple[str, ...]:
        """The names of the classes: those of --class-names, of the network, or of the folders.

        Folders give names to one's own network only, and only where there is one for each class.

        Raises:
            InputError: --class-names cannot be read, or has another number of names.
            UsageError: there are no classes to name.
        """
        config, (model, table) = self.config, store.read_network()
        classes = class_layer(table)
        if config.class_names not in ("", "none"):
            if classes is None:
                raise UsageError(f"--class-names: {model.title} puts out no class scores")
            return read_class_names(Path(config.class_names), classes.channels)
        if config.class_names or model.class_names or classes is None or not is_own(config.model):
            return model.class_names
        names = folder_names((item.name for item in self.images.items), classes.channels)
        if names:
            self.progress.say(
                f"classes are called by the {len(names)} folders of {self.images.title}, "
                f"{names[0]} to {names[-1]}; --class-names FILE or none for others"
            )
        return names


def prepare(config: Config, progress: Progress, network: nn.Module | None = None) -> Plain:
    """Check settings, model, weights and images; load the network only where its digest needs it.

    Raises:
        AtlasError: one of them cannot be used.
    """
    find_recipes(tuple(name for name in config.recipe if name != "auto"))
    tuning.check_precision(config.precision, tuning.choose_device(config.device))
    identity = identify(config)
    crop = central_crop(config)
    images = find_images(config.images, config.max_pixels, crop, config.follow_links)
    model = functools.cache(functools.partial(load_loudly, config, progress, network))
    channels = 3  # a network of another number is always one's own, which has no digest yet
    if not identity.complete:
        identity, channels = identity.completed(model().info), model().info.channels
    return Plain(
        config=config,
        images=replace(images, bands=find_bands(config, channels, images)),
        identity=identity,
        model=model,
        progress=progress,
        grey=channels == 1,
    )


def find_bands(config: Config, channels: int, images: ImageSet) -> Bands:
    """Return how files are read for a network of so many channels.

    Raises:
        UsageError: --show-channels names one that it does not have, or it has colours.
        InputError: the images are photographs, which have not as many.
    """
    plain = Bands(channels=channels, white=config.white)
    if not plain.many:
        if config.show_channels:
            raise UsageError(
                f"--show-channels is for networks of other channels than 1 and 3; "
                f"{config.model} takes {channels}"
            )
        return plain if config.white else COLOUR
    if config.images in PHOTOGRAPHS:
        raise InputError(
            f"{config.model} takes {channels} channels, photographs have 3; give --images a folder "
            f"of TIFF or .npy files of {channels} channels"
        )
    check_shown(config.show_channels, channels)
    first = (0, 1, 2) if channels > 2 else (0,)
    return replace(plain, shown=tuple(one - 1 for one in config.show_channels) or first)


PHOTOGRAPHS = ("sample", "imagenette")
"""Values of --images that are no folder."""


def load_loudly(config: Config, progress: Progress, network: nn.Module | None = None) -> Model:
    """Load the model and say so."""
    model = load_model(config, network)
    source = f" from {model.info.source}" if config.weights else ""
    progress.say(f"{model.info.title}: weights {model.info.weights_sha256[:12]} loaded{source}")
    return model


def find_reference(config: Config, identity: Identity) -> Reference | None:
    """The reference that --reference means, if any.

    "auto" is the one that comes with the package, if it was measured on the same weights and the
    images are the embedded photographs, which alone are too few to measure against.
    """
    if config.reference not in ("auto", "none"):
        return read_reference(Path(config.reference))
    path = packaged_reference(config.model)
    own_input = config.mean or config.std or config.input_size
    if config.reference == "none" or path is None or config.images != "sample" or own_input:
        return None
    reference = read_reference(path)
    return reference if reference.weights_sha256 == identity.weights_sha256 else None


def require_layers(
    reference: Reference, config: Config, store: Store, progress: Progress
) -> Reference | None:
    """The reference, if it knows the network and all layers of --layers; "auto" gives way.

    Raises:
        InputError: the reference given was measured on another network, or lacks a layer.
    """
    model, table = store.read_network()
    check_reference(reference, model)
    dictionaries = [parse_wanted("--dictionary", text).name for text in config.dictionary]
    names = [*(layer.name for layer in select_layers(table, config.layers)), *dictionaries]
    missing = [name for name in names if name not in reference.stats]
    if not missing:
        return reference
    if config.reference == "auto":
        progress.say(
            f"scores are measured over the sample images: the packaged reference has no layer "
            f"{missing[0]}"
        )
        return None
    raise InputError(
        f"{reference.path} has no layer {missing[0]}; make a reference that has with "
        "`rank --save-reference`, or use --reference none"
    )


def choose_layers(work: Work) -> tuple[LayerInfo, ...]:
    """The rows of the layer table that --layers means, and the class scores for --classes.

    Raises:
        UsageError: no such layer or no such class.
    """
    model, table = work.store.read_network()[0], work.table
    picked, classes = select_layers(table, work.config.layers), class_layer(table)
    layers = tuple(one for one in table if one in picked or GROUP in one.groups)
    if missing := left_out(table, work.config.layers):
        work.progress.say(missing)
    if classes is None:
        if work.config.classes or work.config.lenses:
            said = EMBEDDING if model.outputs == "embedding" else NO_CLASSIFIER
            work.progress.say(said.format(model=model.title))
        return layers
    for option, wanted in (("--classes", work.config.classes), ("--target", target_words(work))):
        if isinstance(wanted, tuple):
            find_classes(option, wanted, work.class_names, classes.channels)
    return (*layers, classes) if work.config.classes else layers


NO_CLASSIFIER = (
    "{model} puts out no class scores: no class pages, no saliency and no fooling images"
)
EMBEDDING = (
    "{model} puts out embeddings, not class scores: no class pages, no saliency and no fooling "
    "images; --outputs logits if they are scores"
)


def target_words(work: Work) -> tuple[str, ...]:
    """The class that --target names, if it names one."""
    return () if work.config.target == "auto" else (work.config.target,)
