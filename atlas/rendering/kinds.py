"""The kinds of recipes: their constants, and what each needs and gives.

A `FourierRecipe` optimises the spectrum of the image; those that repeat a source, in `sources.py`,
its pixels. What other files ask of a recipe is a method of `Recipe`. The named ones are in
`recipes.py`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import ClassVar, Literal, Self

from ..files.digests import fingerprint
from ..records.network import LayerInfo

COMPANY_MINIMUM = 100
"""Fewest distinct images behind the statistics with which company means anything: with 14
photographs every picture turned into those photographs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe(ABC):
    """A way to make a picture of a unit.

    Attributes:
        name: as given to --recipe.
        seeds: renderings tried from noise.
        repeated: the constants repeat a published source to the digit, so the network runs in fp32.
    """

    name: str
    seeds: int = 1
    repeated: ClassVar[bool] = True

    @abstractmethod
    def steps_at_full_size(self) -> float:
        """About how many gradient steps at the full size a picture costs, by number of pixels."""

    def sides(self, size: int) -> tuple[int, ...]:
        """Longer side in pixels of each pass, coarse to fine; the last is the picture's."""
        return (size,)

    def suited_to(self, layer: LayerInfo) -> Self:
        """The recipe as units of a layer are rendered by it."""
        return self

    def layers_read(self, layer: str, layers: Sequence[str]) -> Sequence[str]:
        """The layers whose statistics rendering a unit of `layer` needs, out of all in order."""
        return (layer,)

    def variants(self, dislikes: bool, facets: int) -> tuple["Recipe", ...]:
        """The recipes of --negative and --facets that are made from this one."""
        return ()

    def single_passes(self) -> tuple["FourierRecipe", ...]:
        """Recipes of one octave each that together cost the same; () if any pass tells the cost."""
        return ()

    @property
    def sign(self) -> int:
        """−1 if it shows what a unit dislikes."""
        return 1

    @property
    def wave(self) -> int:
        """Its place in the order of recipes: it builds on pictures of the waves before."""
        return 0

    @property
    def has_variants(self) -> bool:
        """True if `variants` can give any."""
        return False

    @property
    def takes_example(self) -> bool:
        """True if it can start from the sample image that excites the unit most."""
        return False

    @property
    def suits_classes(self) -> bool:
        """True if it means something for a class score."""
        return True

    @property
    def needs_company(self) -> bool:
        """True if it reads statistics of other layers, over at least `COMPANY_MINIMUM` images."""
        return False

    @property
    def needs_magnitude(self) -> bool:
        """True if it needs the mean magnitude of the sample images' spectra."""
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Octave:
    """One resolution pass: its side as a share of --size, and its gradient steps."""

    share: float
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Octaves, and how the optimiser takes them; in words at `FourierRecipe`."""

    octaves: tuple[Octave, ...]
    exponent: float
    learning_rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FourierRecipe(Recipe):
    """A multi-scale optimisation of Fourier coefficients in decorrelated colour.

    Attributes:
        octaves: coarse to fine; the last share is 1.
        near: another schedule for units that see at most half of the picture, which come out with
            fine noise otherwise.
        exponent: p of the spectrum scale 1 / max(f, 1/size)^p.
        exponent_step: added to it at each further attempt: units that answer to the finest mesh
            come out with a picture one can see.
        learning_rate, adaptivity: of Adam, fresh at each octave.
        tint_rate: factor on the learning rate of the mean colour; at 1 it moves too little in
            any number of steps for units that want a plain dark or bright field.
        start_std: standard deviation of the first coefficients.
        contrast: divisor of the inverse FFT, so that the sigmoid is not saturated.
        shift, zoom, rotation: largest ones, as shares of the side and of scale, and in degrees.
        objective: "unit", "company" (the unit among its natural neighbours), "meaning" (the same
            by one group of its images), "facet" (unlike earlier pictures), or "direction".
        company_weight: weight of the company term.
        loosening: factor on it for each attempt at which real images excited the unit more.
        diversity: weight of the likeness to earlier pictures, halved at each further attempt.
        parameterization: "spectrum", or "phase" under the magnitudes of natural images.
        sign: −1 to show what the unit dislikes.
        facet: number of the facet, from 1; 0 for the others.
        seeds: renderings tried from noise before the dataset-example start.
    """

    repeated: ClassVar[bool] = False

    octaves: tuple[Octave, ...]
    near: Schedule | None = None
    exponent: float = 1.2
    exponent_step: float = 0.4
    learning_rate: float = 0.05
    adaptivity: float = 1.0
    tint_rate: float = 3.0
    start_std: float = 0.01
    contrast: float = 4.0
    shift: float = 16 / 224
    zoom: float = 0.1
    rotation: float = 10.0
    objective: Literal["unit", "company", "meaning", "facet", "direction"] = "unit"
    company_weight: float = 0.0
    loosening: float = 0.25
    diversity: float = 0.0
    parameterization: Literal["spectrum", "phase"] = "spectrum"
    sign: int = 1
    facet: int = 0
    seeds: int = 3

    def steps_at_full_size(self) -> float:
        """Of all octaves."""
        return sum(octave.steps * octave.share**2 for octave in self.octaves)

    def sides(self, size: int) -> tuple[int, ...]:
        """The even longer side in pixels of each octave of a picture of `size`."""
        return tuple(max(8, 2 * round(octave.share * size / 2)) for octave in self.octaves)

    def suited_to(self, layer: LayerInfo) -> Self:
        """With the schedule for what its units see of the picture."""
        near, side = self.near, layer.stride * max(layer.height, layer.width)
        if near is None or not 0 < layer.receptive_field <= side / 2:
            return replace(self, near=None)
        rate = near.learning_rate
        return replace(
            self, near=None, octaves=near.octaves, exponent=near.exponent, learning_rate=rate
        )

    def layers_read(self, layer: str, layers: Sequence[str]) -> Sequence[str]:
        """The layer; for company also those before it."""
        return layers[: layers.index(layer) + 1] if self.needs_company else (layer,)

    def variants(self, dislikes: bool, facets: int) -> tuple[Recipe, ...]:
        """Return the recipes of further pictures: the opposite of the first, and ones unlike it."""
        disliked = (negative(self),) if dislikes else ()
        return (*disliked, *(facet(self, number) for number in range(1, facets + 1)))

    def single_passes(self) -> tuple["FourierRecipe", ...]:
        """One recipe an octave; a facet's is without the earlier pictures, which cost little."""
        plain = self if self.needs_company else replace(self, objective="unit")
        return tuple(replace(plain, octaves=(octave,)) for octave in self.octaves)

    @property
    def wave(self) -> int:
        """A facet follows those of lower numbers."""
        return self.facet

    @property
    def has_variants(self) -> bool:
        """Every one has."""
        return True

    @property
    def takes_example(self) -> bool:
        """An image has a spectrum; one to be disliked is no start."""
        return self.parameterization == "spectrum" and self.sign > 0

    @property
    def suits_classes(self) -> bool:
        """A class has no company in its layer, and only its one picture is asked for."""
        return self.objective == "unit" and self.sign > 0

    @property
    def needs_company(self) -> bool:
        """The company objective reads it."""
        return self.objective in ("company", "meaning")

    @property
    def needs_magnitude(self) -> bool:
        """Phases need it."""
        return self.parameterization == "phase"


def negative(recipe: FourierRecipe) -> FourierRecipe:
    """The recipe that shows what a unit dislikes."""
    return replace(recipe, name=f"{recipe.name}-negative", objective="unit", sign=-1)


def facet(recipe: FourierRecipe, number: int) -> FourierRecipe:
    """The recipe of another picture of a unit, unlike the one of `recipe` and earlier facets."""
    name = f"{recipe.name}-facet-{number}"
    return replace(recipe, name=name, objective="facet", diversity=20.0, facet=number)


def digest(recipe: Recipe) -> str:
    """SHA-256 of all constants of a recipe."""
    return fingerprint(asdict(recipe))
