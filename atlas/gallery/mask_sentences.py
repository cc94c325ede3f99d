"""How much of a unit's peaks its masks carry, in sentences."""

import math

from .text import number

UNKNOWN = (
    "Not measured: its peaks are not above 0, no gradient of them reaches the image, or its maps "
    "do not say where in the image they are."
)


def patch_sentence(patch: float) -> str:
    """Return the meaning of PATCH."""
    if math.isnan(patch):
        return UNKNOWN
    return (
        f"{number(patch)} of the activation at the peak is left when only the masked pixels stay, "
        "each as far as it is bright in the mask, and all else is grey (median of the best "
        "patches)."
    )


def keep_sentence(keep: float) -> str:
    """Return the meaning of KEEP."""
    if math.isnan(keep):
        return UNKNOWN
    return (
        f"{number(keep)} of it is left when only a tenth of the pixels that the peak can see "
        "stays, those where the mask is brightest."
    )
