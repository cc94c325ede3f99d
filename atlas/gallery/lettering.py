"""Letters on a picture: measure text, break it into lines, draw it.

The letters are those that come with OpenCV 5 (Rubik, WenQuanYi Micro Hei): Latin, Greek, Cyrillic,
Hebrew, Arabic, Chinese, Japanese and Korean, the same on every machine. Pillow's own have little
more than ASCII, and those of the system differ from machine to machine.
"""

from dataclasses import dataclass

import cv2

from ..errors import InputError
from ..images.pixels import Pixels

MEASURE = (10_000, 1000)
"""Of a picture that is wider than any line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How text looks: size in pixels, weight from 100 to 900, colour, and from line to line."""

    size: int
    weight: int = 400
    colour: tuple[int, int, int] = (31, 27, 22)

    @property
    def pitch(self) -> int:
        """Pixels from one line to the next."""
        return round(self.size * 1.4)


def check_letters() -> None:
    """Refuse to draw text without letters.

    Raises:
        InputError: OpenCV is older than 5.
    """
    if not hasattr(cv2, "FontFace"):
        raise InputError(
            f"figure takes its letters from OpenCV 5, and this is {cv2.__version__}; "
            'pip install "opencv-python-headless>=5"'
        )


def width_of(text: str, style: Style) -> int:
    """Width of text on one line, in pixels."""
    face = cv2.FontFace("sans")
    return int(cv2.getTextSize(MEASURE, text, (0, 0), face, style.size, style.weight)[2])


def break_lines(text: str, width: int, style: Style) -> list[str]:
    """Break text at spaces, and words that are too long anywhere."""
    lines = [""]
    for word in text.split():
        whole = f"{lines[-1]} {word}".strip()
        if width_of(whole, style) <= width:
            lines[-1] = whole
            continue
        if lines[-1]:
            lines.append("")
        for sign in word:
            if width_of(lines[-1] + sign, style) > width:
                lines.append("")
            lines[-1] += sign
    return lines


def shorten(text: str, width: int, style: Style) -> str:
    """Text that fits into one line, with … where something is left out."""
    if width_of(text, style) <= width:
        return text
    while text and width_of(f"{text}…", style) > width:
        text = text[:-1]
    return f"{text.rstrip()}…"


def write_lines(sheet: Pixels, lines: list[str], left: int, top: int, style: Style) -> None:
    """Draw lines of text into a picture, the first one below `top`."""
    face = cv2.FontFace("sans")
    for number, line in enumerate(lines):
        origin = (left, top + round(style.size * 1.05) + number * style.pitch)
        cv2.putText(sheet, line, origin, style.colour, face, style.size, style.weight)
