"""ResNets dilated to stride 8: ResNet-50/101 (He et al., arXiv 1512.03385) for DeepLabV3+, and WiderResNet38-A2 (Bulò
et al., arXiv 1712.02616), the trunk of NVIDIA's Cityscapes DeepLabV3+.

Written here because transformers' ResNet cannot be dilated. Module names follow the common and the released state dicts
(`layer1.0.conv1`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

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


BLOCKS = (3, 3, 6, 3, 1, 1)
CHANNELS = ((128, 128), (256, 256), (512, 512), (512, 1024), (512, 1024, 2048), (1024, 2048, 4096))
DILATIONS = (1, 1, 1, 2, 4, 4)
DROPOUTS = (0.0, 0.0, 0.0, 0.0, 0.3, 0.5)


def _norm_relu(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())


class PreActivationBlock(nn.Module):
    """Two 3x3 convolutions (or 1x1, 3x3, 1x1 for three widths), each after batch norm and ReLU, plus a skip."""

    def __init__(self, inputs: int, widths: Sequence[int], stride: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.bn1 = _norm_relu(inputs)
        if stride != 1 or inputs != widths[-1]:
            self.proj_conv = nn.Conv2d(inputs, widths[-1], 1, stride=stride, bias=False)
        layers: list[tuple[str, nn.Module]] = []
        if len(widths) == 2:
            layers.append(("conv1", nn.Conv2d(inputs, widths[0], 3, stride, dilation, dilation, bias=False)))
            layers.append(("bn2", _norm_relu(widths[0])))
            layers.append(("conv2", nn.Conv2d(widths[0], widths[1], 3, 1, dilation, dilation, bias=False)))
        else:
            layers.append(("conv1", nn.Conv2d(inputs, widths[0], 1, stride, bias=False)))
            layers.append(("bn2", _norm_relu(widths[0])))
            layers.append(("conv2", nn.Conv2d(widths[0], widths[1], 3, 1, dilation, dilation, bias=False)))
            layers.append(("bn3", _norm_relu(widths[1])))
            layers.append(("dropout", nn.Dropout2d(dropout)))
            layers.append(("conv3", nn.Conv2d(widths[1], widths[2], 1, bias=False)))
        self.convs = nn.Sequential(OrderedDict(layers))

    def forward(self, x: Tensor) -> Tensor:
        activated = self.bn1(x)
        skip = self.proj_conv(activated) if hasattr(self, "proj_conv") else x
        return self.convs(activated) + skip


class WideResNet38(nn.Module):
    """Images float32 `[B, 3, H, W]` → [map at stride 2, map at stride 8], with 128 and 4096 channels.

    Args:
        divisor: divides all widths (small networks in tests); 1 is WiderResNet38.
    """

    multiple = 8
    strides = (2, 8)

    def __init__(self, divisor: int = 1) -> None:
        super().__init__()
        inputs = 64 // divisor
        self.mod1 = nn.Sequential(OrderedDict(conv1=nn.Conv2d(3, inputs, 3, padding=1, bias=False)))
        for stage, (count, widths, dilation, dropout) in enumerate(
            zip(BLOCKS, CHANNELS, DILATIONS, DROPOUTS, strict=True)
        ):
            widths = tuple(width // divisor for width in widths)
            blocks = OrderedDict()
            for block in range(count):
                stride = 2 if stage == 2 and block == 0 else 1
                blocks[f"block{block + 1}"] = PreActivationBlock(inputs, widths, stride, dilation, dropout)
                inputs = widths[-1]
            self.add_module(f"mod{stage + 2}", nn.Sequential(blocks))
        self.channels = (CHANNELS[0][-1] // divisor, CHANNELS[-1][-1] // divisor)

    def forward(self, images: Tensor) -> list[Tensor]:
        fine = self.mod2(_halve(self.mod1(images)))
        x = self.mod3(_halve(fine))
        for stage in (self.mod4, self.mod5, self.mod6, self.mod7):
            x = stage(x)
        return [fine, x]


def _halve(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 3, stride=2, padding=1)
