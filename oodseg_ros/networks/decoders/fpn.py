"""Feature pyramids: of a hierarchy (Lin et al., arXiv 1612.03144, with summed levels, Kirillov et al., arXiv
1901.02446), and UEM's on a plain vision transformer (Nayal et al., arXiv 2409.06424).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..segmentor import resize


def _block(channels: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]


class Fpn(nn.Module):
    """Maps at strides s, 2s, 4s, … → one map `[B, channels, H/s, W/s]`.

    Top-down additions with nearest resize, one 3x3 block per level, then all levels resized (bilinear,
    align_corners=False) to the finest and summed.
    """

    def __init__(self, inputs: Sequence[int], channels: int = 96) -> None:
        super().__init__()
        self.channels = channels
        self.lateral = nn.ModuleList(nn.Conv2d(count, channels, 1) for count in inputs)
        self.blocks = nn.ModuleList(nn.Sequential(*_block(channels)) for _ in inputs)

    def forward(self, features: list[Tensor]) -> Tensor:
        return _top_down([conv(feature) for conv, feature in zip(self.lateral, features, strict=True)], self.blocks)


class LightFpn(nn.Module):
    """Maps at strides s, 2s, 4s, … → one map `[B, channels, H/s, W/s]`, at less than half of `Fpn`'s work.

    All levels but the finest are an `Fpn` of `width` channels; the coarsest also sees its surroundings (a depthwise
    5x5 beside its 1x1). Their sum is projected to `channels` and enlarged (bilinear). What the finest map adds to it
    passes through a depthwise 3x3 instead of a full one: nothing runs over `width` channels at the finest stride, where
    `Fpn` spends three quarters of its time.

    Args:
        channels: of the output; classes and rows of a score read no more directions than they have.
        width: of the coarser levels.
        separable: the block of the second finest level is a depthwise 3x3 and a 1x1.
    """

    def __init__(self, inputs: Sequence[int], channels: int = 32, width: int = 64, separable: bool = False) -> None:
        super().__init__()
        self.channels = channels
        finest, coarsest = inputs[0], inputs[-1]
        self.lateral = nn.ModuleList(nn.Conv2d(count, width, 1) for count in inputs[1:])
        self.surroundings = nn.Sequential(*_depthwise(coarsest, 5), nn.Conv2d(coarsest, width, 1, bias=False))
        self.blocks = nn.ModuleList(
            nn.Sequential(*(_separable(width) if separable and level == 0 else _block(width)))
            for level in range(len(inputs) - 1)
        )
        self.project = nn.Conv2d(width, channels, 1, bias=False)
        self.context = nn.Conv2d(width, channels, 1, bias=False)
        self.detail = nn.Conv2d(finest, channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.refine_detail = nn.Sequential(*_depthwise(channels, 3), nn.Conv2d(channels, channels, 1, bias=False))

    def forward(self, features: list[Tensor]) -> Tensor:
        laterals = [conv(feature) for conv, feature in zip(self.lateral, features[1:], strict=True)]
        laterals[-1] = laterals[-1] + self.surroundings(features[-1])
        summed = _top_down(laterals, self.blocks)
        # Made small first: 1x1 convolutions commute with the resize.
        finest = features[0].shape[-2:]
        coarse, context = (
            resize(conv(maps), finest) for conv, maps in ((self.project, summed), (self.context, laterals[0]))
        )
        return coarse + self.refine_detail(F.relu(self.norm(self.detail(features[0]) + context)))


def _depthwise(channels: int, kernel: int) -> list[nn.Module]:
    conv = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels, bias=False)
    return [conv, nn.BatchNorm2d(channels), nn.ReLU()]


def _separable(channels: int) -> list[nn.Module]:
    first = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
    return [first, nn.Conv2d(channels, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]


def _top_down(laterals: list[Tensor], blocks: nn.ModuleList) -> Tensor:
    """Each map (finest first) gets the next coarser one added (nearest), in place; then a block per level, all resized
    to the finest and summed.
    """
    for index in range(len(laterals) - 1, 0, -1):
        size = laterals[index - 1].shape[-2:]
        laterals[index - 1] = laterals[index - 1] + F.interpolate(laterals[index], size=size, mode="nearest")
    finest = laterals[0].shape[-2:]
    total = blocks[0](laterals[0])
    for block, lateral in zip(blocks[1:], laterals[1:], strict=True):
        total = total + F.interpolate(block(lateral), size=finest, mode="bilinear", align_corners=False)
    return total


def _up(inputs: int) -> nn.Module:
    return nn.ConvTranspose2d(inputs, inputs, 2, stride=2)


def _twice() -> nn.Module:
    return nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)


class DinoFpn(nn.Module):
    """Four maps `[B, C, h, w]` of one vision transformer → `[B, channels, 4h, 4w]`.

    The maps become a pyramid at 4, 2, 1 and 1/2 of their size; the last map joins the third level through an MLP. Then
    lateral 1x1, top-down sums (nearest), a 3x3 per level, and per-level heads that double the size up to the finest;
    the heads' outputs are summed, resized with align_corners=True (all other resizing is not; so it was trained).

    Args:
        channels: width of the pyramid and of the output.
        hidden: hidden width of the MLP.
    """

    def __init__(self, inputs: Sequence[int], channels: int = 256, hidden: int = 512) -> None:
        super().__init__()
        width = inputs[-1]
        self.channels = channels
        self.levels = nn.ModuleList(
            [
                nn.Sequential(nn.GroupNorm(1, width), _up(width), nn.BatchNorm2d(width), nn.GELU(), _up(width)),
                nn.Sequential(nn.GroupNorm(1, width), _up(width)),
                nn.Sequential(nn.GroupNorm(1, width)),
                nn.Sequential(nn.GroupNorm(1, width), nn.MaxPool2d(2, stride=2)),
            ]
        )
        self.mlp = nn.Sequential(nn.Conv2d(width, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, channels, 1))
        self.lateral = nn.ModuleList(
            nn.Conv2d(width + (channels if level == 2 else 0), channels, 1) for level in range(4)
        )
        self.smooth = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(4))
        self.heads = nn.ModuleList(
            [
                nn.Sequential(*_block(channels)),
                nn.Sequential(*_block(channels), _twice()),
                nn.Sequential(*_block(channels), _twice(), *_block(channels), _twice()),
                nn.Sequential(*_block(channels), _twice(), *_block(channels), _twice(), *_block(channels), _twice()),
            ]
        )

    def forward(self, features: list[Tensor]) -> Tensor:
        if torch.is_grad_enabled() and not torch.compiler.is_exporting():
            # On CPUs torch 2.13 dies in GroupNorm's backward pass on channels-last maps that need no gradient.
            features = [feature if feature.requires_grad else feature.contiguous() for feature in features]
        pyramid = [level(feature) for level, feature in zip(self.levels, features, strict=True)]
        pyramid[2] = torch.cat([pyramid[2], self.mlp(features[-1])], dim=1)
        laterals = [conv(level) for conv, level in zip(self.lateral, pyramid, strict=True)]
        for index in (3, 2, 1):
            size = laterals[index - 1].shape[-2:]
            laterals[index - 1] = laterals[index - 1] + F.interpolate(laterals[index], size=size, mode="nearest")
        total = self.heads[0](self.smooth[0](laterals[0]))
        for head, conv, lateral in zip(self.heads[1:], self.smooth[1:], laterals[1:], strict=True):
            total = total + resize(head(conv(lateral)), total.shape[-2:], True)
        return total
