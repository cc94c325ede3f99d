"""Messages of a long run: one bar on a terminal, one line per layer elsewhere."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


class Progress:
    """Says how far a run is, on stderr. Counts the units that are safe on the disk.

    Args:
        quiet: say nothing but warnings.
    """

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.terminal = sys.stderr.isatty() and not quiet
        self.safe_units = 0
        self._bar: tqdm[object] | None = None
        self._total = 0

    def say(self, text: str) -> None:
        """One line, above the bar where there is one."""
        if not self.quiet:
            tqdm.write(text, file=sys.stderr)

    def warn(self, text: str) -> None:
        """One line that --quiet does not hide."""
        tqdm.write(f"warning: {text}", file=sys.stderr)

    def images(self, images: Iterable[T], total: int, name: str = "images") -> Iterator[T]:
        """Pass images through and show how many have gone by."""
        yield from tqdm(images, total=total, desc=name, unit="image", disable=not self.terminal)

    @contextmanager
    def lenses(self, total: int) -> Iterator[Callable[[int], None]]:
        """Show a bar over `total` images; yields what is to be told how many more are done."""
        began = time.perf_counter()
        with tqdm(total=total, desc="lenses", unit="image", disable=not self.terminal) as bar:

            def looked(images: int) -> None:
                bar.update(images)

            yield looked
        self.say(f"lenses: {total} images, {(time.perf_counter() - began) / total:.1f} s each")

    @contextmanager
    def attribution(self, what: str, total: int, cost: float) -> Iterator[Callable[[float], None]]:
        """Show a bar over `total` units; yields what is to be told which part of `cost` is done."""
        began, layout = time.perf_counter(), "{desc} |{bar}| {percentage:3.0f}% {remaining}"
        with tqdm(total=cost, desc=what, bar_format=layout, disable=not self.terminal) as bar:

            def explained(part: float) -> None:
                bar.update(part)

            yield explained
        spent = time.perf_counter() - began
        self.say(f"{what}: {total} units, {spent / total:.2f} s each")

    @contextmanager
    def units(self, total: int, cost: float) -> Iterator[None]:
        """Show a bar over `total` units whose costs add up to `cost` (any unit of work)."""
        self._total, done = total, self.safe_units
        layout = "{desc} |{bar}| {percentage:3.0f}% [{elapsed}<{remaining}]"
        with tqdm(
            total=cost, bar_format=layout, disable=not self.terminal, smoothing=0.05
        ) as self._bar:
            self._bar.set_description_str(f"units {done}/{done + total}")
            yield
        self._bar = None

    def finished(self, layer: str, units: int, cost: float, summary: str, seconds: float) -> None:
        """A block of units has been committed."""
        self.safe_units += units
        if self._bar is not None and self.terminal:
            self._bar.set_description_str(f"units {self.safe_units}/{self._total}", refresh=False)
            self._bar.update(cost)
        else:
            rate = seconds / units
            self.say(f"{layer}: {units} units ({summary}), {rate:.2f} s a unit")
