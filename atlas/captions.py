"""Numbers and names as the pages print them, and the sentence that explains each score.

Every sentence says what was measured and against what, so that nobody has to know the scores
beforehand. `shown` stands between all text of others and the page.
"""

import math
import re

from .records import Scores

UNSHOWABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
    "\ufeff\ufffe\uffff\ud800-\udfff]"
)
"""Control characters, characters that reverse the text around them, and halves of characters."""

FEW_IMAGES = 100
"""Below so many distinct files an atlas demonstrates rather than measures."""

BEYOND = 1000
"""REACH from which on the yardstick is at fault: the natural images excite the unit all alike."""

RECIPES = {
    "octaves": ("Rendering", "an image optimised to excite this unit as much as it can"),
    "company": (
        "In natural company",
        "optimised with the layer’s other channels held to what natural images make of them when "
        "this unit fires; so natural images guided it",
    ),
    "phase": (
        "Under natural magnitudes",
        "only the phases are optimised; how strong each frequency is was taken from natural images",
    ),
    "pyramid": (
        "Deep-dream pyramid",
        "the recipe of the deep-dream article: growing sizes, pixels optimised directly",
    ),
    "negative": ("What it dislikes", "an image optimised to excite this unit as little as it can"),
    "facet": (
        "Another facet",
        "an image that excites this unit too, held unlike the pictures before it",
    ),
}
"""Title and sentence of each recipe, and of the variants that --negative and --facets add."""

STATUSES = {
    "ok": "excites the unit at least as much as the best natural image",
    "weak": "stays below the best natural image, so read it with care",
    "dead": "the unit stayed silent whatever was tried",
    "nonfinite": "the unit’s activations are not finite numbers, so it is not ranked",
    "failed": "the rendering failed",
    "unrendered": "not rendered yet",
}

SCORES = {
    "activation": "Spatial mean of the unit on the rendering, in the network’s own units.",
    "reach": "(activation − mean) / (max − mean) over the natural images: 1 means as exciting as "
    "the best of them, 2 twice as far above the mean.",
    "select": "Rank of the unit among all channels of its layer on its own rendering, each "
    "activation standardised by its mean and spread over the natural images; 1 is best.",
    "robust": "Median share of REACH that is left after eight fixed small changes (shift, scale, "
    "rotation, blur, JPEG); near 1 means that the picture does not hang on single pixels.",
    "hf": "Share of energy above .25 cycles per pixel, divided by the median of the natural "
    "images; far above 1 means adversarial-looking mesh.",
}


def shown(text: str) -> str:
    """Make text of others harmless to read: what cannot be shown becomes a visible `\\u202e`."""
    return UNSHOWABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def number(value: float) -> str:
    """Three significant digits for people, counts whole; `–` where there is no finite number."""
    if isinstance(value, int):
        return f"{value:,}".replace("-", "−").replace(",", "\u2009")
    if not math.isfinite(value):
        return "–"
    if value and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.2e}".replace("e-0", "e-").replace("e+0", "e").replace("-", "−")
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:,.{min(digits, 5)}f}".replace("-", "−").replace(",", "\u2009")


