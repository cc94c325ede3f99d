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
    """Return the sentence on the class that the network predicts: the text around the class's name.

    Args:
        scores: of the rendering; `select` and `ranks` are places of the class by its score.
    """
    if scores.select < 1:
        return "The prediction for this picture was not measured; its intended class is", "."
    chance = f" with {percent(scores.confidence)} probability"
    chance = chance if math.isfinite(scores.confidence) else ""
    (first, tried), (five, _) = among_first(scores, 1), among_first(scores, 5)
    changed = f"under {first} of {plural(tried, 'small change')} (top-5: {five} of {tried})"
    if scores.select == 1:
        still = f"; it still does {changed}" if tried else ""
        return "The network predicts", f"{chance}{still}."
    first_again = f"; it comes first {changed}" if tried else ""
    place = f" comes in place {scores.select}{chance}{first_again}."
    return "The network predicts another class;", place


def own_verdict(scores: Scores) -> tuple[str, str]:
    """Return the sentence on a class with a probability of its own, as `verdict` does."""
    if not math.isfinite(scores.confidence):
        return "The prediction for this picture was not measured; its intended class is", "."
    found = "finds" if scores.confidence >= 0.5 else "does not find"
    return f"In this picture the network {found}", f": {percent(scores.confidence)} probability."


OUTPUTS = {
    "probabilities": "probabilities as the network gives them",
    "log-probabilities": "probabilities as the network gives them",
    "multilabel": "each class by itself",
    "multilabel-logits": "each class by itself",
}
"""The remark beside the probabilities of classes that are not the softmax of scores."""


OUTPUT_SENTENCES = {
    "probabilities": "probabilities; the score of a class is the logarithm of its probability, "
    "less the mean of that over all classes",
    "log-probabilities": "logarithms of probabilities; the score of a class is its logarithm, less "
    "the mean of that over all classes",
    "multilabel": "a probability for each class by itself; the score of a class is log p/(1 − p)",
    "multilabel-logits": "a score for each class by itself, which a sigmoid makes a probability",
    "embedding": "embeddings, which are no list of classes",
}
"""Descriptions of network outputs that are not scores for a softmax."""


def class_score_sentence(scores: Scores, natural_end: float, images: str) -> str:
    """Compare the score of a class on its rendering with the best of some natural images."""
    if not math.isfinite(scores.activation):
        return "The class has no finite score on this picture."
    end = f"the best of {images} gets {number(natural_end)}"
    return f"The class scores {number(scores.activation)} on the rendering; {end}."


def class_reach_sentence(scores: Scores) -> str:
    """Say what the REACH of a class means."""
    sentence = reach_sentence(scores).replace("excites the unit", "raises the class’s score")
    return sentence.replace("give the unit the same activation", "give the class the same score")


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
        alone: whether its probability is independent of the other classes.
    """
    if not math.isfinite(scores.confidence):
        return "Not measured."
    given = f"The network gives this class {percent(scores.confidence)}"
    return f"{given} probability on its own." if alone else f"{given} of all probability."


def sure_sentence(images: int, distinct: int) -> str:
    """Return the sentence on the reach of a list of the surest or least sure images."""
    crops = ", one crop of each file" if distinct < images else ""
    return (
        f"Out of {plural(images, 'sample image')}{crops}. These are the best there are, not proof: "
        "where the probability is low, the picture need not contain the class at all."
    )
