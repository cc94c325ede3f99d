"""Every option in one place: its name, default, limits and help; TOML and command line merged.

A field of `Config` declares an option; `build_atlas.py --help`, the keys of `atlas.toml`, the
keywords of `atlas.build` and README's test are made from them. Start at `configure`.
"""

import os
import shlex
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from .errors import InputError, UsageError, did_you_mean
from .normalisation import check_normalisation
from .options import (
    CHANNELS,
    CLASSES,
    DICTIONARIES,
    DIGEST,
    FLAG,
    FOLDER,
    IMAGES,
    LAYERS,
    LIVE,
    MEAN,
    MODEL,
    MOST_CHANNELS,
    ON_OFF,
    OUTPUTS,
    RECIPES,
    SHARD,
    SIZE,
    SOME_LAYERS,
    SPREAD,
    SWITCH,
    Option,
    above_zero,
    check_shown,
    location,
    one_of,
    text,
    whole,
)
from .shapes import Size

EMBEDDED_MODEL = "efficientnet_lite0"

MAX_PIXELS = 50_000_000
"""Pixels of the largest picture that is decoded; OpenCV itself allows 2^30, 3 GB of memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings of one run, checked. Field names are option names with `_` for `-`.

    Raises:
        UsageError: a value is outside its limits.
    """

    model: str = MODEL.option(
        EMBEDDED_MODEL,
        "efficientnet_lite0 (embedded, no download), a torchvision classification, segmentation "
        "or detection model, timm/NAME, or package.module:callable that returns your own network",
    )
    name: str = text("NAME").option(
        "", "name of the atlas in cache and site; keeps two checkpoints of one model apart"
    )
    weights: str = location("FILE").option("", "state_dict to load instead of the published one")
    weights_sha256: str = DIGEST.option(
        "", "SHA-256 that the weights must have, 64 digits, or its first 8 or more"
    )
    images: str = IMAGES.option(
        "sample",
        "sample images: a folder (searched with its subfolders), the embedded photographs, or "
        "torchvision's Imagenette (downloaded once)",
    )
    max_pixels: int = whole(1, 2**30).option(
        MAX_PIXELS, "pixels of the largest sample image that is decoded; larger ones are skipped"
    )
    crop: float = above_zero("SHARE", 1, "a number above 0 and at most 1").option(
        0,
        "side of the central square that the network sees, over the shorter side of the picture; "
        "0: as in the evaluation of the published weights; for your own network, all of it",
    )
    follow_links: bool = FLAG.option(
        False,
        "also follow links in the folder of --images, wherever they lead",
    )
    layers: tuple[str, ...] = LAYERS.option(
        ("blocks",), "blocks, children, all, or layer names and globs separated by commas"
    )
    dictionary: tuple[str, ...] = DICTIONARIES.option(
        (),
        "directions of a layer as a layer of its own, LAYER=METHOD:K (nmf, semi-nmf, kmeans, pca) "
        "or LAYER=FILE (.npz, .safetensors); several separated by commas, or the option repeated",
    )
    units: int | Literal["all"] = whole(1, 1_000_000, "N|all", "all").option(
        10, "units to render per layer"
    )
    rank: str = one_of("mean", "max", "contrast").option(
        "mean", "statistic that orders the units of a layer"
    )
    recipe: tuple[str, ...] = RECIPES.option(
        ("auto",),
        "how units are rendered; auto: octaves, and company if the statistics come from at least "
        "100 distinct images",
    )
    negative: bool = FLAG.option(False, "also render the picture that excites each unit least")
    facets: int = whole(0, 8).option(
        0, "render N further pictures of each unit, each different from the others"
    )
    snapshots: bool = FLAG.option(False, "keep the picture after each octave")
    classes: tuple[str, ...] | int | Literal["all"] = CLASSES.option(
        10,
        "classes to show: the N that the sample images look most like, all, or names and indices "
        "separated by commas",
    )
    lenses: int = whole(0, 1_000_000).option(
        24, "sample images that get a page: predictions, saliency, fooling image, feature maps"
    )
    target: str = text("CLASS|auto").option(
        "auto",
        "class towards which fooling images are changed; auto: the least likely of ten classes "
        "spread over all",
    )
    outputs: str = OUTPUTS.option(
        "auto",
        "what the network returns: scores for a softmax, probabilities, an independent answer for "
        "each class, or no classes; auto: found out from its answers",
    )
    class_names: str = location("FILE|none").option(
        "",
        "names of the classes, .txt (one a line), .json or .csv; without it, your own network "
        "takes them from the folders of --images if there is one for each class",
    )
    compare: str = text("NAME").option(
        "",
        "another atlas of the same cache and images, to compare this one with, unit by unit",
    )
    lists: str = location("FILE").option(
        "",
        "lists of units with a sentence each, for list pages and tours; without it, lists.toml "
        "where you are and beside build_atlas.py",
    )
    reference: str = location("FILE|auto|none").option(
        "auto",
        "statistics of a larger image set that scores are measured against; auto: the one that "
        "comes with the embedded default model",
    )
    save_reference: str = location("FILE").option(
        "", "with rank: write the statistics of this image set as a reference file"
    )
    observer: str = text("auto|NAME|none").option(
        "auto",
        "network that had no part in the pictures and judges whether they identify their units; "
        "auto: MobileNetV2 where it is installed",
    )
    masks: str = one_of("auto", "off").option(
        "auto",
        "show on which pixels of its best patches each unit hangs; off: only where the patches are",
    )
    circuits: str = one_of("auto", "off").option(
        "auto",
        "show which units feed each unit, which ones it feeds, and which classes it raises and "
        "lowers",
    )
    meanings: Literal["on", "off"] = ON_OFF.option(
        "off",
        "find out whether the images that excite a unit most fall into groups, and render a "
        "picture of each",
    )
    map: tuple[str, ...] = SOME_LAYERS.option(
        (),
        "layers that get an activation atlas: what they make of positions all over the images, "
        "like ones side by side, as pictures",
    )
    size: int = whole(32, 1024, "PX").option(224, "longer side of a rendering in pixels")
    seed: int = whole(0, 2**63 - 1, "INT").option(0, "seed of the whole atlas")
    device: str = text("auto|cpu|cuda|cuda:N|mps").option(
        "auto", "device on which the network runs"
    )
    precision: str = one_of("auto", "fp32", "bf16", "fp16").option(
        "auto", "arithmetic of the network; auto: bf16 on GPUs that support it, fp32 elsewhere"
    )
    batch: int | Literal["auto"] = whole(1, 4096, "auto|N", "auto").option(
        "auto", "units optimised together; auto: 8, or on a GPU what its memory holds"
    )
    compile: Literal["auto", "on", "off"] = SWITCH.option(
        "auto",
        "auto: on a GPU, record gradient steps as CUDA graphs where that pays; on: record them at "
        "any size, and run the building blocks through torch.compile; off: neither",
    )
    shard: tuple[int, int] = SHARD.option(
        (1, 1), "render only the I-th of N parts of the units; `merge` puts the parts together"
    )
    engine: str = one_of("local", "ray").option(
        "local", "where units are rendered: in this process, or in the workers of a Ray cluster"
    )
    cache: Path = FOLDER.option(Path("cache"), "folder that keeps finished work")
    site: Path = FOLDER.option(Path("site"), "folder of the generated site")
    site_part: tuple[int, int] = SHARD.option(
        (1, 1),
        "write only the I-th of N sites that show the layers of an atlas in turn and link to each "
        "other; the name of --site ends in I, those of the others, beside it, in their number",
    )
    live: str = LIVE.option(
        "on", "let the site be looked at while a build goes on: it is brought up to date meanwhile"
    )
    site_url: str = text("URL").option(
        "", "public address of the site, for sitemap and link previews"
    )
    mean: tuple[float, ...] = MEAN.option((), "input mean of your own network")
    std: tuple[float, ...] = SPREAD.option((), "input standard deviation of your own network")
    input_size: Size = SIZE.option(
        0, "input side of your own network, or height x width, such as 128x64"
    )
    channels: int = whole(1, MOST_CHANNELS, "N", 0).option(
        0, "input channels of your own network, if its first convolution does not tell"
    )
    show_channels: tuple[int, ...] = CHANNELS.option(
        (),
        "for networks with neither 1 nor 3 input channels: the three, counted from 1, that pages "
        "show as red, green and blue, or the one shown in grey; without it, the first three",
    )
    white: float = above_zero("X", sys.float_info.max, "a number above 0, such as 10000").option(
        0,
        "the number in .npy and TIFF files that counts as 1, such as 10000 for reflectance; 0: "
        "255 of 8 bits, 65535 of 16, 1 of fractions",
    )
    out: str = location("FILE").option("", "with export and figure: the file to write")
    quiet: bool = FLAG.option(False, "print no progress")
    verbose: bool = FLAG.option(False, "print tracebacks and details", short="v")
    strict: bool = FLAG.option(False, "stop at the first file or unit that fails")

    @property
    def atlas_name(self) -> str:
        """Name of the atlas in the cache and on the site."""
        return self.name or self.model

    def __post_init__(self) -> None:
        for one in OPTIONS:
            one.check(f"--{one.name}", getattr(self, one.key))
        check_shown(self.show_channels, self.channels)
        check_normalisation(self.mean, self.std)


