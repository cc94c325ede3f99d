"""One of everything that the cache keeps, and a look at what lies on the disk."""

from dataclasses import fields, is_dataclass, replace

import numpy as np

from atlas.cache.selection import Selection
from atlas.cache.store import Store
from atlas.errors import CacheError
from atlas.records.atlas import RunInfo
from atlas.records.attribution import UnitMasks
from atlas.records.circuits import NO_KERNEL, Circuit, Link
from atlas.records.dictionary import Code, Dictionary
from atlas.records.lens import FeatureMaps, FoolingImage, Lens, Prediction
from atlas.records.maps import LayerMap, MapCell
from atlas.records.meanings import Meanings
from atlas.records.network import LayerInfo, ModelInfo
from atlas.records.samples import Sample, SampleSet, SkippedFile
from atlas.records.statistics import LayerStats, Readout
from atlas.records.tuning import Responses
from atlas.records.units import Rendering, Scores, Unit
from atlas.stages.merge import merge_caches

KEY = {"schema": 1, "model": "tiny", "seed": 0}
FINGERPRINT = "f" * 64
RUN = RunInfo(versions=(("torch", "9"),), device="cpu", command="make", created="2026-01-01")
SELECTED = Selection(
    key="0123456789abcdef",
    layers={"conv": (2, 0), "class scores": (1,)},
    recipes=("octaves",),
    class_recipes=("pyramid",),
    digests={"octaves": "3" * 64, "pyramid": "4" * 64},
    fingerprints={"octaves": FINGERPRINT, "pyramid": "5" * 64},
    lenses=(0,),
    lens_fingerprint="6" * 64,
    rank="mean",
    size=16,
    seed=0,
    run=RUN,
)
MODEL = ModelInfo(
    name="tiny",
    title="Tiny",
    source="by hand",
    weights_sha256="0" * 64,
    licence="",
    parameters=7,
    input_size=16,
    mean=(0.1, 0.2, 0.3),
    std=(1.0, 1.0, 1.0),
    class_names=("cat", 'say "é"\n'),
)
LAYER = LayerInfo(
    name="conv",
    index=0,
    type="Conv2d",
    channels=4,
    height=8,
    width=8,
    receptive_field=3,
    stride=1,
    multiply_adds=1234,
    groups=("blocks", "all"),
)
SAMPLES = SampleSet(
    title="ten",
    sha256="1" * 64,
    samples=(Sample(index=0, name="a.png#0,0,8", sha256="2" * 64, box=(0, 0, 8, 8)),),
    skipped=(SkippedFile(name="b\\udcff.png", reason="truncated"),),
    hf_median=0.1,
    hf_p05=float("nan"),
    hf_p95=1 / 3,
    credits=("a.png: nobody, CC0",),
)


def stats(layer="conv", channels=4, images=3, seed=0):
    """Statistics with a NaN, an infinity and a subnormal among them."""
    random = np.random.default_rng(seed)

    def floats(*shape):
        return random.normal(size=shape).astype(np.float32)

    mean = floats(channels)
    mean[:3] = [np.nan, np.inf, 1e-42]
    return LayerStats(
        layer=layer,
        activations=random.normal(size=(images, channels)).astype(np.float16),
        deviations=random.normal(size=(images, channels)).astype(np.float16),
        peaks=random.normal(size=(images, channels)).astype(np.float16),
        places=random.integers(0, 9, (images, channels)).astype(np.uint8),
        rows=np.arange(images, dtype=np.int32),
        scale=floats(channels),
        mean=mean,
        std=floats(channels),
        max=floats(channels),
        p99=floats(channels),
        active=floats(channels),
        finite=mean > 0,
        example_image=random.integers(-1, images, (channels, 9), np.int32),
        example_activation=floats(channels, 9),
        example_box=random.integers(0, 16, (channels, 9, 4), np.int32),
        neighbours=random.integers(-1, channels, (channels, 5), np.int32),
        correlation=floats(channels, 5),
    )


