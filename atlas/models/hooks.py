"""Hooks on the modules of a network, always removed: the one place that sets any."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial

from torch import nn

Before = Callable[[str, nn.Module, object], None]
"""Name, module, inputs."""

After = Callable[[str, nn.Module, object, object], None]
"""Name, module, inputs, output."""


@contextmanager
def hooked(
    modules: Iterable[tuple[str, nn.Module]],
    *,
    before: Before | None = None,
    after: After | None = None,
) -> Iterator[None]:
    """Hooks on modules inside the block, none after it.

    Modules inside a ScriptModule take none and are left out.

    Args:
        modules: with the names that the hooks are told.
        before, after: called before and after each call of a module.
    """
    with ExitStack() as handles:
        for name, module in modules:
            with suppress(RuntimeError):
                if before:
                    handle = module.register_forward_pre_hook(partial(before, name))
                    handles.callback(handle.remove)
                if after:
                    handles.callback(module.register_forward_hook(partial(after, name)).remove)
        yield