OPTIONS: tuple[Option, ...] = tuple(
    replace(one.metadata["option"], name=one.name.replace("_", "-")) for one in fields(Config)
)
"""All options, in the order of the help."""


def configure(given: Mapping[str, str], config_file: str = "") -> Config:
    """Merge defaults, `config_file` and the command line, in rising order of precedence.

    Args:
        given: option key → text, only for options that were typed.
        config_file: path of a TOML file whose keys are option names, or "".

    Raises:
        InputError: the file cannot be read.
        UsageError: an unknown key, or a value outside its limits.
    """
    texts = {**read_toml(config_file), **given} if config_file else dict(given)
    by_key = {option.key: option for option in OPTIONS}
    return Config(**{key: by_key[key].read(text) for key, text in texts.items()})


def read_toml(path: str) -> dict[str, str]:
    """Read option texts from a TOML file; lists become comma-separated text.

    Raises:
        InputError: no such file, or not TOML.
        UsageError: a key that is no option.
    """
    try:
        table = tomllib.loads(Path(path).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"cannot read configuration {path}: {error}") from error
    keys = [option.key for option in OPTIONS]
    texts = {}
    for name, value in table.items():
        key = name.replace("-", "_")
        if key not in keys:
            raise UsageError(f"{path}: unknown key {name!r}{did_you_mean(key, keys)}")
        texts[key] = toml_text(value)
    return texts


