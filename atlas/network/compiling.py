"""torch.compile for the building blocks of a network."""

from collections.abc import Iterable, Sequence

import torch
from torch import nn

from ..records.network import LayerInfo
from .tapping import module_path


def compile_blocks(network: nn.Module, table: Iterable[LayerInfo], taps: Sequence[str]) -> None:
    """Let torch.compile take the forward pass of every building block that holds no tap inside.

    Hooks stand outside the compiled code, so that taps of the blocks themselves still work.
    """
    inside = [module_path(network, tap)[0] for tap in taps]
    blocks = {module_path(network, row.name)[0] for row in table if "blocks" in row.groups}
    for path in blocks:
        if not any(tap.startswith(f"{path}.") for tap in inside):
            block = network.get_submodule(path)
            block.forward = torch.compile(block.forward, dynamic=False)
