"""Sentences about classes: their scores, and what a network takes a picture for."""

import math

from ..records.units import Scores
from .sentences import reach_sentence
from .text import number, percent, plural


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