def toml_text(value: object) -> str:
    """The text a user would have typed for a TOML value."""
    if isinstance(value, list):
        return ",".join(toml_text(part) for part in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


# --- identity ------------------------------------------------------------------------------------


def source_date_epoch() -> int | None:
    """The time that reproducible builds ask for, in seconds, if the environment sets one."""
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    return int(text) if text.isdecimal() else None


def ray_address() -> str:
    """The cluster that Ray is to use, `HOST:PORT`, if the environment names one."""
    return os.environ.get("RAY_ADDRESS", "")


IN_A_CLONE = "python build_atlas.py"
"""The command that starts the program where nothing is installed."""

RUN_ONLY = (
    *("quiet", "verbose", "strict", "cache", "site", "device", "site_url", "lists", "out"),
    *("engine", "live", "site_part"),
)
"""Options that change nothing of what an atlas shows."""


def changed_options(config: Config) -> list[tuple[Option, Any]]:
    """The options that are not as they are by default and their values, run-only ones left out."""
    values = [(one, getattr(config, one.key)) for one in OPTIONS if one.key not in RUN_ONLY]
    return [(one, value) for one, value in values if value != one.default]


def command_line(config: Config, command: str = "build", program: str = IN_A_CLONE) -> str:
    """The shortest command that means `config`, run-only options left out."""
    words = [f"{program} {command}"]
    for one, value in changed_options(config):
        typed = one.typed(value)
        joint = "=" if typed.startswith("-") else " "  # a value like -1 is taken for an option
        words.append(f"--{one.name}" if one.is_flag else f"--{one.name}{joint}{shlex.quote(typed)}")
    return " ".join(words)
