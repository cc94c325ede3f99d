"""The building blocks of a network, e.g. its residual or inception blocks.

Start at `find_blocks`; a network without blocks has the ends of its convolution runs.
"""

from collections.abc import Callable, Sequence

from torch import nn

CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)

NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.LocalResponseNorm)


def find_blocks(network: nn.Module, rows: set[str]) -> list[str]:
    """Names of the building blocks, e.g. residual or inception blocks; [] where there are none.

    While there are only one or two, each is opened if that shows more (a backbone in a wrapper).

    Args:
        network: to look into.
        rows: names of its modules that put out a map of activations.
    """
    blocks = blocks_inside(network, "", rows)
    while len(blocks) in (1, 2):
        opened = [
            inner
            for name in blocks
            for inner in blocks_inside(network.get_submodule(name), name, rows) or [name]
        ]
        if len(opened) <= len(blocks):
            break
        blocks = opened
    return blocks


def blocks_inside(module: nn.Module, prefix: str, rows: set[str]) -> list[str]:
    """The outermost blocks below `module`: neither containers nor leaves, with a row.

    What has no row (a backbone that ends in a vector, modules that are never called themselves)
    is looked into.
    """
    found = []
    for child_name, child in module.named_children():
        name = f"{prefix}.{child_name}" if prefix else child_name
        if is_leaf(child) or "pool" in type(child).__name__.lower():
            continue
        if is_container(child) or name not in rows or is_stage(child, name, rows):
            found += blocks_inside(child, name, rows)
        else:
            found.append(name)
    return found


def is_leaf(module: nn.Module) -> bool:
    """Return whether a module is one operation; a norm with a built-in activation is one."""
    return not any(module.children()) or isinstance(module, CONVOLUTIONS + NORMS)


def is_container(module: nn.Module) -> bool:
    """Return whether a module only holds others one after the other.

    A child class of Sequential counts where it runs its modules as Sequential does and they are
    blocks themselves (the stages of RegNet); of plain layers it is a block (conv-norm-activation).
    """
    if type(module) in (nn.Sequential, nn.ModuleList, nn.ModuleDict):
        return True
    plain = isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward
    return plain and not all(is_leaf(child) for child in module.children())


def is_stage(module: nn.Module, name: str, rows: set[str]) -> bool:
    """Return whether a module runs blocks of one class one after the other (the stages of MaxViT).

    Blocks are told from runs of conv-norm-activation inside a block by holding more than leaves.
    """
    lists = [(name, module)] if len(list(module.children())) > 1 else []
    lists += [
        (f"{name}.{child_name}", child)
        for child_name, child in module.named_children()
        if type(child) in (nn.Sequential, nn.ModuleList, nn.ModuleDict)
    ]
    return any(holds_blocks(holder, prefix, rows) for prefix, holder in lists)


def holds_blocks(holder: nn.Module, prefix: str, rows: set[str]) -> bool:
    """Return whether all that a module holds are blocks of one class, each with a row."""
    members = dict(holder.named_children())
    one_class = len({type(member) for member in members.values()}) == 1
    deep = all(any(not is_leaf(part) for part in one.children()) for one in members.values())
    return one_class and deep and all(f"{prefix}.{name}" in rows for name in members)


def ends_of_runs(network: nn.Module, rows: Sequence[str]) -> list[str]:
    """The last module of each conv[-norm][-activation] run of leaves, in forward order.

    Args:
        network: to look into.
        rows: names of the modules that put out a map of activations, one for each of their calls.
    """
    modules = dict(network.named_modules())
    ends: list[str] = []
    wanted: tuple[Callable[[nn.Module], bool], ...] = ()
    for name in (row for row in rows if is_leaf(modules[row])):
        if isinstance(modules[name], CONVOLUTIONS):
            ends.append(name)
            wanted = (is_norm, is_activation)
            continue
        matched = [place for place, test in enumerate(wanted) if test(modules[name])]
        if matched:
            ends[-1] = name
        wanted = wanted[matched[0] + 1 :] if matched else ()
    return ends


def is_norm(module: nn.Module) -> bool:
    """Return whether a module normalises."""
    return isinstance(module, NORMS)


def is_activation(module: nn.Module) -> bool:
    """Return whether a module is an activation function, of torch or of a library built like it."""
    return any("activation" in kind.__module__ for kind in type(module).__mro__)
