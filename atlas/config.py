"""Every option in one place: its name, default, limits and help; TOML and command line merged.

`OPTIONS` is the table; `build_atlas.py --help`, the keys of `atlas.toml` and README's test are made
from it. Start at `configure`.
"""

import hashlib
import json
import math
import os
import re
import shlex
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from .errors import InputError, UsageError, did_you_mean
from .shapes import Size, pair, typed

RANKS = ("mean", "max", "contrast")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
ENGINES = ("local", "ray")
OUTPUTS = ("auto", "logits", "probabilities", "multilabel", "none")
EMBEDDED_MODEL = "efficientnet_lite0"

MOST_CHANNELS = 64
"""Of a network's input: pictures of more would not fit into the memory that one may take."""

MAX_PIXELS = 50_000_000
"""Pixels of the largest picture that is decoded; OpenCV itself allows 2^30, 3 GB of memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings of one run, checked. Field names are option names with `_` for `-`.

    Raises:
        UsageError: a value is outside its limits.
    """

    model: str = EMBEDDED_MODEL
    name: str = ""
    weights: str = ""
    weights_sha256: str = ""
    images: str = "sample"
    max_pixels: int = MAX_PIXELS
    crop: float = 0
    follow_links: bool = False
    layers: tuple[str, ...] = ("blocks",)
    units: int | Literal["all"] = 10
    rank: str = "mean"
    recipe: tuple[str, ...] = ("auto",)
    negative: bool = False
    facets: int = 0
    snapshots: bool = False
    classes: tuple[str, ...] | int | Literal["all"] = 10
    lenses: int = 24
    target: str = "auto"
    outputs: str = "auto"
    class_names: str = ""
    compare: str = ""
    reference: str = "auto"
    save_reference: str = ""
    size: int = 224
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    batch: int | Literal["auto"] = "auto"
    compile: bool = False
    shard: tuple[int, int] = (1, 1)
    engine: str = "local"
    cache: Path = Path("cache")
    site: Path = Path("site")
    site_url: str = ""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    input_size: Size = 0
    channels: int = 0
    show_channels: tuple[int, ...] = ()
    white: float = 0
    out: str = ""
    quiet: bool = False
    verbose: bool = False
    strict: bool = False

    @property
    def atlas_name(self) -> str:
        """What cache and site call the atlas."""
        return self.name or self.model

    def __post_init__(self) -> None:
        for name in ("model", "images"):
            if not getattr(self, name).strip():
                raise UsageError(f"--{name} is empty; see `build_atlas.py build --help`")
        if not self.layers:
            raise UsageError(
                "--layers is empty; allowed: blocks, children, all, or names and globs"
            )
        if not self.recipe or len(set(self.recipe)) != len(self.recipe):
            raise UsageError(f"--recipe names no recipe, or one twice: {','.join(self.recipe)!r}")
        check_choice("--rank", self.rank, RANKS)
        check_choice("--precision", self.precision, PRECISIONS)
        if self.units != "all":
            check_range("--units", self.units, 1, 1_000_000)
        if self.batch != "auto":
            check_range("--batch", self.batch, 1, 4096)
        if isinstance(self.classes, int):
            check_range("--classes", self.classes, 0, 1_000_000)
        check_range("--lenses", self.lenses, 0, 1_000_000)
        check_choice("--engine", self.engine, ENGINES)
        check_choice("--outputs", self.outputs, OUTPUTS)
        if not 1 <= self.shard[0] <= self.shard[1]:
            raise UsageError(
                f"--shard must be I/N with 1 <= I <= N, got {self.shard[0]}/{self.shard[1]}"
            )
        if self.channels:
            check_range("--channels", self.channels, 1, MOST_CHANNELS)
        check_shown(self.show_channels, self.channels)
        check_range("--facets", self.facets, 0, 8)
        check_range("--size", self.size, 32, 1024)
        check_range("--max-pixels", self.max_pixels, 1, 2**30)
        check_range("--seed", self.seed, 0, 2**63 - 1)
        if self.input_size:
            for side in pair(self.input_size):
                check_range("--input-size", side, 8, 2048)
        for name in ("mean", "std"):
            values = getattr(self, name)
            if len(values) > MOST_CHANNELS or not all(map(math.isfinite, values)):
                raise UsageError(f"--{name} takes one number, or one a channel, got {values}")
        if any(value <= 0 for value in self.std):
            raise UsageError(f"--std must be above 0, got {self.std}")
        check_pixels(self.mean, self.std)


