"""ESPNetv2's segmentation decoder (Mehta et al., arXiv 1811.11431): efficient pyramid pooling at every scale.

Module names follow the released state dicts. All resizing is bilinear with align_corners=True, so is that of the
output.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..segmentor import resize

SCALES = (2.0, 1.5, 1.0, 0.5, 0.1)
MIN_SIDE = 5


class _Named(nn.Module):
    """A sequence under the name that the released state dicts give it."""

    def __init__(self, name: str, *layers: nn.Module) -> None:
        super().__init__()
        self._name = name
        self.add_module(name, nn.Sequential(*layers))

    def forward(self, x: Tensor) -> Tensor:
        return getattr(self, self._name)(x)


def _conv(inputs: int, outputs: int, kernel: int, groups: int = 1) -> _Named:
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False)
    return _Named("cbr", conv, nn.BatchNorm2d(outputs), nn.PReLU(outputs))


def _norm(channels: int) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels), nn.PReLU(channels)]


class PyramidPool(nn.Module):
    """Depth-wise 3x3 convolutions at five scales of the projected map, merged by a grouped 3x3 and a 1x1."""

    def __init__(self, inputs: int, width: int, outputs: int, last: bool = False) -> None:
        super().__init__()
        total = width * len(SCALES)
        self.stages = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False) for _ in SCALES)
        self.projection_layer = _conv(inputs, width, 1)
        self.merge_layer = nn.Sequential(
            _Named("br", *_norm(total)),
            nn.ChannelShuffle(len(SCALES)),
            _conv(total, width, 3, groups=width),
            nn.Conv2d(width, outputs, 1, bias=last),
        )
        if not last:
            self.br = _Named("br", *_norm(outputs))

    def forward(self, x: Tensor) -> Tensor:
        x = self.projection_layer(x)
        size = x.shape[-2:]
        branches = []
        for scale, stage in zip(SCALES, self.stages, strict=True):
            scaled = tuple(max(MIN_SIDE, math.ceil(side * scale)) for side in size)
            if scale < 1.0:
                branch = resize(stage(F.adaptive_avg_pool2d(x, scaled)), size, True)
            elif scale > 1.0:
                branch = F.adaptive_avg_pool2d(stage(resize(x, scaled, True)), size)
            else:
                branch = stage(x)
            branches.append(branch)
        x = self.merge_layer(torch.cat(branches, dim=1))
        return self.br(x) if hasattr(self, "br") else x


class Gated(nn.Module):
    """3x3 grouped convolution of the encoder's map, weighted per channel by its global mean."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.wt_layer = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(inputs, outputs, 1, bias=False), nn.Sigmoid())
        self.expansion_layer = _conv(inputs, outputs, 3, groups=math.gcd(inputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        return self.expansion_layer(x) * self.wt_layer(x)


class EspNetV2Decoder(nn.Module):
    """Maps at strides 2, 4, 8, 16 → logits `[B, outputs, H/2, W/2]`, void among them where it was trained with one.

    `merge` ends before the last block, which makes logits; `refine` is that block.

    Args:
        outputs: number of output channels.
        width: base width; 16 for the released Cityscapes and VOC networks.
    """

    align_corners = True
    last_block = "bu_dec_l4"

    def __init__(self, inputs: Sequence[int], outputs: int = 20, width: int = 16) -> None:
        super().__init__()
        self.channels = outputs
        self.last_channels = 2 * width
        one, two, three, four = inputs
        projected = min(outputs // 2, width)
        self.bu_dec_l1 = PyramidPool(four, projected, 4 * width)
        self.bu_dec_l2 = PyramidPool(4 * width, projected, 3 * width)
        self.bu_dec_l3 = PyramidPool(3 * width, projected, 2 * width)
        self.bu_dec_l4 = PyramidPool(2 * width, projected, outputs, last=True)
        self.merge_enc_dec_l2 = Gated(three, 4 * width)
        self.merge_enc_dec_l3 = Gated(two, 3 * width)
        self.merge_enc_dec_l4 = Gated(one, 2 * width)
        self.bu_br_l2 = nn.Sequential(*_norm(4 * width))
        self.bu_br_l3 = nn.Sequential(*_norm(3 * width))
        self.bu_br_l4 = nn.Sequential(*_norm(2 * width))

    def merge(self, features: list[Tensor]) -> Tensor:
        """`[B, last_channels, H/2, W/2]`, what the last block reads."""
        one, two, three, four = features
        x = self.bu_dec_l1(four)
        x = self.bu_dec_l2(self.bu_br_l2(self.merge_enc_dec_l2(three) + resize(x, three.shape[-2:], True)))
        x = self.bu_dec_l3(self.bu_br_l3(self.merge_enc_dec_l3(two) + resize(x, two.shape[-2:], True)))
        return self.bu_br_l4(self.merge_enc_dec_l4(one) + resize(x, one.shape[-2:], True))

    def refine(self, merged: Tensor) -> Tensor:
        """The last block: logits."""
        return self.bu_dec_l4(merged)

    def forward(self, features: list[Tensor]) -> Tensor:
        return self.refine(self.merge(features))
