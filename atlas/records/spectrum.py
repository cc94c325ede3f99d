"""What a unit does at every strength: images around the percentiles of its peak."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """Images around a percentile of a unit's peak.

    Attributes:
        percentile, up_to: the lowest and the highest of the percentiles that have this value; of
            several only where images tie, or where there are few.
        value: of the peak at these percentiles, that of one image.
        share: of the images, whose peak is at most `value` and above the value of the next strip.
        rows: of the images shown, the strongest first.
    """

    percentile: int
    up_to: int
    value: float
    share: float
    rows: tuple[int, ...]
