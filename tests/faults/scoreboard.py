"""The fault matrix: its rows, and what each test says of the faults it tried."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

ROWS = {
    "storage: every call": "SIGKILL, torn write, full disk, I/O error at every call of a commit",
    "storage: between commits": "a build killed between any two commits",
    "storage: random kills": "SIGKILL at random while ranking, rendering, writing the site",
    "storage: signals": "SIGTERM, Ctrl-C once and twice",
    "storage: damage": "blocks flipped, cut, empty, foreign, a folder in their place, strays",
    "storage: two runs": "two runs at once; the holder of the lock killed",
    "storage: before work": "changed key, newer schema, read-only cache, full disk",
    "images: broken": "truncated, empty, text, web page, wrong name",
    "images: formats": "bombs, CMYK, 16 bits, alpha, grey, 1 bit, EXIF, animations",
    "images: names": "hostile names, FIFO, socket, links, unreadable, vanishing",
    "images: sets": "none, one, few, all corrupt, duplicates",
    "images: decoders": "decoders that die, hang or ask for all memory",
    "weights": "code in a pickle, truncated, wrong digest, web page, wrong network, prefix, fp16",
    "models": "in-place ReLU, reused or unused modules, odd outputs, train mode, grey, ViT",
    "numerics": "dead unit, NaN in one channel, NaN during optimisation, out of memory",
    "site: hostile names": "model, layer, image and label names made to break out",
    "site: crashes": "a crash at every file of the site; removed layer; partial atlas",
    "site: determinism": "another folder, locale, hash seed, directory order",
    "supply": "lower bounds, locked versions, audit, permissions",
}
"""Row → what is done to the program."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Result of one test.

    Attributes:
        row: of the matrix.
        tried, survived: faults.
        units: committed units that were looked for afterwards, over all faults.
        lost: those that were not there.
    """

    row: str
    tried: int
    survived: int
    units: int = 0
    lost: int = 0


Scorer = Callable[..., None]


def table(scores: list[Score]) -> list[str]:
    """The scoreboard in Markdown, one line a row of the matrix."""
    lines = ["| fault | tried | survived |", "|---|--:|--:|"]
    for row, text in ROWS.items():
        of_row = [score for score in scores if score.row == row]
        if of_row:
            tried, survived = (sum(getattr(s, n) for s in of_row) for n in ("tried", "survived"))
            lines.append(f"| {row}: {text} | {tried:,} | {survived:,} |")
    units, lost = (sum(getattr(score, name) for score in scores) for name in ("units", "lost"))
    tried, survived = (sum(getattr(s, name) for s in scores) for name in ("tried", "survived"))
    lines.append(f"| all | {tried:,} | {survived:,} |")
    return [*lines, "", f"committed units looked for after a fault: {units:,}; lost: {lost:,}"]


def add(request: pytest.FixtureRequest, score: Score) -> None:
    """Hand a score to the end of the session, also out of a worker of pytest-xdist."""
    assert score.row in ROWS, score.row
    values = (score.row, score.tried, score.survived, score.units, score.lost)
    request.node.user_properties.append(("faults", values))
    print(f"{score.row}: {score.tried} tried, {score.survived} survived")
