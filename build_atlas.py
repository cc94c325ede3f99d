"""Build a static atlas of a convolutional network; `build --help` lists the options.

From a clone `python build_atlas.py` starts it; installed, it is the program `cnn-atlas`.
"""

import argparse
import os
import shlex
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, cast

from atlas.config import IN_A_CLONE, OPTIONS, Config, command_line, configure
from atlas.errors import AtlasError, Interrupted, UsageError

INSTALLED = "cnn-atlas"
"""The program that pip makes of `main`, see pyproject.toml."""

COMMANDS = {
    "build": "rank, render, score and write the site; computes only what the cache lacks",
    "rank": "only run the network over the sample images and rank the units",
    "render": "only render units, by the ranking in the cache",
    "site": "only write the pages, from the cache; loads no model",
    "plan": "print what a build would compute, its time and its size; changes nothing",
    "layers": "print the table of the model's layers",
    "check": "verify every file of the cache and every link of the site",
    "export": "write the atlas of one model as one HDF5 file (--out FILE); loads no model",
    "figure": "write chosen units as one sheet for papers and slides (--out FILE.png or .pdf)",
    "merge": "copy the verified blocks of other cache folders into --cache",
    "serve": "serve the site on this machine, to look at it in a browser",
}


NAMED = {
    "figure": ("UNIT", "unit to show, such as blocks.5.3:170; several may be joined by commas"),
    "merge": ("FOLDER", "cache to copy from"),
}
"""What the commands that take names without an option take: word for it, and its help."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    stop_on_signals()
    try:
        typed = parse(arguments)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    verbose = bool(typed.pop("verbose", False))
    try:
        return run(typed, verbose)
    except AtlasError as error:
        if verbose:
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except Exception as error:  # the last guard: a user never sees a traceback without -v
        if verbose:
            raise
        text = str(error).strip().partition("\n")[0]
        print(f"error: {type(error).__name__}: {text} (-v shows where)", file=sys.stderr)
        return 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def parse(arguments: Sequence[str] | None) -> dict[str, object]:
    """Read the command line into option texts, `command` and `config`."""
    parser = Parser(prog=program(), description=str(__doc__).partition("\n")[0])
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, help_text in COMMANDS.items():
        one = commands.add_parser(name, help=help_text, description=help_text)
        if name in NAMED:
            metavar, help_text = NAMED[name]
            one.add_argument("names", nargs="+", metavar=metavar, help=help_text)
        add_options(one)
    return {key: value for key, value in vars(parser.parse_args(arguments)).items() if value}


def program() -> str:
    """Return the command that started the program."""
    return INSTALLED if Path(sys.argv[0]).stem == INSTALLED else IN_A_CLONE


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> None:  # type: ignore[override]  # never returns, as its base
        """Raise instead of printing the usage and exiting."""
        raise UsageError(f"{message}; see `{self.prog} --help`")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give a command all options of the table."""
    parser.add_argument("--config", metavar="FILE", default="", help="TOML file of option values")
    for option in OPTIONS:
        flags = [f"-{option.short}"] if option.short else []
        flags.append(f"--{option.name}")
        if option.is_flag:
            parser.add_argument(*flags, action="store_const", const="true", help=option.help)
        else:
            shown = option.typed(option.default)
            text = f"{option.help} (default: {shown or 'none'})".replace("%", "%%")
            bare: dict[str, Any] = {"nargs": "?", "const": option.bare} if option.bare else {}
            bare |= {"action": "append"} if option.repeats else {}
            parser.add_argument(*flags, metavar=option.metavar, help=text, **bare)


def run(typed: dict[str, object], verbose: bool) -> int:
    """Carry out the command; the imports that take seconds happen here, after the parsing."""
    command, config_file = str(typed.pop("command")), str(typed.pop("config", ""))
    names = cast("list[str]", typed.pop("names", []))
    given = {key: as_text(value) for key, value in typed.items()}
    if verbose:
        given["verbose"] = "true"
    config = configure(given, config_file)
    if command == "serve":
        from atlas.gallery.serve import serve

        return serve(config.site)
    from atlas.progress import Progress

    progress = Progress(config.quiet)
    try:
        from atlas import pipeline

        code: int = getattr(pipeline, command)(config, progress, *([names] if names else []))
        return code
    except KeyboardInterrupt as stop:
        safe = f"{progress.safe_units} units of this run are safe"
        error = Interrupted(f"stopped; {safe}; resume with: {resume_line(config, command, names)}")
        error.exit_code = stop.args[0] if stop.args else Interrupted.exit_code
        raise error from None


def as_text(value: object) -> str:
    """The text of an option; one that was typed several times is a list."""
    return ",".join(value) if isinstance(value, list) else str(value)


RESUMED = ("cache", "site", "site_part", "device", "engine", "lists")
"""Options that change nothing of what an atlas shows, and that a run which goes on needs."""


def resume_line(config: Config, command: str, names: Sequence[str] = ()) -> str:
    """The command that goes on where a run was stopped: the same, in the same folders."""
    words = [command_line(config, command, program()), *map(shlex.quote, names)]
    for option in OPTIONS:
        value = getattr(config, option.key)
        if option.key in RESUMED and value != option.default:
            words.append(f"--{option.name} {shlex.quote(option.typed(value))}")
    return " ".join(words)


AGAIN = 1.0
"""Seconds before an ignored interrupt is raised again."""


def stop_on_signals() -> None:
    """Let SIGTERM end a run as Ctrl-C does, each with the exit code that shells expect of it.

    The second signal ends the process at once: what is committed is on the disk already. An
    exception that is raised while the callback of a weak reference or a finaliser runs is printed
    and lost (seen in 2 of 20 runs), so such a stop is not printed, and it is raised again until it
    is on its way.
    """
    met: list[int] = []

    def lost(error: "sys.UnraisableHookArgs") -> None:
        if not isinstance(error.exc_value, KeyboardInterrupt):
            sys.__unraisablehook__(error)

    def stop(number: int, _frame: FrameType | None) -> None:
        if met:
            os._exit(128 + number)
        met.append(number)
        signal.setitimer(signal.ITIMER_REAL, AGAIN, AGAIN)
        raise KeyboardInterrupt(128 + number)

    def again(_number: int, _frame: FrameType | None) -> None:
        if not is_stopping(sys.exception()):
            raise KeyboardInterrupt(128 + met[0])

    sys.unraisablehook = lost
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGALRM, again)


def is_stopping(error: BaseException | None) -> bool:
    """Return whether the exception being handled, or one before it, is a KeyboardInterrupt."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


if __name__ == "__main__":
    sys.exit(main())
