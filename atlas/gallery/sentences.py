"""Numbers and names as the pages print them, and the sentence that explains each score.

Every sentence says what was measured and against what, so that nobody has to know the scores
beforehand. `shown` stands between all text of others and the page.
"""

import math
import re

from ..records import CentralCrop, Scores
from ..shapes import Size

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
    "pyramid+": (
        "Deep-dream pyramid, shaken",
        "the deep-dream pyramid with a small random shift at each step and edges held back at "
        "three scales",
    ),
    "filter-visualizer": (
        "Scaled up step by step",
        "the recipe of fastai’s FilterVisualizer: light noise, optimised and scaled up twelve "
        "times, with nothing to hold fine detail back",
    ),
    "ascent": (
        "Plain gradient ascent",
        "the bare formula of the cs231n notes, steps along the gradient from noise: it excites "
        "the unit by fine patterns that mean little to people",
    ),
    "class": (
        "Class visualization",
        "the cs231n recipe for class scores: unit steps, small shifts, now and then a slight blur",
    ),
    "negative": ("What it dislikes", "an image optimised to excite this unit as little as it can"),
    "facet": (
        "Another facet",
        "an image that excites this unit too, held unlike the pictures before it",
    ),
}
"""Title and sentence of each recipe, and of the variants that --negative and --facets add."""

VARIANT = re.compile(r".+-(?:negative|facet-(?P<facet>\d+))")
"""Names that --negative and --facets give."""

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
    return kind_of(recipe) == "negative"


def kind_of(recipe: str) -> str:
    """The entry of RECIPES that a recipe belongs to: `octaves-facet-2` is a facet.

    A name with a dash may be a recipe of its own (`filter-visualizer`) or a variant of one
    (`filter-visualizer-blurred`); one that belongs to no entry is returned as it is.
    """
    variant = VARIANT.fullmatch(recipe)
    if recipe not in RECIPES and variant:
        return "facet" if variant["facet"] else "negative"
    name = recipe
    while name not in RECIPES and "-" in name:
        name = name.rpartition("-")[0]
    return name if name in RECIPES else recipe


def recipe_title(recipe: str) -> str:
    """What stands over a picture: `What it dislikes`, `Another facet 2`."""
    variant = VARIANT.fullmatch(recipe)
    number = f" {variant['facet']}" if variant and variant["facet"] else ""
    return RECIPES.get(kind_of(recipe), RECIPES["octaves"])[0] + number


def recipe_sentence(recipe: str) -> str:
    """What a recipe shows; "" for one that has no sentence."""
    return RECIPES.get(kind_of(recipe), ("", ""))[1]


def reach(value: float | None) -> str:
    """REACH for people: `beyond` where it only says that there is no yardstick."""
    if value is not None and math.isfinite(value) and value >= BEYOND:
        return "beyond"
    return number(math.nan if value is None else value)


