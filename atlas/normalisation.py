"""Mean and spread of the pixels that a network was trained on, in [0, 1]."""

from collections.abc import Sequence

from .errors import UsageError


def check_normalisation(mean: Sequence[float], std: Sequence[float]) -> None:
    """Raise a UsageError that says what is meant for numbers that pixels in [0, 1] cannot have.

    Legal are a mean in [0, 1] and a spread in (0, 1]: 0 and 1/255 make pixels from 0 to 255, .5 and
    .5 from -1 to 1.
    """
    if all(0 <= value <= 1 for value in mean) and all(value <= 1 for value in std):
        return
    hint = "" if min(mean, default=0) < 0 else f"; did you mean {typed_input(*meant(mean, std))}?"
    raise UsageError(
        f"{typed_input(mean, std)}: pixels are in [0, 1], so a mean is too and no std is above 1"
        f"{hint}"
    )


def meant(mean: Sequence[float], std: Sequence[float]) -> tuple[list[float], list[float]]:
    """Mean and spread in [0, 1] of numbers for pixels from 0 to 255, or that lack their point."""
    largest = max((*mean, *(2 * value for value in std)))  # no spread is above half the range
    if largest > 255 and {*std} != {255.0}:
        return [put_point(value) for value in mean], [put_point(value) for value in std]
    in_bytes = max(mean, default=0) > 1
    means = [value / 255 for value in mean] if in_bytes else [*mean]
    fits = max(std, default=0) < 1
    return means, [*std] if fits else [value / 255 for value in std]


def put_point(value: float) -> float:
    """406 → .406; what is not above 1 has its point."""
    return value / 10 ** len(str(int(value))) if value > 1 else value


def typed_input(mean: Sequence[float], std: Sequence[float]) -> str:
    """The options as they are typed, with four digits at most."""
    options = {"--mean": mean, "--std": std}
    texts = {name: ",".join(f"{value:.4g}" for value in options[name]) for name in options}
    return " ".join(f"{name} {text}" for name, text in texts.items() if text)
