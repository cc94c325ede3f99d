"""The stage renderings → evidence: an observer looks at pictures that it had no part in.

`find_observer` says who judges, `observe_pictures` lets it look at what is in the cache. Places of
units are worked out of what it saw when pages are gathered (`evidence.py`), in no time.
"""

import functools
import time
from collections.abc import Callable, Iterator, Sequence

from ..cache.selection import Selection
from ..cache.store import Store
from ..errors import InputError
from ..files.digests import fingerprint
from ..images.pixels import to_pixels
from ..models.observers import HOW_TO_GET, ChosenObserver, choose_observer
from ..network import tuning
from ..network.observer import Observer
from ..ranking.evidence import LEAST_JUDGES, distinct_judges
from ..records.evidence import Observation
from ..records.units import Unit
from ..shapes import Picture
from .choose import natural_samples
from .rank import seen_pictures
from .run import Work


def find_observer(work: Work) -> ChosenObserver | None:
    """The network that judges the pictures; None where there is none, and why is said.

    Raises:
        InputError: the one that --observer names cannot judge.
    """
    found = choose_observer(work.config, work.store.read_network()[0])
    if found is None:
        if work.config.observer == "auto":
            work.progress.say(f"no observer is installed, so there is no IDENT: {HOW_TO_GET}")
        return None
    judges = distinct_judges(natural_samples(work))
    if judges < LEAST_JUDGES:
        work.progress.say(
            f"no IDENT: {LEAST_JUDGES} distinct images have to judge, there are {judges}; give "
            f"about {3 * LEAST_JUDGES} --images, or a --reference"
        )
        return None
    reason = cannot_judge(work, found)
    if reason and work.config.observer != "auto":
        raise InputError(f"--observer {work.config.observer}: {reason}")
    if reason:
        work.progress.say(f"no IDENT: {reason}")
        return None
    return found


def cannot_judge(work: Work, observer: ChosenObserver) -> str:
    """Why an observer cannot judge the pictures of this atlas, or ""."""
    if work.images.bands.many:
        return f"the images have {work.images.bands.channels} channels, an observer sees colours"
    if work.reference is None:
        return ""
    seen = work.reference.observed
    if seen is not None and seen.weights_sha256 == observer.weights_sha256:
        return ""
    by = f"was seen by {seen.observer}" if seen else "was seen by no observer"
    return (
        f"{work.reference.path} {by}, not by {observer.title}; make one with `rank "
        "--save-reference` and this --observer"
    )


def images_mark(observer_sha256: str) -> str:
    """Identifies what an observer makes of the sample images."""
    return fingerprint(["observer", observer_sha256, "sample images"])


def pictures_mark(observer_sha256: str, rendering: str) -> str:
    """Identifies what an observer makes of renderings of a fingerprint."""
    return fingerprint(["observer", observer_sha256, rendering])


def observe_images(work: Work) -> Observation | None:
    """What the observer of --observer makes of the sample images; None where there is none.

    Raises:
        InputError: the one that is named cannot be loaded.
    """
    found = choose_observer(work.config, work.store.read_network()[0])
    if found is None or work.images.bands.many:
        return None
    return look_at_samples(work, found, loader(work, found))


def observe_pictures(work: Work, observer: ChosenObserver | None, selection: Selection) -> None:
    """Let the observer look at every finished picture of the selection that it has not seen."""
    if observer is None:
        return
    load = loader(work, observer)
    look_at_samples(work, observer, load)
    todo = [
        (layer, recipe, channels)
        for layer in selection.layers
        for recipe in selection.fingerprints
        if (channels := unseen(work.store, selection, layer, recipe))
    ]
    if not todo:
        return
    count, began = sum(len(channels) for *_, channels in todo), time.perf_counter()
    bar = work.progress.images(range(count), count, "observer")
    for layer, recipe, channels in todo:
        mark = selection.fingerprints[recipe]
        pictures = rendered_pictures(work.store, layer, mark, channels, bar)
        seen = load().look(pictures)
        own = pictures_mark(observer.weights_sha256, mark)
        work.store.write_features(layer, own, channels, seen)
    for _ in bar:
        pass  # closes it
    spent = time.perf_counter() - began
    work.progress.say(f"{observer.title} looked at {count} pictures in {spent:.1f} s")


def loader(work: Work, found: ChosenObserver) -> Callable[[], Observer]:
    """Load an observer when it is first called for, and once."""
    device = tuning.choose_device(work.config.device)
    return functools.cache(lambda: Observer(found.load(), device))


def look_at_samples(
    work: Work, observer: ChosenObserver, load: Callable[[], Observer]
) -> Observation:
    """What the observer makes of all sample images, from the cache or by looking."""
    count, mark = len(work.store.read_samples().samples), images_mark(observer.weights_sha256)
    known = work.store.observation(count, mark)
    if known is not None:
        return known
    shape = load().info.shape
    pictures = (seen_pictures(work, [image], shape)[0] for image in range(count))
    seen = load().look(work.progress.images(pictures, count, "observer"))
    work.store.write_features("", mark, range(count), seen)
    return seen


def unseen(store: Store, selection: Selection, layer: str, recipe: str) -> list[int]:
    """The channels whose picture by a recipe is there and was not looked at."""
    mark = selection.fingerprints[recipe]
    known = store.features(layer, pictures_mark(selection.observer_sha256, mark))
    return [
        channel
        for channel in selection.layers[layer]
        if channel not in known and store.has_rendering(Unit(layer=layer, channel=channel), mark)
    ]


def rendered_pictures(
    store: Store, layer: str, mark: str, channels: Sequence[int], bar: Iterator[int]
) -> Iterator[Picture]:
    """The 8-bit pictures of units, as pages show them."""
    for channel in channels:
        next(bar, None)
        yield to_pixels(store.rendering(Unit(layer=layer, channel=channel), mark).image)
