"""The statistics of an image set as a file, for other atlases to be measured against."""

from collections.abc import Sequence
from pathlib import Path

from ..cache.reference import write_reference
from ..records.network import LayerInfo
from .choose import classifier, companions
from .observe import observe_images
from .run import Work


def save_reference(work: Work, layers: Sequence[LayerInfo], path: Path) -> None:
    """Write the statistics of this image set as a reference file for other atlases."""
    model, table = work.store.read_network()
    wanted = {layer.name for layer in (*layers, *companions(work), *classifier(work))}
    stats = [work.store.read_stats(layer.name) for layer in table if layer.name in wanted]
    write_reference(path, model, work.store.read_samples(), stats, observe_images(work))
    work.progress.say(f"{path}: {len(stats)} layers over {len(stats[0].activations)} images")