def check_choice(option: str, value: str, allowed: Sequence[str]) -> None:
    """Raise a UsageError that names the closest value unless `value` is allowed."""
    if value not in allowed:
        hint = did_you_mean(value, allowed)
        raise UsageError(f"{option} is {value!r}; allowed: {', '.join(allowed)}{hint}")


def check_range(option: str, value: int, low: int, high: int) -> None:
    """Raise a UsageError unless low <= value <= high."""
    if not low <= value <= high:
        raise UsageError(f"{option} must be from {low} to {high}, got {value}")


def check_shown(shown: Sequence[int], channels: int) -> None:
    """Raise a UsageError unless one or three channels are shown that there may be."""
    if shown and len(shown) not in (1, 3):
        raise UsageError(f"--show-channels takes one channel or three, got {len(shown)}")
    for channel in shown:
        check_range("--show-channels", channel, 1, channels or MOST_CHANNELS)


def check_pixels(mean: Sequence[float], std: Sequence[float]) -> None:
    """Raise a UsageError that says what is meant for numbers that pixels in [0, 1] cannot have.

    Legal are a mean in [0, 1] and a spread in (0, 1]: 0 and 1/255 make pixels from 0 to 255, .5 and
    .5 from -1 to 1.
    """
    if all(0 <= value <= 1 for value in mean) and all(value <= 1 for value in std):
        return
    hint = "" if min(mean, default=0) < 0 else f"; did you mean {typed_input(*meant(mean, std))}?"
    raise UsageError(
        f"{typed_input(mean, std)}: pixels are in [0, 1], so a mean is too and no std is above 1"
        f"{hint}"
    )


def meant(mean: Sequence[float], std: Sequence[float]) -> tuple[list[float], list[float]]:
    """Mean and spread in [0, 1] of numbers for pixels from 0 to 255, or that lack their point."""
    largest = max((*mean, *(2 * value for value in std)))  # no spread is above half the range
    if largest > 255 and {*std} != {255.0}:
        return [put_point(value) for value in mean], [put_point(value) for value in std]
    in_bytes = max(mean, default=0) > 1
    means = [value / 255 for value in mean] if in_bytes else [*mean]
    fits = max(std, default=0) < 1
    return means, [*std] if fits else [value / 255 for value in std]


def put_point(value: float) -> float:
    """406 → .406; what is not above 1 has its point."""
    return value / 10 ** len(str(int(value))) if value > 1 else value


def typed_input(mean: Sequence[float], std: Sequence[float]) -> str:
    """The options as they are typed, with four digits at most."""
    options = {"--mean": mean, "--std": std}
    texts = {name: ",".join(f"{value:.4g}" for value in options[name]) for name in options}
    return " ".join(f"{name} {text}" for name, text in texts.items() if text)


# --- from text to values -------------------------------------------------------------------------