def rendering(channel=0, layer="conv", size=8, octaves=2, **changes):
    """A rendering whose numbers depend on the channel only."""
    random = np.random.default_rng(channel)
    made = Rendering(
        unit=Unit(layer=layer, channel=channel),
        recipe="octaves",
        image=random.random((3, size, size)).astype(np.float16),
        snapshots=random.random((octaves, 3, 4, 4)).astype(np.float16),
        status="ok",
        reason="",
        scores=Scores(
            activation=1 / 3,
            reach=1.25,
            select=1,
            robust=0.7,
            hf=float("nan"),
            ranks=(1, 2, 3, 4, 5, 6, 7, 8),
            confidence=0.1,
        ),
        objective=random.random(octaves * 3).astype(np.float32),
        octave_steps=(3,) * octaves,
        seed=2**63 - 1 - channel,
        start="noise",
        attempts=1,
        seconds=0.1 + channel,
        precision="fp32",
    )
    return replace(made, **changes)


MEANINGS = [
    Meanings(channel=2, images=(3, 0, 1), groups=(0, 1, 0), chance=1 / 999),
    Meanings(channel=0, images=(2,), groups=(0,), chance=1.0),
]


def map_cell(cell):
    """A cell of a map of 2 × 3, of which the cells 1 and 4 are empty."""
    random = np.random.default_rng(cell)
    agreement = random.normal(size=6).astype(np.float32)
    agreement[[1, 4]] = np.nan
    classes = (1, 0)[: cell + 1]
    return MapCell(
        cell=cell,
        count=7 + cell,
        direction=random.normal(size=4).astype(np.float32),
        images=tuple(range(cell + 1)),
        boxes=random.integers(0, 16, (cell + 1, 4), np.int32),
        classes=classes,
        contributions=tuple(1 / (one + 3) for one in classes),
        agreement=agreement,
        image=random.random((3, 8, 8)).astype(np.float16),
    )


def layer_map(*cells):
    """A map of which some cells are finished."""
    made = [map_cell(cell) for cell in cells]
    return LayerMap(rows=2, columns=3, positions=40, total=4, cells=made, reason="no cläss")


READOUT = Readout(
    layer="conv",
    channels=np.array([[1, 0], [3, 2]], np.int32),
    contributions=np.array([[1.5, -0.1], [7, 6]], np.float32),
    images=np.array([3, 0], np.int32),
)


def lens(image=0, layers=("conv", "läyer/1"), classifier=True):
    """A lens whose numbers depend on the image only."""
    random = np.random.default_rng(image)
    guesses = (Prediction(index=1, probability=2 / 3), Prediction(index=0, probability=1 / 3))
    fooling = FoolingImage(
        image=random.integers(0, 256, (4, 4, 3), np.uint8),
        target=1,
        fooled=True,
        steps=7,
        l2=0.1,
        linf=1 / 255,
        predictions=guesses[::-1],
    )
    side = 4 if classifier else 0
    return Lens(
        image=image,
        predictions=guesses if classifier else (),
        saliency=random.random((side, side)).astype(np.float16),
        smoothgrad=random.random((side, side)).astype(np.float16),
        fooling=fooling if classifier else None,
        maps=tuple(
            FeatureMaps(
                layer=name,
                channels=np.array([3, 1], np.int32),
                means=random.random(2).astype(np.float32),
                peaks=random.random(2).astype(np.float32),
                maps=random.random((2, 3, 5)).astype(np.float16),
            )
            for name in layers
        ),
    )


def masks(channel=0, examples=9, height=7, width=5):
    """Masks whose numbers depend on the channel only; those without an example are NaN."""
    random = np.random.default_rng(channel)
    patch, keep = (random.random(9).astype(np.float32) for _ in range(2))
    patch[examples:] = keep[examples:] = np.nan
    shape = (examples, height, width) if examples else (0, 0, 0)
    pixels = random.integers(0, 256, shape, np.uint8)
    return UnitMasks(channel=channel, patch=patch, keep=keep, masks=pixels)


