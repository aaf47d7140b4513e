"""ResNet-50/101 dilated to stride 8 (He et al., arXiv 1512.03385), for DeepLabV3+.

Written here because transformers' ResNet cannot be dilated. Module names follow the common state dicts
(`layer1.0.conv1`).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

DEPTHS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
EXPANSION = 4


class Bottleneck(nn.Module):
    """1x1 → 3x3 → 1x1 with a skip; the stride is on the 3x3."""

    def __init__(self, inputs: int, width: int, stride: int, dilation: int) -> None:
        super().__init__()
        outputs = width * EXPANSION
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, dilation, dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y + (self.downsample(x) if hasattr(self, "downsample") else x))


class ResNet(nn.Module):
    """Images float32 `[B, 3, H, W]` → [map at stride 4, map at stride 8], with 256 and 2048 channels.

    Args:
        depth: 50 or 101.
        width: channels of the stem; 64 is ResNet.
    """

    multiple = 8
    strides = (4, 8)

    def __init__(self, depth: int = 101, width: int = 64) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        inputs = width
        # Stages three and four keep stride 8 and are dilated by 2 and 4 instead.
        for stage, (count, stride, dilation) in enumerate(zip(DEPTHS[depth], (1, 2, 1, 1), (1, 1, 2, 4), strict=True)):
            blocks = []
            for block in range(count):
                blocks.append(Bottleneck(inputs, width << stage, stride if block == 0 else 1, dilation))
                inputs = (width << stage) * EXPANSION
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.channels = (width * EXPANSION, inputs)

    def forward(self, images: Tensor) -> list[Tensor]:
        x = F.relu(self.bn1(self.conv1(images)))
        fine = self.layer1(F.max_pool2d(x, 3, stride=2, padding=1))
        return [fine, self.layer4(self.layer3(self.layer2(fine)))]
