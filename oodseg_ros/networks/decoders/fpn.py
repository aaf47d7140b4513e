"""Feature pyramid decoder (Lin et al. 2017, arXiv 1612.03144) with summed levels (Kirillov et al. 2019, arXiv
1901.02446).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


def _block(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU())


class Fpn(nn.Module):
    """Maps at strides s, 2s, 4s, … → one map `[B, channels, H/s, W/s]`.

    Top-down additions with nearest resize, one 3x3 block per level, then all levels resized (bilinear,
    align_corners=False) to the finest and summed.
    """

    def __init__(self, inputs: Sequence[int], channels: int = 96) -> None:
        super().__init__()
        self.channels = channels
        self.lateral = nn.ModuleList(nn.Conv2d(count, channels, 1) for count in inputs)
        self.blocks = nn.ModuleList(_block(channels) for _ in inputs)

    def forward(self, features: list[Tensor]) -> Tensor:
        laterals = [conv(feature) for conv, feature in zip(self.lateral, features, strict=True)]
        for index in range(len(laterals) - 1, 0, -1):
            size = laterals[index - 1].shape[-2:]
            laterals[index - 1] = laterals[index - 1] + F.interpolate(laterals[index], size=size, mode="nearest")
        finest = laterals[0].shape[-2:]
        total = self.blocks[0](laterals[0])
        for block, lateral in zip(self.blocks[1:], laterals[1:], strict=True):
            total = total + F.interpolate(block(lateral), size=finest, mode="bilinear", align_corners=False)
        return total
