"""CLIP ViT-B/16 image tower (Radford et al., arXiv 2103.00020), by transformers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModel

from .vit_position import FixedPositions, resized_grid, tokens_to_map


class ClipViT(nn.Module):
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
        self.positions = FixedPositions()

    def prepare(self, height: int, width: int) -> None:
        """Precompute the position table for images of this size."""
        rows, cols = height // self.patch, width // self.patch
        self.positions.prepare(rows, cols, self._position(rows, cols))

    def forward(self, images: Tensor) -> list[Tensor]:
        rows, cols = images.shape[-2] // self.patch, images.shape[-1] // self.patch
        position = self.positions.find(rows, cols)
        if position is None:
            position = self._position(rows, cols)
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
