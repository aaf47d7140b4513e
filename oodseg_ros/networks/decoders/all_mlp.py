"""All-MLP decoder of SegFormer (Xie et al., arXiv 2105.15203), in its two published forms."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from ..segmentor import resize


class AllMlp(nn.Module):
    """Maps at strides 4, 8, 16, 32 → one map `[B, channels, H/4, W/4]`.

    Each map is projected, resized to the finest (bilinear, align_corners=False), concatenated, and fused by a 1x1
    convolution, batch norm and ReLU. The fusing convolution is applied per map before the resize, which is the same
    because 1x1 convolutions commute with bilinear resizing, and saves two thirds of it.

    Args:
        channels: width of the projections and of the output.
        projection: `linear` (the original and transformers), or `norm`: no bias, then batch norm and ReLU
        (mmsegmentation).
    """

    def __init__(self, inputs: Sequence[int], channels: int = 256, projection: str = "linear") -> None:
        super().__init__()
        if projection not in ("linear", "norm"):
            raise ValueError(f"projection is {projection!r}, it must be linear or norm")
        self.channels = channels
        norms = projection == "norm"
        self.project = nn.ModuleList(
            nn.Sequential(nn.Conv2d(count, channels, 1, bias=not norms), *_norm_relu(channels, norms))
            for count in inputs
        )
        self.fuse = nn.Conv2d(channels * len(inputs), channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, features: list[Tensor]) -> Tensor:
        finest = features[0].shape[-2:]
        weights = self.fuse.weight.chunk(len(features), dim=1)
        total = F.conv2d(self.project[0](features[0]), weights[0])
        for project, feature, weight in zip(self.project[1:], features[1:], weights[1:], strict=True):
            total = total + resize(F.conv2d(project(feature), weight), finest)
        return F.relu(self.norm(total))


def _norm_relu(channels: int, wanted: bool) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels), nn.ReLU()] if wanted else []
