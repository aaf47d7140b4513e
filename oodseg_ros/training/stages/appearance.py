"""The same scene in other light and weather, made from normalised images, for methods that want pairs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def shifted(images: Tensor, generator: torch.Generator) -> Tensor:
    """`[B, 3, H, W]` → `[2B, 3, H, W]`: the images, then each of them with another gain, contrast, cast, haze, blur.

    `generator` is of the CPU. Normalised images in and out, nothing is clipped.
    """
    count = len(images)

    def uniform(low: float, high: float, channels: int = 1) -> Tensor:
        values = torch.rand(count, channels, 1, 1, generator=generator) * (high - low) + low
        return values.to(images.device)

    mean = images.mean(dim=(2, 3), keepdim=True)
    changed = (images - mean) * uniform(0.5, 1.4) + mean * uniform(0.6, 1.2)
    changed = changed * uniform(0.8, 1.2, 3) + uniform(-0.7, 0.5)
    haze = uniform(-0.4, 0.6).clamp(min=0.0)  # none in two of five images
    changed = changed * (1 - haze) + haze
    blurred = F.avg_pool2d(changed, 3, stride=1, padding=1, count_include_pad=False)
    sharp = uniform(0.0, 1.0) < 0.6
    return torch.cat([images, torch.where(sharp, changed, blurred)])