def parse_names(option: str, text: str) -> tuple[str, ...]:
    """Split a comma-separated list; blanks around names do not count."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def parse_integer(option: str, text: str) -> int:
    """Read an integer, or say which option wanted one."""
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"{option} takes a whole number, got {text!r}") from None


def parse_units(option: str, text: str) -> int | Literal["all"]:
    """Read a number of units, or `all`."""
    return "all" if text == "all" else parse_integer(option, text)


def parse_classes(option: str, text: str) -> tuple[str, ...] | int | Literal["all"]:
    """Read a number of classes, `all`, or a list of names and indices (`207,` is a list of one)."""
    if text.strip() == "all":
        return "all"
    if re.fullmatch(r"\s*\d+\s*", text):
        return int(text)
    names = parse_names(option, text)
    if not names:
        raise UsageError(f"{option} takes a number, all, or class names and indices, got {text!r}")
    return names


def parse_shard(option: str, text: str) -> tuple[int, int]:
    """Read `I/N`."""
    match = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", text)
    if not match:
        raise UsageError(f"{option} takes I/N, such as 2/8, got {text!r}")
    return int(match[1]), int(match[2])


def parse_batch(option: str, text: str) -> int | Literal["auto"]:
    """Read a batch size, or `auto`."""
    return "auto" if text == "auto" else parse_integer(option, text)


def parse_numbers(option: str, text: str) -> tuple[float, ...]:
    """Read comma-separated numbers."""
    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise UsageError(f"{option} takes one number, or one a channel, got {text!r}") from None


def parse_channels(option: str, text: str) -> tuple[int, ...]:
    """Read comma-separated numbers of channels, counted from 1."""
    return tuple(parse_integer(option, part) for part in text.split(","))


def parse_size(option: str, text: str) -> Size:
    """Read a side, or a height and a width; equal ones are a side."""
    parts = [
        parse_integer(option, part) for part in re.split("[xX×,]", text)
    ]  # a pair of Python has a comma
    if len(parts) > 2:
        raise UsageError(f"{option} takes a side, or height x width such as 128x64, got {text!r}")
    return parts[0] if parts[0] == parts[-1] else (parts[0], parts[1])


def parse_white(option: str, text: str) -> float:
    """Read a number above 0."""
    try:
        white = float(text)
    except ValueError:
        white = math.nan
    if not 0 < white < math.inf:
        raise UsageError(f"{option} takes a number above 0, such as 10000, got {text!r}")
    return white


def parse_share(option: str, text: str) -> float:
    """Read a number above 0 and at most 1."""
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 < share <= 1:
        raise UsageError(f"{option} takes a number above 0 and at most 1, got {text!r}")
    return share


def parse_text(option: str, text: str) -> str:
    """Take the text as it is, unless it holds a NUL character."""
    if "\0" in text:
        raise UsageError(f"{option} holds a NUL character")
    return text


def parse_digest(option: str, text: str) -> str:
    """Read a SHA-256 or its first digits, at least 8: fewer could fit by chance."""
    if not re.fullmatch("[0-9a-f]{8,64}", text.lower()):
        raise UsageError(f"{option} takes 8 to 64 hexadecimal digits, got {text!r}")
    return text.lower()


def parse_location(option: str, text: str) -> str:
    """Take the name of a file, a folder or a set as it is; `~` is the home folder."""
    return os.path.expanduser(parse_text(option, text))


def parse_path(option: str, text: str) -> Path:
    """Read a path; `~` is the home folder."""
    if not text.strip():
        raise UsageError(f"{option} is empty; it takes a folder")
    return Path(parse_text(option, text)).expanduser()


def parse_flag(option: str, text: str) -> bool:
    """Read a flag from a configuration file."""
    if text.lower() not in ("true", "false"):
        raise UsageError(f"{option} takes true or false, got {text!r}")
    return text.lower() == "true"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option: `--name METAVAR  help`, and how its text becomes a value of `Config`."""

    name: str
    metavar: str
    help: str
    parse: Callable[[str, str], Any] = field(default=parse_text)
    short: str = ""

    @property
    def key(self) -> str:
        return self.name.replace("-", "_")

    @property
    def is_flag(self) -> bool:
        return self.parse is parse_flag


