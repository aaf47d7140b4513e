"""DeepLabV3+ decoder (Chen et al., arXiv 1802.02611) as in NVIDIA's Cityscapes networks; all resizing is
align_corners=True.

Module names follow the released state dicts. `conv3x3_of_resized` computes a convolution before the resize it follows.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..segmentor import resize


def _block(inputs: int, outputs: int, kernel: int = 1, dilation: int = 1) -> nn.Sequential:
    padding = dilation if kernel == 3 else 0
    conv = nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


class Aspp(nn.Module):
    """Atrous spatial pyramid pooling: `[B, C, h, w]` → `[B, 5*channels, h, w]`, in the order pooled image, 1x1,
    rates.
    """

    def __init__(self, inputs: int, channels: int = 256, rates: Sequence[int] = (12, 24, 36)) -> None:
        super().__init__()
        self.features = nn.ModuleList(
            [_block(inputs, channels), *(_block(inputs, channels, 3, rate) for rate in rates)]
        )
        self.img_conv = _block(inputs, channels)

    def forward(self, x: Tensor) -> Tensor:
        # The pooled image is one pixel, so resizing it is repeating it. Summed in float32: halves would overflow.
        pooled = self.img_conv(x.float().mean(dim=(2, 3), keepdim=True).to(x.dtype)).expand(-1, -1, *x.shape[-2:])
        return torch.cat([pooled, *(branch(x) for branch in self.features)], dim=1)


class DeepLab(nn.Module):
    """[map at stride 2 or 4, map at stride 8] → the 256-channel map that the classifier reads, at the finer stride.

    `merge` ends behind the first 3x3 convolution of the last block, before its batch norm: what a head adds to the
    input of that block can then be added there, because a convolution is linear. `refine` is the rest.

    Args:
        channels: width of the ASPP branches and of the output.
        fine: width of the projected fine map.
        rates: dilations of the ASPP.
    """

    align_corners = True

    def __init__(
        self, inputs: Sequence[int], channels: int = 256, fine: int = 48, rates: Sequence[int] = (12, 24, 36)
    ) -> None:
        super().__init__()
        self.channels = channels
        self.merged_channels = fine + channels
        self.aspp = Aspp(inputs[1], channels, rates)
        self.bot_fine = nn.Conv2d(inputs[0], fine, 1, bias=False)
        self.bot_aspp = nn.Conv2d((2 + len(rates)) * channels, channels, 1, bias=False)
        self.final = nn.Sequential(_block(fine + channels, channels, 3), _block(channels, channels, 3))

    def merge(self, features: list[Tensor]) -> Tensor:
        """`[B, channels, h, w]`: the first convolution of the last block on [fine, resized ASPP]."""
        fine, coarse = features
        weight = self.final[0][0].weight
        split = self.bot_fine.out_channels
        context = self.bot_aspp(self.aspp(coarse))
        near = F.conv2d(self.bot_fine(fine), weight[:, :split], padding=1)
        return near + self.convolved(context, weight[:, split:], fine.shape[-2:])

    def convolved(self, coarse: Tensor, weight: Tensor, size: tuple[int, int]) -> Tensor:
        """3x3 convolution with `weight` of `coarse` resized to `size`; before or after the resize, whichever is
        cheaper.
        """
        if size[0] >= 3 * coarse.shape[-2] - 2:
            return conv3x3_of_resized(coarse, weight, size)
        return F.conv2d(resize(coarse, size, True), weight, padding=1)

    def refine(self, merged: Tensor) -> Tensor:
        """The rest of the last block: batch norm, ReLU, 3x3, batch norm, ReLU."""
        first = self.final[0]
        return self.final[1](first[2](first[1](merged)))

    def forward(self, features: list[Tensor]) -> Tensor:
        return self.refine(self.merge(features))


def conv3x3_of_resized(x: Tensor, weight: Tensor, size: tuple[int, int]) -> Tensor:
    """The same as `conv2d(interpolate(x, size, bilinear, align_corners=True), weight, padding=1)`, with far fewer
    FLOPs.

    A 3x3 convolution is a sum of nine shifted 1x1 convolutions; those commute with bilinear resizing, and resizing is
    separable. So the nine 1x1 convolutions run at the small size, then rows are stretched and shifted, then columns.
    Worth it from a factor of about 3 between the sizes.

    Args:
        x: `[B, C, h, w]`.
        weight: `[O, C, 3, 3]`.
        size: (H, W) of the resized map.
    """
    height, width = size
    batch, channels, h, w = x.shape
    outputs = weight.shape[0]
    taps = weight.permute(2, 3, 0, 1).reshape(9 * outputs, channels, 1, 1)
    maps = F.conv2d(x, taps).reshape(batch, 3, 3, outputs, h * w)
    columns = [_stretch(maps[:, :, kx].reshape(batch, 3 * outputs, h, w), (h, width)) for kx in range(3)]
    rows = (_shifted(columns[0], 1, 3) + columns[1] + _shifted(columns[2], -1, 3)).reshape(batch, 3, outputs, h, width)
    stretched = [_stretch(rows[:, ky], (height, width)) for ky in range(3)]
    return _shifted(stretched[0], 1, 2) + stretched[1] + _shifted(stretched[2], -1, 2)


def _stretch(x: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x, size=size, mode="bilinear", align_corners=True)


def _shifted(x: Tensor, by: int, dim: int) -> Tensor:
    """Content moved by one to the right or down (1), left or up (-1), zeros moving in."""
    before, after = (1, -1) if by > 0 else (-1, 1)
    return F.pad(x, (before, after) if dim == 3 else (0, 0, before, after))
