"""The encoder of a dictionary as a function of maps, and the way back: `Encoder`."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..records.dictionary import Code


class Encoder:
    """The directions of a dictionary, on a device.

    Both ways are 1 × 1 convolutions in float32, whatever the network computes in: a direction is a
    difference of large numbers.

    Args:
        code: the directions.
        device: of the maps.
    """

    def __init__(self, code: Code, device: torch.device) -> None:
        def kernel(rows: Tensor) -> Tensor:
            return rows[:, :, None, None].contiguous().to(device)

        self.encoder = kernel(torch.from_numpy(code.encoder))
        self.decoder = kernel(torch.from_numpy(code.decoder).T)
        self.bias = torch.from_numpy(code.bias).to(device)
        threshold = torch.from_numpy(code.threshold).view(1, -1, 1, 1)
        self.silent = torch.isfinite(threshold).to(device)  # the others are never cut off
        self.threshold = threshold.nan_to_num(neginf=0.0).to(device)
        self.cuts, self.jumps = bool(self.silent.any()), bool(self.threshold.any())

    def __call__(self, maps: Tensor) -> Tensor:
        """Maps (N, C, H, W) of the parent → (N, K, H, W) answers of the directions."""
        with torch.autocast(maps.device.type, enabled=False):
            found = F.conv2d(maps.float(), self.encoder, self.bias)
        if not self.cuts:
            return found
        above = torch.relu(found - self.threshold)  # redirected where a picture is silent
        if self.jumps:
            above = above + self.threshold * (found > self.threshold)
        return torch.where(self.silent, above, found)

    def change(self, answers: Tensor) -> Tensor:
        """(N, C, H, W): what changes of answers (N, K, H, W) mean for the maps of the parent."""
        with torch.autocast(answers.device.type, enabled=False):
            return F.conv2d(answers.float(), self.decoder)
