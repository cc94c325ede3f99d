"""The quiz of a model: its page, which works without a script too, and the questions as data."""

from collections.abc import Sequence
from dataclasses import dataclass

from .. import addresses
from ..data.encode import to_json
from ..data.quiz import QueryData, QuizFile, QuizUnit
from ..quiz import ask, images_of
from .frame import PageWriter, embed_json

EXAMPLES = 10
"""Questions that the page itself works out."""

PAGE = "quiz.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class Worked:
    """A question with its answer.

    Attributes:
        unit: that it is about.
        name: of the unit.
        first, second: the photographs, of which the first excites it more if `swapped` is false.
        machine: whether the observer is right by the picture; None without one.
    """

    unit: QuizUnit
    name: str
    first: QueryData
    second: QueryData
    swapped: bool
    machine: bool | None


def write_quiz(writer: PageWriter) -> tuple[int, ...]:
    """Write the quiz of a model, where there is something to ask.

    Returns:
        The sample images that it shows; () where there is no quiz.
    """
    quiz = ask(writer.atlas, writer.own)
    if not quiz.units:
        return ()
    data = to_json(quiz)
    writer.tree.put("quiz.json", data)
    writer.put(
        "quiz",
        PAGE,
        title=f"Guess the unit · {writer.title}",
        description=f"Twenty questions: which photograph excites a unit of {writer.title} more?",
        trail=(("Guess the unit", ""),),
        quiz=quiz,
        worked=worked(quiz),
        data=embed_json(data.decode()),
        photograph=addresses.sample_image,
    )
    return tuple(images_of(quiz))


def worked(quiz: QuizFile) -> list[Worked]:
    """Examples evenly spread over the units that are asked about; of few units several each."""
    usual = [unit for unit in quiz.units if unit.plain] or list(quiz.units)
    step = max(1, len(usual) / EXAMPLES)
    chosen = [usual[int(at * step) % len(usual)] for at in range(EXAMPLES)]
    return [work_out(unit, quiz, at) for at, unit in enumerate(chosen)]


def work_out(unit: QuizUnit, quiz: QuizFile, at: int) -> Worked:
    """One question about a unit; at every second one the right photograph is on the right."""
    high, low = unit.high[at % len(unit.high)], unit.low[at % len(unit.low)]
    swapped = at % 2 == 1
    pair: Sequence[QueryData] = (low, high) if swapped else (high, low)
    return Worked(
        unit=unit,
        name=f"{quiz.layers[unit.layer]}:{unit.channel}",
        first=pair[0],
        second=pair[1],
        swapped=swapped,
        machine=high.by_picture > low.by_picture if unit.fits else None,
    )
