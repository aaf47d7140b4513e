"""A pyramid that spends its work where maps are coarse: surroundings at several rates (as in DeepLab's ASPP, Chen et
al., arXiv 1706.05587, one after the other), then detail of the finer maps, all of it depthwise separable.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from ..segmentor import resize


class ContextFpn(nn.Module):
    """Maps at strides s, 2s, 4s, 8s → one map `[B, channels, H/s, W/s]`.

    The two coarsest are joined at stride 4s, where separable 5x5 blocks with a skip see ever more around (`rates`).
    What they make is enlarged (bilinear) and added to the finer maps, with one more block or two at each stride.

    Args:
        channels: of the output.
        middle: channels at stride 2s.
        width: channels at stride 4s.
        rates: dilation of each block there.
    """

    def __init__(
        self,
        inputs: Sequence[int],
        channels: int = 32,
        middle: int = 48,
        width: int = 96,
        rates: Sequence[int] = (1, 2, 4),
    ) -> None:
        super().__init__()
        if len(inputs) != 4:
            raise ValueError(f"context_fpn needs a backbone with four maps, this one has {len(inputs)}")
        self.channels = channels
        finest, fine, coarse, coarsest = inputs
        self.lateral = nn.ModuleList(
            _normed(count, own)
            for count, own in ((finest, channels), (fine, middle), (coarse, width), (coarsest, width))
        )
        self.surroundings = _separable(coarsest, width, 5)
        self.context = nn.ModuleList(_separable(width, width, 5, rate) for rate in rates)
        self.to_middle = nn.Conv2d(width, middle, 1, bias=False)
        self.refine_middle = nn.ModuleList(_separable(middle, middle, 3) for _ in range(2))
        self.to_finest = nn.Conv2d(middle, channels, 1, bias=False)
        self.refine_finest = _separable(channels, channels, 3)

    def forward(self, features: list[Tensor]) -> Tensor:
        finest, fine, coarse, coarsest = features
        far = self.lateral[3](coarsest) + self.surroundings(coarsest)
        x = F.relu(self.lateral[2](coarse) + resize(far, coarse.shape[-2:]))
        for block in self.context:
            x = x + block(x)
        # Made small first: 1x1 convolutions commute with the resize.
        x = F.relu(self.lateral[1](fine) + resize(self.to_middle(x), fine.shape[-2:]))
        for block in self.refine_middle:
            x = x + block(x)
        x = F.relu(self.lateral[0](finest) + resize(self.to_finest(x), finest.shape[-2:]))
        return x + self.refine_finest(x)


def _normed(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))


def _separable(inputs: int, outputs: int, kernel: int, rate: int = 1) -> nn.Sequential:
    wide = nn.Conv2d(inputs, inputs, kernel, padding=rate * (kernel // 2), dilation=rate, groups=inputs, bias=False)
    return nn.Sequential(wide, nn.BatchNorm2d(inputs), nn.ReLU(), *_normed(inputs, outputs), nn.ReLU())
