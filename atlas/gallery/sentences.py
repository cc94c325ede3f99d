"""The sentence that explains each score, and what the scores are measured against.

Every sentence says what was measured and against what, so that nobody has to know the scores
beforehand.
"""

import math

from ..records.samples import CentralCrop
from ..records.units import Scores
from ..shapes import Size
from .evidence_sentences import EXPLAINED
from .text import BEYOND, number, plural

FEW_IMAGES = 100
"""Below so many distinct files an atlas demonstrates rather than measures."""

STATUSES = {
    "ok": "passes every gate: REACH at least 1 (as exciting as the best natural image), SELECT at "
    "most 3, ROBUST at least .6, HF at most 3",
    "weak": "fails at least one of these gates, which its page names, so read it with care",
    "dead": "no attempt excited the unit",
    "nonfinite": "the unit’s activations are not finite numbers, so it is not ranked",
    "failed": "the rendering failed",
    "unrendered": "not rendered yet",
}

SCORES = {
    "activation": "Spatial mean of the unit on the rendering, in the network’s own units.",
    "reach": "(activation − mean) / (max − mean) over the natural images: 1 means as exciting as "
    "the best of them, which is the line across the bar, 2 twice as far above the mean.",
    "select": "Rank of the unit among all channels of its layer on its own rendering, each "
    "activation standardised by its mean and spread over the natural images; 1 is best.",
    "robust": "Median share of REACH that is left after eight fixed small changes (shift, scale, "
    "rotation, blur, JPEG); near 1 means that the picture does not depend on individual pixels.",
    "hf": "Share of energy above .25 cycles per pixel, divided by the median of the natural "
    "images; far above 1 means an adversarial-looking, noise-like grid.",
    **EXPLAINED,
}


def crop_sentence(crop: CentralCrop, size: Size) -> str:
    """Return the sentence on the part of a picture that the network sees, and on its size.

    Args:
        crop: the part.
        size: of the network's input.
    """
    share = "all" if crop.share == 1 else f"{crop.share:.4g}"
    if not isinstance(size, int):
        height, width = size
        of = "" if crop.share == 1 else f"{share} of "
        return (
            f"{of}the largest central rectangle in the proportion {height} : {width}, resized to "
            f"{height} × {width} px (height × width) by area means"
        )
    part = f"central square of {share} of the shorter side"
    if crop.squash:
        part = f"central {share} of both sides, squashed into a square"
    text = f"{part}, resized to {size} px by area means"
    return f"{text}; pictures prepared for {size} px are not resized" if crop.prepared else text


def images_sentence(images: int, distinct: int, reference: str = "") -> str:
    """Return the sentence on the number of images behind the scores, and on its limits.

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


def few_sentence(images: int, distinct: int) -> str:
    """Return the remark of every page of an atlas that stands on few photographs, or ""."""
    if distinct >= FEW_IMAGES:
        return ""
    crops = f", {plural(images, 'crop')}" if images > distinct else ""
    return f"Its patches come from {plural(distinct, 'photograph')}{crops}."


def ready_sentence(rendered: int, units: int) -> str:
    """Return the note of every page of an atlas whose build is not done, or ""."""
    if rendered == units:
        return ""
    return (
        f"{rendered:,} of {plural(units, 'unit')} are ready. The build adds the others; load the "
        "page again to see them."
    )


def activation_sentence(
    scores: Scores, natural_end: float, images: str, negative: bool = False
) -> str:
    """Compare the mean activation on the rendering with that on the best natural image.

    Args:
        scores: of the rendering.
        natural_end: the largest activation over the natural images, or the least for `negative`.
        images: how many natural images there are, and of which kind: "250 reference images".
        negative: the rendering shows what the unit dislikes.
    """
    if not math.isfinite(scores.activation):
        return "The unit gave no finite activation on this picture."
    word = "least" if negative else "best"
    end = f"{number(natural_end)} on the {word} of {images}"
    return f"Its mean activation is {number(scores.activation)} on the rendering and {end}."


def reach_sentence(scores: Scores, negative: bool = False) -> str:
    """Say what the REACH means; for `negative` it runs from the mean down to the minimum."""
    end = "the natural image that excites it least" if negative else "the best natural image"
    if not math.isfinite(scores.reach):
        return "No REACH: all natural images give the unit the same activation."
    if scores.reach >= BEYOND:
        return "Beyond every natural image: all of them give the unit the same activation."
    if scores.reach >= 1:
        side = "below" if negative else "above"
        return f"The rendering is {number(scores.reach)} times as far {side} the mean as {end}."
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
        ending = "a finer grid than nature has, much like noise"
    return f"{number(scores.hf)} times the fine detail of the median natural image: {ending}."
