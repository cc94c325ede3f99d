"""Run a network with outputs of some of its layers replaced. Start at `intervening`.

`Interventions.record` sees what every layer puts out for one image, `rerun` runs the same image
again with other outputs for some of them. What lies before the first of these is not computed once
more where that changes nothing, so that a block costs a block. Hooks are always removed.
"""

import itertools
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from ..errors import InputError, one_line
from ..models.hooks import bypassed
from ..models.trace import changed_tensors
from ..records.network import CLASSES
from .memory import is_out_of_memory
from .tapping import AsMaps, Stop, Taps, Way, check_rows

AsOutput = Callable[[str, object, Tensor], object]
"""Layer name, an output of it and other maps (N, C, H, W) → the same output with these maps."""

AGREEMENT = 1e-4
"""Largest difference, over a layer's largest value, of a block that is run again by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One image, and what each layer made of it.

    Attributes:
        image: (1, C, H, W), normalised.
        outputs: layer → what it put out, before anything behind it could change that in place.
        maps: layer → (1, C, H, W); the class scores among them.
    """

    image: Tensor
    outputs: Mapping[str, object]
    maps: Mapping[str, Tensor]

    def before(self, layer: str) -> list[str]:
        """The layers that put out before this one does, in that order."""
        order = list(self.maps)
        return order[: order.index(layer)]


