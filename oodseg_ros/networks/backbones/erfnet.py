"""ERFNet's encoder (Romera et al., "ERFNet: Efficient Residual Factorized ConvNet", 2018): 3x3 convolutions as 3x1
and 1x3, with dilation. Module names follow the released state dicts; batch-norm epsilon is 1e-3.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

EPSILON = 1e-3


class FactorizedBlock(nn.Module):
    """Residual block of four one-dimensional convolutions, the second pair dilated; keeps shape."""

    def __init__(self, channels: int, dropout: float, dilation: int) -> None:
        super().__init__()
        self.conv3x1_1 = nn.Conv2d(channels, channels, (3, 1), padding=(1, 0))
        self.conv1x3_1 = nn.Conv2d(channels, channels, (1, 3), padding=(0, 1))
        self.bn1 = nn.BatchNorm2d(channels, eps=EPSILON)
        self.conv3x1_2 = nn.Conv2d(channels, channels, (3, 1), padding=(dilation, 0), dilation=(dilation, 1))
        self.conv1x3_2 = nn.Conv2d(channels, channels, (1, 3), padding=(0, dilation), dilation=(1, dilation))
        self.bn2 = nn.BatchNorm2d(channels, eps=EPSILON)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn1(self.conv1x3_1(self.conv3x1_1(x).relu())).relu()
        y = self.bn2(self.conv1x3_2(self.conv3x1_2(y).relu()))
        return (x + self.dropout(y)).relu()


class Downsampler(nn.Module):
    """Half the size: a strided convolution beside a max pooling."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs - inputs, 3, stride=2, padding=1)
        self.pool = nn.MaxPool2d(2, stride=2)
        self.bn = nn.BatchNorm2d(outputs, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(torch.cat([self.conv(x), self.pool(x)], dim=1)).relu()


class ErfNet(nn.Module):
    """Images float32 `[B, 3, H, W]` → one map at stride 8.

    Args:
        widths: channels at strides 2, 4 and 8.
        blocks: residual blocks at stride 4.
        dilations: of the residual blocks at stride 8.
    """

    multiple = 8
    strides = (8,)

    def __init__(
        self,
        widths: Sequence[int] = (16, 64, 128),
        blocks: int = 5,
        dilations: Sequence[int] = (2, 4, 8, 16, 2, 4, 8, 16),
    ) -> None:
        super().__init__()
        first, middle, last = widths
        self.channels = (last,)
        self.initial_block = Downsampler(3, first)
        self.layers = nn.ModuleList(
            [
                Downsampler(first, middle),
                *(FactorizedBlock(middle, 0.03, 1) for _ in range(blocks)),
                Downsampler(middle, last),
                *(FactorizedBlock(last, 0.3, dilation) for dilation in dilations),
            ]
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        x = self.initial_block(images)
        for layer in self.layers:
            x = layer(x)
        return [x]
