"""A 3x3 convolution of a resized map, computed before the resize."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


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