def crop_sentence(crop: CentralCrop, size: Size) -> str:
    """Which part of a picture the network sees, and how large.

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


# --- classes -------------------------------------------------------------------------------------


def classes(count: int) -> str:
    """`1 class`, `2 classes`."""
    return "1 class" if count == 1 else f"{number(count)} classes"


def class_recipe_sentence(recipe: str) -> str:
    """What a recipe shows of a class; "" for one that has no sentence."""
    return recipe_sentence(recipe).replace("excite this unit", "raise the score of this class")


def percent(value: float) -> str:
    """A probability for people: `99.7 %`; near the ends it says so instead of 0 or 100."""
    if not math.isfinite(value):
        return "–"
    if value < 0.0005:
        return "under 0.1\u00a0%"
    return "over 99.9\u00a0%" if value >= 0.9995 else f"{100 * value:.1f}\u00a0%"


def among_first(scores: Scores, first: int) -> tuple[int, int]:
    """Under how many of the changes the class is among the first, and how many were tried."""
    tried = [rank for rank in scores.ranks if rank > 0]
    return sum(rank <= first for rank in tried), len(tried)


def verdict(scores: Scores) -> tuple[str, str]:
    """What the network takes the rendering of a class for: what to say before and after the name.

    Args:
        scores: of the rendering; `select` and `ranks` are places of the class by its score.
    """
    if scores.select < 1:
        return "What the network takes this picture for was not measured; it is meant as", "."
    chance = f" with {percent(scores.confidence)} probability"
    chance = chance if math.isfinite(scores.confidence) else ""
    (first, tried), (five, _) = among_first(scores, 1), among_first(scores, 5)
    changed = f"under {first} of {plural(tried, 'small change')} (top-5: {five} of {tried})"
    if scores.select == 1:
        so_it_does = f"; so it does {changed}" if tried else ""
        return "The network takes this picture for", f"{chance}{so_it_does}."
    it_does_so = f"; it comes first {changed}" if tried else ""
    place = f" comes in place {scores.select}{chance}{it_does_so}."
    return "The network takes this picture for another class;", place


def own_verdict(scores: Scores) -> tuple[str, str]:
    """What the network says of the rendering of a class that stands by itself, as `verdict`."""
    if not math.isfinite(scores.confidence):
        return "What the network makes of this picture was not measured; it is meant as", "."
    found = "finds" if scores.confidence >= 0.5 else "does not find"
    return f"In this picture the network {found}", f": {percent(scores.confidence)} probability."


OUTPUTS = {
    "probabilities": "probabilities as the network gives them",
    "log-probabilities": "probabilities as the network gives them",
    "multilabel": "each class by itself",
    "multilabel-logits": "each class by itself",
}
"""What is said of probabilities beside classes, where they are not the softmax of scores."""

OUTPUT_SENTENCES = {
    "probabilities": "probabilities; the score of a class is the logarithm of its probability, "
    "less the mean of that over all classes",
    "log-probabilities": "logarithms of probabilities; the score of a class is its logarithm, less "
    "the mean of that over all classes",
    "multilabel": "a probability for each class by itself; the score of a class is log p/(1 − p)",
    "multilabel-logits": "a score for each class by itself, which a sigmoid makes a probability",
    "embedding": "embeddings, which are no list of classes",
}
"""What a network puts out, where it is not scores that softmax makes probabilities of."""


def class_score_sentence(scores: Scores, natural_end: float, images: int) -> str:
    """Compare the score of a class on its rendering with the best natural image."""
    if not math.isfinite(scores.activation):
        return "The class has no finite score on this picture."
    end = f"the best of {plural(images, 'natural image')} gets {number(natural_end)}"
    return f"The class scores {number(scores.activation)} on the rendering; {end}."


def class_reach_sentence(scores: Scores) -> str:
    """Say what the REACH of a class means."""
    sentence = reach_sentence(scores).replace("excites the unit", "raises the class’s score")
    return sentence.replace("excite the unit", "raise the class’s score")


def class_rank_sentence(scores: Scores, classes: int) -> str:
    """Say what the SELECT of a class means."""
    if scores.select < 1:
        return "Not measured."
    if scores.select == 1:
        return f"Of {classes} classes none scores higher on this picture: top-1."
    higher = "1 class scores" if scores.select == 2 else f"{scores.select - 1} classes score"
    return f"{higher} higher on this picture{': top-5' if scores.select <= 5 else ''}."


def confidence_sentence(scores: Scores, alone: bool) -> str:
    """Say what the confidence of a class means.

    Args:
        scores: of its rendering.
        alone: whether it stands by itself, or shares all probability with the others.
    """
    if not math.isfinite(scores.confidence):
        return "Not measured."
    of_all = "By itself" if alone else "Of all probability"
    return f"{of_all} the network gives this class {percent(scores.confidence)}."


def sure_sentence(images: int, distinct: int) -> str:
    """What a list of the images that a network is most or least sure of can say."""
    crops = ", one crop of each file" if distinct < images else ""
    return (
        f"Out of {plural(images, 'sample image')}{crops}. These are the best there are, not proof: "
        "where the probability is low, the picture need not contain the class at all."
    )
