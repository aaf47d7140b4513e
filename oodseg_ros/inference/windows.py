"""Sliding windows over a network input: batched, overlapping windows averaged, no pixel left out at any size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..networks.segmentor import Segmentor, SegmentorOutput

BATCH = 8
"""Windows per forward pass."""


@dataclass(frozen=True)
class WindowPlan:
    """Where windows of `height` x `width` pixels start, for one input size.

    Attributes:
        height, width: of a window.
        rows, cols: first row and first column of the windows; every pair is one window.
    """

    height: int
    width: int
    rows: tuple[int, ...]
    cols: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.rows) * len(self.cols)

    @property
    def places(self) -> list[tuple[int, int]]:
        """(row, column) of every window, row by row."""
        return [(row, col) for row in self.rows for col in self.cols]


def starts(length: int, window: int, stride: int) -> tuple[int, ...]:
    """First pixels of windows along one side: every `stride`, and always one that ends at the end.

    >>> starts(1024, 518, 140)
    (0, 140, 280, 420, 506)
    """
    if length <= window:
        return (0,)
    return (*range(0, length - window, stride), length - window)


def spread(length: int, window: int, count: int) -> tuple[int, ...]:
    """First pixels of `count` windows, evenly spread; more where that many would leave a hole, fewer where there are
    not so many different places.

    >>> spread(2048, 1036, 4)
    (0, 337, 675, 1012)
    """
    if length <= window:
        return (0,)
    count = max(count, math.ceil(length / window), 2)
    return tuple(sorted({round(index * (length - window) / (count - 1)) for index in range(count)}))


def fewest(length: int, window: int) -> tuple[int, ...]:
    """First pixels of as few windows as cover a side, evenly spread, cut to whole pixels as EoMT's processor does.

    >>> fewest(1024, 640)
    (0, 384)
    """
    count = math.ceil(length / window)
    if count <= 1:
        return (0,)
    step = window - (count * window - length) / (count - 1)
    return tuple(int(index * step) for index in range(count))


def plan_by_stride(size: tuple[int, int], window: tuple[int, int], stride: tuple[int, int]) -> WindowPlan:
    """The plan of UEM's protocol (window 1036x518, stride 140x140), without its holes. All pairs are (vertical,
    horizontal).
    """
    rows, cols = (starts(*sides) for sides in zip(size, window, stride, strict=True))
    return WindowPlan(*window, rows, cols)


def plan_by_count(size: tuple[int, int], window: tuple[int, int], count: tuple[int, int]) -> WindowPlan:
    """Evenly spread windows, `count` (vertical, horizontal) of them or as many more as it takes to cover everything."""
    rows, cols = (spread(*sides) for sides in zip(size, window, count, strict=True))
    return WindowPlan(*window, rows, cols)


class Windowed(nn.Module):
    """A segmentor applied window by window; same contract as `Segmentor`, for inputs of any size.

    Inlier logits and the head's evidence are averaged over the windows that see a pixel, separately; the score is
    formed afterwards. An input smaller than a window is padded at the right and bottom with zeros, the mean color.

    Args:
        segmentor: the network; it runs at the window's size only.
        window: (height, width) of a window.
        stride: (vertical, horizontal) distance of windows.
        batch: windows per forward pass; 0 = all at once. A pyramid on 45 windows of a ViT-B is 6 GB per map.
        even: as few windows as cover the input, evenly spread, instead of every `stride`.
    """

    def __init__(
        self,
        segmentor: Segmentor,
        window: tuple[int, int],
        stride: tuple[int, int],
        batch: int = BATCH,
        even: bool = False,
    ) -> None:
        super().__init__()
        self.segmentor = segmentor
        self.window: tuple[int, int] = (window[0], window[1])
        self.stride: tuple[int, int] = (stride[0], stride[1])
        self.batch = batch
        self.even = even
        segmentor.prepare(*self.window)

    @property
    def classes(self) -> int:
        """Number K of inlier classes."""
        return self.segmentor.classes

    def plan(self, height: int, width: int) -> WindowPlan:
        """The windows for an input of this size."""
        if self.even:
            return WindowPlan(
                self.window[0], self.window[1], fewest(height, self.window[0]), fewest(width, self.window[1])
            )
        return plan_by_stride((height, width), self.window, self.stride)

    def forward(self, images: Tensor) -> SegmentorOutput:
        height, width = images.shape[-2:]
        logits, evidence = self.averaged(images, self.plan(height, width))
        return SegmentorOutput(logits, self.segmentor.judge(logits, evidence))

    def averaged(self, images: Tensor, plan: WindowPlan) -> tuple[Tensor, Tensor | None]:
        """Logits and evidence at input size, averaged over the windows of `plan`."""
        height, width = images.shape[-2:]
        padded = F.pad(images, (0, max(0, plan.width - width), 0, max(0, plan.height - height)))
        windows = [padded[..., y : y + plan.height, x : x + plan.width] for y, x in plan.places]
        per_pass = (self.batch or len(windows)) if len(windows) > 1 else 1
        sums: list[Any] = [None, None]
        for first in range(0, len(windows), per_pass):
            chunk = windows[first : first + per_pass]
            outputs = self.segmentor.evidence(torch.cat(chunk) if len(chunk) > 1 else chunk[0])
            for index, output in enumerate(outputs):
                if output is None:
                    continue
                if sums[index] is None:
                    sums[index] = output.new_zeros(images.shape[0], output.shape[1], *padded.shape[-2:])
                for part, (y, x) in zip(output.split(images.shape[0]), plan.places[first:], strict=False):
                    sums[index][..., y : y + plan.height, x : x + plan.width] += part
        share = 1.0 / self._seen(plan, padded).to(images.device)
        logits, evidence = (None if total is None else (total * share)[..., :height, :width] for total in sums)
        return logits, evidence

    def _seen(self, plan: WindowPlan, padded: Tensor) -> Tensor:
        """How many windows see each pixel, float32 `[H, W]`."""
        rows, cols = (torch.zeros(side) for side in padded.shape[-2:])
        for y in plan.rows:
            rows[y : y + plan.height] += 1
        for x in plan.cols:
            cols[x : x + plan.width] += 1
        return rows[:, None] * cols
