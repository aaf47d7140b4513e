"""ESPNetv2 encoder (Mehta et al., arXiv 1811.11431): dilated depth-wise pyramids, and the image fed in again at each
scale.

Module names follow the released state dicts (`base_net.level2_0.eesp.proj_1x1.conv`).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHANNELS = {0.5: (16, 32, 64, 128), 1.0: (32, 64, 128, 256), 1.5: (32, 96, 192, 384), 2.0: (32, 128, 256, 512)}
BRANCHES = 4
REPEATS = (3, 7)  # units at strides 8 and 16
FIELD_LIMITS = {"level2_0": 13, "level3_0": 11, "level3": 9, "level4_0": 9, "level4": 7}


class NormAct(nn.Module):
    """Batch norm and PReLU; `act` may be left out."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels)
        self.act = nn.PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(x))


class Conv(nn.Module):
    """Convolution, batch norm, and PReLU where `activated`."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, activated: bool = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        if activated:
            self.act = nn.PReLU(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn(self.conv(x))
        return self.act(x) if hasattr(self, "act") else x


class Dilated(nn.Module):
    """3x3 depth-wise convolution with a dilation."""

    def __init__(self, channels: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride, dilation, dilation, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class Unit(nn.Module):
    """EESP: reduce, four dilated branches summed up one after the other, expand, and a skip where shapes allow."""

    def __init__(self, inputs: int, outputs: int, stride: int, field_limit: int) -> None:
        super().__init__()
        width = outputs // BRANCHES
        # Fields 3, 5, 7, 9; those above the limit fall back to 3. Sorted, so that the sums grow in field.
        fields = sorted(field if field <= field_limit else 3 for field in range(3, 3 + 2 * BRANCHES, 2))
        self.proj_1x1 = Conv(inputs, width, 1, groups=BRANCHES)
        self.spp_dw = nn.ModuleList(Dilated(width, stride, (field - 1) // 2) for field in fields)
        self.br_after_cat = NormAct(outputs)
        self.conv_1x1_exp = Conv(outputs, outputs, 1, groups=BRANCHES, activated=False)
        self.module_act = nn.PReLU(outputs)
        self._halves = stride == 2

    def forward(self, x: Tensor) -> Tensor:
        reduced = self.proj_1x1(x)
        branches = [self.spp_dw[0](reduced)]
        for branch in self.spp_dw[1:]:
            branches.append(branch(reduced) + branches[-1])
        expanded = self.conv_1x1_exp(self.br_after_cat(torch.cat(branches, dim=1)))
        if self._halves:
            return expanded  # joined and activated by `Down`
        return self.module_act(expanded + x if expanded.shape == x.shape else expanded)


class Down(nn.Module):
    """Half the size: average pooling beside a strided unit, plus the pooled input image through two convolutions."""

    def __init__(self, inputs: int, outputs: int, field_limit: int) -> None:
        super().__init__()
        self.eesp = Unit(inputs, outputs - inputs, 2, field_limit)
        self.inp_reinf = nn.Sequential(Conv(3, 3, 3), Conv(3, outputs, 1, activated=False))
        self.act = nn.PReLU(outputs)

    def forward(self, x: Tensor, image: Tensor) -> Tensor:
        pooled = _pool(x)
        image = _pool(image)
        while image.shape[-2] > pooled.shape[-2]:
            image = _pool(image)
        return self.act(torch.cat([pooled, self.eesp(x)], dim=1) + self.inp_reinf(image))


def _pool(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, stride=2, padding=1)


class EspNetV2(nn.Module):
    """Images float32 `[B, 3, H, W]` (H, W multiples of 16) → four maps at strides 2, 4, 8, 16.

    Args:
        scale: 0.5, 1.0, 1.5 or 2.0.
    """

    multiple = 32
    strides = (2, 4, 8, 16)

    def __init__(self, scale: float = 2.0) -> None:
        super().__init__()
        self.channels = CHANNELS[scale]
        one, two, three, four = self.channels
        self.level1 = Conv(3, one, 3, stride=2)
        self.level2_0 = Down(one, two, FIELD_LIMITS["level2_0"])
        self.level3_0 = Down(two, three, FIELD_LIMITS["level3_0"])
        self.level3 = nn.Sequential(*(Unit(three, three, 1, FIELD_LIMITS["level3"]) for _ in range(REPEATS[0])))
        self.level4_0 = Down(three, four, FIELD_LIMITS["level4_0"])
        self.level4 = nn.Sequential(*(Unit(four, four, 1, FIELD_LIMITS["level4"]) for _ in range(REPEATS[1])))

    def forward(self, images: Tensor) -> list[Tensor]:
        one = self.level1(images)
        two = self.level2_0(one, images)
        three = self.level3(self.level3_0(two, images))
        return [one, two, three, self.level4(self.level4_0(three, images))]