def plural(count: int, noun: str) -> str:
    """`1 unit`, `2 units`, `7 000 units`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}".replace(",", "\u2009")


def dislikes(recipe: str) -> bool:
    """Whether a recipe shows what a unit dislikes."""
    return recipe.endswith("-negative")


def kind_of(recipe: str) -> str:
    """The entry of RECIPES that a recipe belongs to: `octaves-facet-2` is a facet."""
    base, *variant = recipe.split("-")
    return variant[0] if variant and variant[0] in RECIPES else base


def recipe_title(recipe: str) -> str:
    """What stands over a picture: `What it dislikes`, `Another facet 2`."""
    kind = kind_of(recipe)
    number = f" {recipe.rpartition('-')[2]}" if kind == "facet" else ""
    return RECIPES[kind][0] + number if kind in RECIPES else RECIPES["octaves"][0]


def recipe_sentence(recipe: str) -> str:
    """What a recipe shows; "" for one that has no sentence."""
    return RECIPES.get(kind_of(recipe), ("", ""))[1]


def reach(value: float | None) -> str:
    """REACH for people: `beyond` where it only says that there is no yardstick."""
    if value is not None and math.isfinite(value) and value >= BEYOND:
        return "beyond"
    return number(math.nan if value is None else value)


def images_sentence(images: int, distinct: int, reference: str = "") -> str:
    """How many images stand behind the scores, and how far that carries.

    Args:
        images, distinct: how many, and how many distinct files among them.
        reference: title of the reference set where the scores are not measured against the sample
            images.
    """
    noun = "reference image" if reference else "sample image"
    files = f"{plural(images, noun)} cut from {plural(distinct, 'distinct file')}"
    if images == distinct:
        files = f"{plural(images, noun)}, each a distinct file"
    files += f" ({reference}; the patches come from the sample images)" if reference else ""
    if distinct >= FEW_IMAGES:
        return f"Measured over {files}."
    return f"Measured over {files}: a handful of photographs is a demonstration, not a measurement."


def activation_sentence(
    scores: Scores, natural_end: float, images: int, negative: bool = False
) -> str:
    """Compare the activation on the rendering with the best sample image.

    Args:
        scores: of the rendering.
        natural_end: the largest activation over the natural images, or the least for `negative`.
        images: how many natural images there are.
        negative: the rendering shows what the unit dislikes.
    """
    if not math.isfinite(scores.activation):
        return "The unit gave no finite activation on this picture."
    word = "least" if negative else "best"
    end = f"the {word} of {plural(images, 'natural image')} reaches {number(natural_end)}"
    return f"The rendering excites the unit to {number(scores.activation)}; {end}."


def reach_sentence(scores: Scores, negative: bool = False) -> str:
    """Say what the REACH means; for `negative` it runs from the mean down to the minimum."""
    end = "the natural image that excites it least" if negative else "the best natural image"
    if not math.isfinite(scores.reach):
        return "No REACH: the natural images excite the unit all alike, or not at all."
    if scores.reach >= BEYOND:
        return "Beyond any sample image: they excite the unit all alike, so nothing measures it."
    if scores.reach >= 1:
        side = "below" if negative else "above"
        return f"The rendering lies {number(scores.reach)} times as far {side} the mean as {end}."
    if scores.reach <= 0:
        word = "less" if negative else "more"
        return f"The rendering excites the unit no {word} than an average natural image."
    return f"It gets {scores.reach:.0%} of the way from the mean to {end}."


def select_sentence(scores: Scores, channels: int, negative: bool = False) -> str:
    """Say what the SELECT means; for `negative` it counts from the least active channel."""
    word = "less" if negative else "more"
    if scores.select < 1:
        return "Not measured."
    if scores.select == 1:
        return f"Of the layer’s {plural(channels, 'channel')} none responds {word} to this picture."
    verb = "responds" if scores.select == 2 else "respond"
    others = plural(scores.select - 1, "channel")
    return f"{others} of the layer’s {channels} {verb} {word} to this picture than the unit itself."


def robust_sentence(scores: Scores) -> str:
    """Say what the ROBUST means."""
    if not math.isfinite(scores.robust):
        return "Not measured."
    return f"Shifted, turned, blurred or compressed, it keeps {scores.robust:.0%} of its REACH."


def hf_sentence(scores: Scores) -> str:
    """Say what the HF means."""
    if not math.isfinite(scores.hf):
        return "Not measured."
    if scores.hf <= 2:
        ending = "about as smooth as nature" if scores.hf >= 0.5 else "smoother than nature"
    else:
        ending = "more fine mesh than nature has"
    return f"{number(scores.hf)} times the fine detail of the median natural image: {ending}."
