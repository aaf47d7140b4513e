"""Position embeddings of vision transformers at other image sizes than they were trained at."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


def resized_grid(table: Tensor, rows: int, cols: int, antialias: bool) -> Tensor:
    """Square table of patch positions `[1, n*n, C]` → `[1, rows*cols, C]`: bicubic to a fixed size, in float32.

    Two variants are published for DINOv2: to a size (here, and in the models with registers) and by a scale factor
    with an offset of 0.1. They differ; this one is pinned by a test.
    """
    side = round(table.shape[1] ** 0.5)
    if (rows, cols) == (side, side):
        return table
    grid = table.float().reshape(1, side, side, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, size=(rows, cols), mode="bicubic", align_corners=False, antialias=antialias)
    return grid.permute(0, 2, 3, 1).reshape(1, rows * cols, -1).to(table.dtype)


class FixedPositions(nn.Module):
    """Keeps one table per prepared size, so that exported graphs hold a constant instead of a bicubic resize.

    The tables are not part of the state dict. They are used in eval mode only: training moves what they were made from.
    """

    def prepare(self, rows: int, cols: int, table: Tensor) -> None:
        """Remember `table` `[1, rows*cols, C]` for this grid."""
        self.register_buffer(f"grid_{rows}x{cols}", table.detach().clone(), persistent=False)

    def find(self, rows: int, cols: int) -> Tensor | None:
        """The prepared table of this grid, or None."""
        return None if self.training else getattr(self, f"grid_{rows}x{cols}", None)


def tokens_to_map(tokens: Tensor, rows: int, cols: int) -> Tensor:
    """`[B, rows*cols, C]` → `[B, C, rows, cols]`."""
    return tokens.transpose(1, 2).reshape(tokens.shape[0], -1, rows, cols)
