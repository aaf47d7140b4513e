"""Ladder-style decoder (Krapac et al., ICCVW 2017; Krešo et al., arXiv 1905.05661): pyramid pooling, then lean
upsampling.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..segmentor import resize


def _norm_relu_conv(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(), conv)


class Ladder(nn.Module):
    """Maps at strides 4, 8, 16, 32 → one map `[B, channels, H/4, W/4]`.

    The coarsest map goes through spatial pyramid pooling; each ladder step resizes (bilinear), adds the 1x1-projected
    map of the next finer stage, and blends with a 3x3.

    Args:
        channels: width of the ladder.
        grids: side lengths of the pooling grids.
        pooled: channels per pooled grid.
    """

    def __init__(
        self, inputs: Sequence[int], channels: int = 128, grids: Sequence[int] = (8, 4, 2, 1), pooled: int = 42
    ) -> None:
        super().__init__()
        self.channels = channels
        self.grids = tuple(grids)
        self.reduce = _norm_relu_conv(inputs[-1], channels, 1)
        self.pools = nn.ModuleList(_norm_relu_conv(channels, pooled, 1) for _ in self.grids)
        self.fuse = _norm_relu_conv(channels + pooled * len(self.grids), channels, 1)
        self.skips = nn.ModuleList(_norm_relu_conv(count, channels, 1) for count in inputs[:-1])
        self.blends = nn.ModuleList(_norm_relu_conv(channels, channels, 3) for _ in inputs[:-1])

    def forward(self, features: list[Tensor]) -> Tensor:
        x = self.reduce(features[-1])
        size = x.shape[-2:]
        levels = [x]
        for grid, pool in zip(self.grids, self.pools, strict=True):
            # Grids follow the aspect; never finer than the map itself.
            cells = (min(grid, size[0]), min(max(grid, round(grid * size[1] / size[0])), size[1]))
            levels.append(resize(pool(F.adaptive_avg_pool2d(x, cells)), size))
        x = self.fuse(torch.cat(levels, dim=1))
        for index in range(len(self.skips) - 1, -1, -1):
            skip = self.skips[index](features[index])
            x = self.blends[index](resize(x, skip.shape[-2:]) + skip)
        return x
