"""Hooks on the modules of a network, always removed: the one place that sets any."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial

from torch import nn

Before = Callable[[str, nn.Module, object], None]
"""Name, module, inputs."""

After = Callable[[str, nn.Module, object, object], object]
"""Name, module, inputs, output → what is handed on in its place, or None."""


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


@contextmanager
def bypassed(module: nn.Module, instead: Callable[[], object | None]) -> Iterator[None]:
    """A module that is not run inside the block where `instead` knows what it puts out.

    One with hooks of its own, which may count on its having run, is left as it is, and so is one
    inside a ScriptModule.
    """
    own = vars(module).get("forward")
    plain = module.forward

    def forward(*inputs: object, **options: object) -> object:
        known = instead()
        return plain(*inputs, **options) if known is None else known

    try:
        if not (module._forward_hooks or module._forward_pre_hooks):
            with suppress(RuntimeError, AttributeError):
                module.forward = forward
        yield
    finally:
        if vars(module).get("forward") is forward:
            del module.forward
            if own is not None:
                module.forward = own
