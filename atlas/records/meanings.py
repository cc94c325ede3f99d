"""The meanings of a unit: the groups into which the images that excite it most fall."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Meanings:
    """The groups of the images that excite a unit most, as an observer sees them.

    Attributes:
        channel: of its layer.
        images: indices of the sample images, best first, each of another file.
        groups: of each image the number of its group, from 0, the largest group first.
        chance: share of sets of random images that fall apart as clearly: the chance of a false
            split.
    """

    channel: int
    images: tuple[int, ...]
    groups: tuple[int, ...]
    chance: float

    @property
    def count(self) -> int:
        """Number of meanings."""
        return max(self.groups) + 1

    def images_of(self, number: int) -> tuple[int, ...]:
        """The images of a meaning, counted from 0, best first."""
        pairs = zip(self.images, self.groups, strict=True)
        return tuple(image for image, group in pairs if group == number)