def circuit(channel=0, links=2):
    """A circuit whose numbers depend on the channel only; the last link has a kernel."""
    random = np.random.default_rng(channel)
    found = [
        Link(
            layer="läyer/1",
            channel=place,
            effect=float(random.normal()),
            change=float(random.normal()) if place else np.nan,
            kernel=random.random((3, 2 + place), np.float32) if place else NO_KERNEL,
        )
        for place in range(links)
    ]
    reasons = {} if links else {"fed_by": "the image", "feeds": "nöthing", "classes": "none"}
    return Circuit(
        channel=channel,
        images=tuple(range(channel)),
        activation=float(random.normal()),
        error=1e-7 if links else np.nan,
        links={"fed_by": tuple(found), "feeds": (), "classes": tuple(found[1:])},
        reasons=reasons,
    )


def dictionary(name="conv@pca2", directions=2, channels=4, seed=0):
    """A dictionary of the layer `conv`."""
    random = np.random.default_rng(seed)

    def floats(*shape):
        return random.normal(size=shape).astype(np.float32)

    return Dictionary(
        name=name,
        parent="conv",
        method="pca",
        code=Code(
            encoder=floats(directions, channels),
            decoder=floats(directions, channels),
            bias=floats(directions),
            threshold=np.full(directions, -np.inf, np.float32),
            offset=floats(channels),
        ),
        fitted=5,
        judged=3,
        positions=12,
        explained=0.1,
        shuffled=float("nan"),
        shares=floats(directions),
        active=floats(directions),
        sizes=np.array([1, 2], np.int32),
        errors=floats(2),
    )


def responses(layer="conv", channels=4, stimuli=5, seed=0):
    """Responses to a few stimuli."""
    random = np.random.default_rng(seed)
    matrices = random.normal(size=(2, stimuli, channels)).astype(np.float16)
    scale = random.random(channels).astype(np.float32)
    return Responses(layer=layer, means=matrices[0], deviations=matrices[1], scale=scale)


def same(one, two):
    """Return whether two records are equal bit for bit, NaN and types included."""
    if is_dataclass(one):
        names = [field.name for field in fields(one)]
        return type(one) is type(two) and all(
            same(getattr(one, name), getattr(two, name)) for name in names
        )
    if isinstance(one, np.ndarray):
        return (one.dtype, one.shape, one.tobytes()) == (two.dtype, two.shape, two.tobytes())
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    if isinstance(one, tuple):
        return len(one) == len(two) and all(map(same, one, two))
    return type(one) is type(two) and (one == two or (one != one and two != two))


def fill(opened):
    """Put one of everything into a store, two layers and two rendering blocks."""
    opened.write_network(MODEL, [LAYER])
    opened.write_samples(SAMPLES)
    opened.write_squares(0, [b"jpeg 0", b"", b"jpeg 2"])
    opened.write_squares(3, [b"jpeg 3"])
    for layer in ("conv", "head"):
        opened.write_stats(stats(layer))
    opened.write_renderings(0, 1, FINGERPRINT, [rendering(2), rendering(0)], RUN)
    opened.write_renderings(2, 2, FINGERPRINT, [rendering(3)], RUN)
    opened.write_readout(READOUT)
    opened.write_lenses(0, 2, FINGERPRINT, [lens(0), lens(2)])
    opened.write_masks("conv", FINGERPRINT, [masks(2), masks(0, examples=3)])
    opened.write_masks("conv", FINGERPRINT, [masks(3, examples=0)])
    opened.write_circuits("conv", FINGERPRINT, [circuit(2), circuit(3, links=0)])
    opened.write_meanings("conv", FINGERPRINT, MEANINGS)
    opened.write_map("conv", FINGERPRINT, layer_map(2, 0))
    opened.write_responses(responses(), FINGERPRINT)
    opened.write_dictionary(dictionary(), FINGERPRINT)


def tree(folder):
    """Relative path → bytes of every file of results."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def block_paths(folder):
    return [path for path in sorted(folder.rglob("*")) if path.name.count(".") >= 2]


def reopen(folder):
    return Store.open(folder.parents[1], "tiny", KEY)


def merge_one(folder, cache):
    """Merge one folder into a cache; returns what came of it, or raises why it was refused."""
    (merged,) = merge_caches([folder], cache)
    if isinstance(merged, CacheError):
        raise merged
    return merged


def damage_flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
