"""Plain vision transformers by transformers: DINOv2 (Oquab et al., arXiv 2304.07193; with registers: Darcet et al.,
arXiv 2309.16588) and CLIP's image tower (Radford et al., arXiv 2103.00020).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModel, Dinov2WithRegistersConfig, Dinov2WithRegistersModel


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
    """Keeps one position table per prepared size, so that exported graphs hold a constant and no bicubic resize.

    The tables are not part of the state dict. They are used in eval mode only: training moves what they were made from.
    """

    patch: int

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of patches in an image."""
        return height // self.patch, width // self.patch

    def prepare(self, height: int, width: int) -> None:
        """Precompute the position table for images of this size."""
        rows, cols = self.grid(height, width)
        table = self._position(rows, cols).detach().clone()
        self.register_buffer(f"positions_{rows}x{cols}", table, persistent=False)

    def position(self, rows: int, cols: int) -> Tensor:
        """The table `[1, rows*cols, C]` of this grid: the prepared one, or computed now."""
        prepared = None if self.training else getattr(self, f"positions_{rows}x{cols}", None)
        return self._position(rows, cols) if prepared is None else prepared

    def _position(self, rows: int, cols: int) -> Tensor:
        raise NotImplementedError


def tokens_to_map(tokens: Tensor, rows: int, cols: int) -> Tensor:
    """`[B, rows*cols, C]` → `[B, C, rows, cols]`."""
    return tokens.transpose(1, 2).reshape(tokens.shape[0], -1, rows, cols)


# variant: (width, depth, attention heads, layers whose outputs are returned; UEM's for B)
VARIANTS = {
    "s": (384, 12, 6, (1, 4, 8, 11)),
    "b": (768, 12, 12, (1, 4, 8, 11)),
    "l": (1024, 24, 16, (4, 11, 17, 23)),
}


class DinoV2(FixedPositions):
    """Images float32 `[B, 3, H, W]` → the patch tokens of four layers as maps `[B, C, H/14, W/14]`.

    The final layer norm is applied to every one, class and register tokens are dropped. One pass gives all four; the
    last is what `forward_features` of the original calls `x_norm_patchtokens`.

    Args:
        variant: `s`, `b` or `l`.
        taps: indices of the four layers.
        width, depth, heads: override the variant's (small networks in tests).
        image_size: side in pixels that the stored position table was made for.
        registers: number of register tokens, 4 or, in the first release, 0.
    """

    patch = 14
    multiple = 14

    def __init__(
        self,
        variant: str = "b",
        taps: Sequence[int] | None = None,
        width: int | None = None,
        depth: int | None = None,
        heads: int | None = None,
        image_size: int = 518,
        registers: int = 4,
    ) -> None:
        super().__init__()
        known_width, known_depth, known_heads, known_taps = VARIANTS[variant]
        self.taps, self.registers = tuple(taps or known_taps), registers
        self.channels = (width or known_width,) * len(self.taps)
        self.strides = (self.patch,) * len(self.taps)
        config = Dinov2WithRegistersConfig(
            hidden_size=width or known_width,
            num_hidden_layers=depth or known_depth,
            num_attention_heads=heads or known_heads,
            image_size=image_size,
            patch_size=self.patch,
            num_register_tokens=registers,
        )
        self.model = Dinov2WithRegistersModel(config)

    def forward(self, images: Tensor) -> list[Tensor]:
        rows, cols = self.grid(images.shape[-2], images.shape[-1])
        position = self.position(rows, cols)
        parts = self.model.embeddings
        patches = parts.patch_embeddings(images) + position
        batch = images.shape[0]
        first = (parts.cls_token + parts.position_embeddings[:, :1]).expand(batch, -1, -1)
        # No empty tensor among them: OpenVINO 2026 dies of one with a signal.
        registers = [parts.register_tokens.expand(batch, -1, -1)] if self.registers else []
        tokens = torch.cat([first, *registers, patches], dim=1)
        maps = []
        for index, layer in enumerate(self.model.encoder.layer[: max(self.taps) + 1]):
            tokens = layer(tokens)
            if index in self.taps:
                maps.append(tokens_to_map(self.model.layernorm(tokens)[:, 1 + self.registers :], rows, cols))
        return maps

    def _position(self, rows: int, cols: int) -> Tensor:
        return resized_grid(self.model.embeddings.position_embeddings[:, 1:], rows, cols, antialias=True)


class ClipViT(FixedPositions):
    """Images float32 `[B, 3, H, W]` → the patch tokens of four layers as maps `[B, C, H/16, W/16]`, final norm applied.

    Args:
        taps: indices of the four layers.
        width, depth, heads: of the tower; the defaults are ViT-B/16.
        image_size: side in pixels that the stored position table was made for.
    """

    patch = 16
    multiple = 16
    strides = (16, 16, 16, 16)

    def __init__(
        self,
        taps: Sequence[int] = (1, 4, 8, 11),
        width: int = 768,
        depth: int = 12,
        heads: int = 12,
        image_size: int = 224,
    ) -> None:
        super().__init__()
        self.taps = tuple(taps)
        self.channels = (width,) * len(self.taps)
        config = CLIPVisionConfig(
            hidden_size=width,
            intermediate_size=4 * width,
            num_hidden_layers=depth,
            num_attention_heads=heads,
            image_size=image_size,
            patch_size=self.patch,
        )
        self.model = CLIPVisionModel(config)

    def forward(self, images: Tensor) -> list[Tensor]:
        rows, cols = self.grid(images.shape[-2], images.shape[-1])
        position = self.position(rows, cols)
        parts = self.model.embeddings
        patches = parts.patch_embedding(images).flatten(2).transpose(1, 2) + position
        first = (parts.class_embedding + parts.position_embedding.weight[0]).expand(images.shape[0], 1, -1)
        tokens = self.model.pre_layrnorm(torch.cat([first, patches], dim=1))
        maps = []
        for index, layer in enumerate(self.model.encoder.layers[: max(self.taps) + 1]):
            tokens = layer(tokens, attention_mask=None)
            if index in self.taps:
                maps.append(tokens_to_map(self.model.post_layernorm(tokens)[:, 1:], rows, cols))
        return maps

    def _position(self, rows: int, cols: int) -> Tensor:
        return resized_grid(self.model.embeddings.position_embedding.weight[None, 1:], rows, cols, antialias=False)
