"""`atlas.build`: an atlas made from inside somebody's program. Start at `build_from_python`."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace

from torch import nn

from ..config import Config
from ..errors import UsageError
from ..keywords import IN_MEMORY, configure_call
from ..models.surroundings import usual
from ..pipeline import make_atlas
from ..progress import Progress
from ..stages.site import gather, pictures_of
from .lending import bare, lent
from .result import Result, show


def build_from_python(model: object, images: object, options: Mapping[str, object]) -> Result:
    """Make or complete an atlas; see `atlas.build`.

    Settings of torch and numpy, chance and the network are afterwards as before, also after an
    exception; signals are left alone, so that a KeyboardInterrupt is one.
    """
    network = bare(model) if isinstance(model, nn.Module) else None
    config = configure_call(model_name(model, network), images, options)
    if network is not None and not config.name:
        config = replace(config, name=type(network).__name__)
    with ExitStack() as stack:
        stack.enter_context(usual())
        if network is not None:
            network = stack.enter_context(lent(network))
        return run(in_place(config), network)


def model_name(model: object, network: nn.Module | None) -> str:
    """Return the name that --model would be given.

    Raises:
        UsageError: it is neither a network nor a name.
    """
    if network is not None:
        return f"{IN_MEMORY}{type(network).__name__}"
    if isinstance(model, str):
        return model
    hint = f", call it: {model.__name__}()" if isinstance(model, type) else ""
    raise UsageError(
        f"atlas.build takes a torch.nn.Module or the name of a model, got {type(model).__name__}"
        f"{hint}"
    )


def in_place(config: Config) -> Config:
    """The settings with folders that stay the same when the program goes to another one."""
    return replace(config, cache=config.cache.absolute(), site=config.site.absolute())


def run(config: Config, network: nn.Module | None) -> Result:
    """Make the atlas and read what it is."""
    made = make_atlas(config, Progress(config.quiet), network)
    found = gather(made.store, made.selection, made.failures)
    pictures = pictures_of(made.store, made.selection)
    return show(found, pictures, config.site / "index.html", made.complete)