OPTIONS: tuple[Option, ...] = (
    Option(
        name="model",
        metavar="NAME",
        help="efficientnet_lite0 (embedded, no download), a torchvision classification, "
        "segmentation or detection model, timm/NAME, or package.module:callable that returns "
        "your own network",
    ),
    Option(
        name="name",
        metavar="NAME",
        help="what cache and site call the atlas, to keep two checkpoints of one model apart",
    ),
    Option(
        name="weights",
        metavar="FILE",
        help="state_dict to load instead of the published one",
        parse=parse_location,
    ),
    Option(
        name="weights-sha256",
        metavar="DIGEST",
        help="SHA-256 that the weights must have, 64 digits or the first 8 and more",
        parse=parse_digest,
    ),
    Option(
        name="images",
        metavar="DIR|sample|imagenette",
        help="sample images: a folder (searched with its subfolders), the embedded photographs, "
        "or torchvision's Imagenette (downloaded once)",
        parse=parse_location,
    ),
    Option(
        name="max-pixels",
        metavar="N",
        help="pixels of the largest sample image that is decoded; larger ones are skipped",
        parse=parse_integer,
    ),
    Option(
        name="crop",
        metavar="SHARE",
        help="side of the central square that the network sees, over the shorter side of the "
        "picture; 0: as the published weights were evaluated, and for your own network all of it",
        parse=parse_share,
    ),
    Option(
        name="follow-links",
        metavar="",
        help="use pictures and folders that links in the folder of --images lead to, wherever "
        "they are",
        parse=parse_flag,
    ),
    Option(
        name="layers",
        metavar="WHICH",
        help="blocks, children, all, or layer names and globs separated by commas",
        parse=parse_names,
    ),
    Option(name="units", metavar="N|all", help="units to render per layer", parse=parse_units),
    Option(name="rank", metavar="|".join(RANKS), help="statistic that orders the units of a layer"),
    Option(
        name="recipe",
        metavar="NAME[,NAME]",
        help="how units are rendered; auto: octaves, and company where 100 distinct images stand "
        "behind the statistics",
        parse=parse_names,
    ),
    Option(
        name="negative", metavar="", help="also render what each unit dislikes", parse=parse_flag
    ),
    Option(
        name="facets",
        metavar="N",
        help="also render N more pictures of each unit, unlike one another",
        parse=parse_integer,
    ),
    Option(
        name="snapshots", metavar="", help="keep the picture after each octave", parse=parse_flag
    ),
    Option(
        name="classes",
        metavar="N|all|LIST",
        help="classes to show: the N that the sample images look most like, all, or names and "
        "indices separated by commas",
        parse=parse_classes,
    ),
    Option(
        name="lenses",
        metavar="N",
        help="sample images that get a page: predictions, saliency, fooling image, feature maps",
        parse=parse_integer,
    ),
    Option(
        name="target",
        metavar="CLASS|auto",
        help="class that fooling images are pushed to; auto: the least likely of ten spread over "
        "all classes",
    ),
    Option(
        name="outputs",
        metavar="|".join(OUTPUTS),
        help="what the network puts out: scores that softmax makes probabilities of, probabilities "
        "themselves, a class by itself each, or no classes; auto: told by looking",
    ),
    Option(
        name="class-names",
        metavar="FILE|none",
        help="names of the classes, .txt (one a line), .json or .csv; without it a network of your "
        "own takes them from the folders of --images where there is one for each class",
        parse=parse_location,
    ),
    Option(
        name="compare",
        metavar="NAME",
        help="atlas in the same cache and over the same images that this one is compared with, "
        "unit by unit",
    ),
    Option(
        name="reference",
        metavar="FILE|auto|none",
        help="statistics of a larger image set that scores are measured against; auto: the one "
        "that comes with the embedded default",
        parse=parse_location,
    ),
    Option(
        name="save-reference",
        metavar="FILE",
        help="with rank: write the statistics of this image set as a reference file",
        parse=parse_location,
    ),
    Option(
        name="size", metavar="PX", help="side of a rendering, the longer one", parse=parse_integer
    ),
    Option(name="seed", metavar="INT", help="seed of the whole atlas", parse=parse_integer),
    Option(name="device", metavar="auto|cpu|cuda|cuda:N|mps", help="where the network runs"),
    Option(
        name="precision",
        metavar="|".join(PRECISIONS),
        help="arithmetic of the network; auto: bf16 on GPUs that have it, fp32 everywhere else",
    ),
    Option(
        name="batch",
        metavar="auto|N",
        help="units optimised together; auto: 8, on GPUs by their memory and the layer",
        parse=parse_batch,
    ),
    Option(
        name="compile",
        metavar="",
        help="run the building blocks through torch.compile; worth it on GPUs and many units only",
        parse=parse_flag,
    ),
    Option(
        name="shard",
        metavar="I/N",
        help="do only the I-th of N parts of the renderings; `merge` puts the parts together",
        parse=parse_shard,
    ),
    Option(
        name="engine",
        metavar="|".join(ENGINES),
        help="who renders: this process, or the workers of a Ray cluster",
    ),
    Option(name="cache", metavar="DIR", help="folder of finished work", parse=parse_path),
    Option(name="site", metavar="DIR", help="folder of the generated site", parse=parse_path),
    Option(name="site-url", metavar="URL", help="public address, for sitemap and link previews"),
    Option(
        name="mean", metavar="X[,X…]", help="input mean of your own network", parse=parse_numbers
    ),
    Option(
        name="std", metavar="X[,X…]", help="input spread of your own network", parse=parse_numbers
    ),
    Option(
        name="input-size",
        metavar="PX|HxW",
        help="input side of your own network, or height x width, such as 128x64",
        parse=parse_size,
    ),
    Option(
        name="channels",
        metavar="N",
        help="input channels of your own network, where its first convolution does not say",
        parse=parse_integer,
    ),
    Option(
        name="show-channels",
        metavar="N[,N,N]",
        help="the three channels, counted from 1, that pages show as red, green and blue, or the "
        "one that they show in grey, of a network that takes neither 1 nor 3; the first three",
        parse=parse_channels,
    ),
    Option(
        name="white",
        metavar="X",
        help="the number in .npy and TIFF files that counts as 1, such as 10000 for reflectance; "
        "0: 255 of 8 bits, 65535 of 16, 1 of fractions",
        parse=parse_white,
    ),
    Option(name="out", metavar="FILE", help="with export: the file to write", parse=parse_location),
    Option(name="quiet", metavar="", help="no progress", parse=parse_flag),
    Option(name="verbose", metavar="", help="tracebacks and details", parse=parse_flag, short="v"),
    Option(
        name="strict",
        metavar="",
        help="stop at the first file or unit that fails",
        parse=parse_flag,
    ),
)


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
    return Config(**{key: by_key[key].parse(f"--{by_key[key].name}", texts[key]) for key in texts})


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


