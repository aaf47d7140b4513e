"""DINOv2 ViT-S/B/L-14, with registers or without (Oquab et al., arXiv 2304.07193; Darcet et al., arXiv 2309.16588), by
transformers.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel

from .vit_position import FixedPositions, resized_grid, tokens_to_map

# variant: (width, depth, attention heads, layers whose outputs are returned; UEM's for B)
VARIANTS = {
    "s": (384, 12, 6, (1, 4, 8, 11)),
    "b": (768, 12, 12, (1, 4, 8, 11)),
    "l": (1024, 24, 16, (4, 11, 17, 23)),
}


class DinoV2(nn.Module):
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