class Interventions(Taps):
    """Hooks on all layers that may be seen or replaced.

    Args:
        way: the network, and how it is run.
        layers: all of them.
        as_maps, as_output: make maps of what a layer puts out, and the inverse.

    Attributes:
        skips: whether a layer whose output is given is not run.
    """

    def __init__(
        self, way: Way, layers: Sequence[str], as_maps: AsMaps, as_output: AsOutput
    ) -> None:
        super().__init__(replace(way, doubles=False), dict.fromkeys(layers, torch.clone), as_maps)
        self.as_output = as_output
        self.skips = True
        self.wanted: frozenset[str] = frozenset()
        self.given: Mapping[str, object] = {}
        self.kept: dict[str, object] | None = None

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Hooks on the modules of the layers inside the block, none after it."""
        with ExitStack() as stack:
            for path in dict.fromkeys(path for path, _ in self.layers if path):
                module = self.way.network.get_submodule(path)
                stack.enter_context(bypassed(module, partial(self.known, path)))
            stack.enter_context(super().attached())
            yield

    @property
    def reached(self) -> bool:
        """True if the last of the wanted layers has put out."""
        return len(self.outputs) == len(self.wanted)

    def known(self, path: str) -> object | None:
        """What a module is to put out where it need not be run for that."""
        if not (self.open and self.skips):
            return None
        names = self.layers.get((path, self.calls[path]), ())
        return next((self.given[name] for name in names if name in self.given), None)

    def see(self, path: str, _module: nn.Module, _inputs: object, output: object) -> object | None:
        """Keep what a layer has put out, and return what is given in its place."""
        if not self.open:
            return None
        names = self.layers.get((path, self.calls[path]), ())
        self.calls[path] += 1
        if self.error:
            return None
        given: object | None = None
        try:
            for name in names:
                if name in self.wanted and name not in self.outputs:
                    self.outputs[name] = self.seen(name, output)
                if name in self.given:
                    given = changed_tensors(self.given[name], torch.clone)
        except Exception as error:  # the network must not take it for one of its own
            self.error = error
            raise Stop from None
        if self.reached and self.way.stops:
            raise Stop
        return given

    def seen(self, name: str, output: object) -> Tensor:
        """The maps of an output; the output itself is kept too where all of them are recorded."""
        maps = self.as_maps(name, output)
        check_rows(name, maps, self.batch)
        if self.kept is not None:
            self.kept[name] = changed_tensors(output, lambda one: one.detach().clone())
        return maps.clone()

    def run(
        self, images: Tensor, wanted: Sequence[str], given: Mapping[str, object]
    ) -> dict[str, Tensor]:
        """One pass in which layers put out what is given.

        Args:
            images: (N, C, H, W), normalised.
            wanted: layers that are to be seen.
            given: layer → output of N rows, handed on as a copy.

        Returns:
            Layer → maps as it has computed them, whatever it is given to put out.
        """
        self.wanted, self.given = frozenset(wanted), given
        return self.run_once(images, None)

    @torch.no_grad()
    def record(self, image: Tensor) -> Scene:
        """See what every layer makes of one normalised image (1, C, H, W)."""
        self.kept = {}
        try:
            maps = self.run(image, list(self.reduce), {})
            return Scene(image=image, outputs=self.kept, maps=maps)
        finally:
            self.kept = None

    def rerun(
        self, scene: Scene, start: str, wanted: Sequence[str], given: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Run the image of a scene again from a layer on.

        Args:
            scene: of the image.
            start: layer; those before it put out what they did in the scene, unless given.
            wanted: layers that are to be seen, none of them before it.
            given: layer → maps that it puts out now, (R, C, H, W).

        Returns:
            Layer → maps, R rows; one where nothing is given. Rows that a network has to see alone,
            or that do not fit into memory together, run one by one.
        """
        rows = max(map(len, given.values()), default=1)
        if rows == 1 or not self.way.habits.alone:
            try:
                return self.rerun_together(scene, start, wanted, given)
            except (RuntimeError, MemoryError) as error:
                if rows == 1 or not is_out_of_memory(error):
                    raise
        parts = [
            self.rerun_together(
                scene, start, wanted, {name: one[[row]] for name, one in given.items()}
            )
            for row in range(rows)
        ]
        return {name: torch.cat([part[name] for part in parts]) for name in wanted}

    def rerun_together(
        self, scene: Scene, start: str, wanted: Sequence[str], given: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """The same, all rows in one pass."""
        rows = max(map(len, given.values()), default=1)

        def repeated(one: Tensor) -> Tensor:
            return one.expand(rows, *one.shape[1:]) if one.ndim and len(one) == 1 else one

        fixed = {*scene.before(start), *given}
        outputs = {name: changed_tensors(scene.outputs[name], repeated) for name in fixed}
        outputs |= {name: self.as_output(name, outputs[name], one) for name, one in given.items()}
        return self.run(repeated(scene.image), wanted, outputs)

    @torch.no_grad()
    def check(self, images: Tensor) -> None:
        """Find out whether blocks can be run by themselves, and what may be left out then.

        Args:
            images: (2, C, H, W), normalised. The second one is run before and after, so that what a
                network keeps of its last image does not pass for this one's.

        Raises:
            InputError: they cannot.
        """
        for stops, skips in itertools.product((self.way.stops, False), (True, False)):
            self.way, self.skips = replace(self.way, stops=stops), skips
            try:
                changed = self.differing(images)
            except (torch.OutOfMemoryError, MemoryError):
                raise
            except Exception as error:  # anything may happen in somebody's network
                changed = f"{type(error).__name__} at one of them"
            if not changed:
                return
        raise InputError(f"its layers cannot be run by themselves ({changed} differs)")

    def differing(self, images: Tensor) -> str:
        """A layer that says something else where those before it put out as they did, or ""."""
        scene, other = (self.record(image[None]) for image in images)
        for layer, maps in reversed(list(scene.maps.items())):  # each leaves behind for the next
            if not close(self.rerun(scene, layer, [layer], {})[layer], maps):
                return layer
        again = self.record(other.image).maps
        return next((name for name, maps in other.maps.items() if not close(again[name], maps)), "")


def close(one: Tensor, other: Tensor) -> bool:
    """Whether maps are the same but for rounding; what is not finite counts as zero."""
    known, found = other.nan_to_num(0, 0, 0), one.nan_to_num(0, 0, 0)
    return float((found - known).abs().max()) <= AGREEMENT * float(known.abs().max())


def cut_apart(run: Interventions, scene: Scene) -> dict[str, tuple[str, ...]]:
    """Find out which layers feed each layer without passing through another one.

    Every layer hands on a leaf of the graph instead of its output. Those whose leaves receive a
    gradient from a layer feed it directly, also by branches and around others.

    Returns:
        Layer → layers, in forward order; `IMAGE` stands for the image itself. Nothing feeds a
        layer through which no gradient goes.

    Raises:
        InputError: the network does not take leaves.
    """
    with torch.enable_grad():
        leaves = {IMAGE: scene.image.detach().clone().requires_grad_()}
        leaves |= {
            name: maps.detach().clone().requires_grad_()
            for name, maps in scene.maps.items()
            if name != CLASSES and maps.is_floating_point()
        }
        given = {
            name: run.as_output(name, scene.outputs[name], leaf)
            for name, leaf in leaves.items()
            if name != IMAGE
        }
        skips, run.skips = run.skips, False
        try:
            outputs = run.run(leaves[IMAGE], list(scene.maps), given)
        except (torch.OutOfMemoryError, MemoryError):
            raise
        except Exception as error:  # anything may happen in somebody's network
            if "memory" in str(error):  # on the CPU it is an ordinary RuntimeError
                raise
            raise InputError(f"its layers cannot be cut apart: {one_line(error)}") from error
        finally:
            run.skips = skips
        return {name: tuple(fed_by(maps, leaves)) for name, maps in outputs.items()}


def fed_by(maps: Tensor, leaves: Mapping[str, Tensor]) -> list[str]:
    """The leaves that receive a gradient from maps."""
    if not maps.requires_grad:
        return []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that some operation's derivative may be wrong
            slopes = torch.autograd.grad(
                maps.sum(), list(leaves.values()), retain_graph=True, allow_unused=True
            )
    except (NotImplementedError, RuntimeError):  # an operation that knows no derivative
        return []
    return [name for name, slope in zip(leaves, slopes, strict=True) if slope is not None]


IMAGE = ""
"""Stands for the image where layers are named."""


@contextmanager
def intervening(
    way: Way, layers: Sequence[str], as_maps: AsMaps, as_output: AsOutput
) -> Iterator[Interventions]:
    """Hook layers for the time of the context, so that their outputs can be replaced.

    Args:
        way: the network, and how it is run.
        layers: all that will be seen or replaced; the class scores are only seen.
        as_maps, as_output: make maps of what a layer puts out, and the inverse.
    """
    run = Interventions(way, layers, as_maps, as_output)
    with run.attached():
        yield run
