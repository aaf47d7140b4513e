"""DenseNet-121 (Huang et al., arXiv 1608.06993), as ladder-style segmentors use it (Krapac et al., ICCVW 2017).

Module names follow the common state dicts (`features.denseblock1.denselayer1.conv1`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DenseLayer(nn.Module):
    """Batch norm, ReLU, 1x1, batch norm, ReLU, 3x3; its output is appended to its input."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, 4 * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * growth)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(F.relu(self.norm1(x)))
        return torch.cat([x, self.conv2(F.relu(self.norm2(y)))], dim=1)


class Transition(nn.Module):
    """Batch norm, ReLU, 1x1 to half the channels; the 2x2 average pooling is done by the network."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.conv = nn.Conv2d(inputs, inputs // 2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.relu(self.norm(x)))


class DenseNet(nn.Module):
    """Images float32 `[B, 3, H, W]` → the outputs of the four dense blocks, at strides 4, 8, 16, 32.

    Args:
        depths: layers per block; the defaults are DenseNet-121.
        growth: channels that each layer adds.
    """

    multiple = 32
    strides = (4, 8, 16, 32)

    def __init__(self, depths: Sequence[int] = (6, 12, 24, 16), growth: int = 32) -> None:
        super().__init__()
        channels = 2 * growth
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        parts["conv0"] = nn.Conv2d(3, channels, 7, stride=2, padding=3, bias=False)
        parts["norm0"] = nn.BatchNorm2d(channels)
        outputs = []
        for block, depth in enumerate(depths, start=1):
            layers = OrderedDict()
            for layer in range(1, depth + 1):
                layers[f"denselayer{layer}"] = DenseLayer(channels, growth)
                channels += growth
            parts[f"denseblock{block}"] = nn.Sequential(layers)
            outputs.append(channels)
            if block < len(depths):
                parts[f"transition{block}"] = Transition(channels)
                channels //= 2
        parts["norm5"] = nn.BatchNorm2d(channels)
        self.features = nn.ModuleDict(parts)
        self.channels = tuple(outputs)

    def forward(self, images: Tensor) -> list[Tensor]:
        part = self.features
        x = F.relu(part["norm0"](part["conv0"](images)))
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        maps = []
        for block in range(1, len(self.channels) + 1):
            x = part[f"denseblock{block}"](x)
            maps.append(x)
            if block < len(self.channels):
                x = F.avg_pool2d(part[f"transition{block}"](x), 2)
        maps[-1] = F.relu(part["norm5"](x))
        return maps
