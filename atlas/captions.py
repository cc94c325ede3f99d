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

RECIPES = {
    "octaves": "the image that excites this unit most",
    "company": "the same, kept among the other channels’ natural company; natural images guided it",
    "pyramid": "the recipe of the deep-dream article: growing sizes, pixels optimised directly",
}

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
    "robust": "Median share of REACH that is left after eight fixed small transforms (shift, "
    "scale, rotation); near 1 means that the picture does not hang on single pixels.",
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


def recipe_sentence(recipe: str) -> str:
    """What a recipe shows; "" for one that has no sentence."""
    return RECIPES.get(recipe.partition("-")[0], "")


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


def activation_sentence(scores: Scores, natural_max: float, images: int) -> str:
    """Compare the activation on the rendering with the best sample image."""
    if not math.isfinite(scores.activation):
        return "The unit gave no finite activation on this picture."
    best = f"the best of {plural(images, 'natural image')} reaches {number(natural_max)}"
    return f"The rendering excites the unit to {number(scores.activation)}; {best}."


def reach_sentence(scores: Scores) -> str:
    """Say what the REACH means."""
    if not math.isfinite(scores.reach):
        return "No REACH: the natural images excite the unit all alike, or not at all."
    if scores.reach >= 1:
        times = f"{number(scores.reach)} times as far above the mean as the best natural image"
        return f"The rendering lies {times}."
    if scores.reach <= 0:
        return "The rendering excites the unit no more than an average natural image."
    return f"It gets {scores.reach:.0%} of the way from the mean to the best natural image."


def select_sentence(scores: Scores, channels: int) -> str:
    """Say what the SELECT means."""
    if scores.select < 1:
        return "Not measured."
    if scores.select == 1:
        return f"Of the layer’s {plural(channels, 'channel')} none responds more to this picture."
    verb = "responds" if scores.select == 2 else "respond"
    others = plural(scores.select - 1, "channel")
    return f"{others} of the layer’s {channels} {verb} more to this picture than the unit itself."


def robust_sentence(scores: Scores) -> str:
    """Say what the ROBUST means."""
    if not math.isfinite(scores.robust):
        return "Not measured."
    return f"Shifted, scaled and turned a little, it keeps {scores.robust:.0%} of its REACH."


def hf_sentence(scores: Scores) -> str:
    """Say what the HF means."""
    if not math.isfinite(scores.hf):
        return "Not measured."
    if scores.hf <= 2:
        ending = "about as smooth as nature" if scores.hf >= 0.5 else "smoother than nature"
    else:
        ending = "more fine mesh than nature has"
    return f"{number(scores.hf)} times the fine detail of the median natural image: {ending}."