def canonical_json(value: object) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def fingerprint(value: object) -> str:
    """SHA-256 (64 hexadecimal digits) of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def source_date_epoch() -> int | None:
    """The time that reproducible builds ask for, in seconds, if the environment sets one."""
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    return int(text) if text.isdecimal() else None


def ray_address() -> str:
    """The cluster that Ray is to use, `HOST:PORT`, if the environment names one."""
    return os.environ.get("RAY_ADDRESS", "")


def as_typed(key: str, value: object) -> str:
    """A value as it would be typed on the command line."""
    if not isinstance(value, tuple):
        return str(value)
    if key == "input_size":
        return typed((value[0], value[1]))
    if key == "shard":
        return f"{value[0]}/{value[1]}"
    text = ",".join(map(str, value))
    return f"{text}," if key == "classes" and text.isdecimal() else text


IN_A_CLONE = "python build_atlas.py"
"""How the command line is started where nothing is installed."""

RUN_ONLY = ("quiet", "verbose", "strict", "cache", "site", "device", "site_url", "out", "engine")
"""Options that change nothing of what an atlas shows."""


def changed_options(config: Config) -> dict[str, Any]:
    """The options that are not as they are by default, run-only ones left out."""
    default, names = Config(), [option.name for option in fields(Config)]
    values = {name: getattr(config, name) for name in names if name not in RUN_ONLY}
    return {name: value for name, value in values.items() if value != getattr(default, name)}


def command_line(config: Config, command: str = "build", program: str = IN_A_CLONE) -> str:
    """The shortest command that means `config`, run-only options left out."""
    words = [f"{program} {command}"]
    for key, value in changed_options(config).items():
        name, text = f"--{key.replace('_', '-')}", as_typed(key, value)
        joint = "=" if text.startswith("-") else " "  # a value like -1 is taken for an option
        words.append(name if value is True else f"{name}{joint}{shlex.quote(text)}")
    return " ".join(words)
