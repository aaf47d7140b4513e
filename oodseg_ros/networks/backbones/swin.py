"""Swin transformer (Liu et al., arXiv 2103.14030), by transformers; Swin-B by default."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from transformers import SwinBackbone, SwinConfig


class Swin(nn.Module):
    """Images float32 `[B, 3, H, W]` → four layer-normed maps at strides 4, 8, 16, 32.

    Args:
        width: channels of the first stage; they double from stage to stage.
        depths, heads: blocks and attention heads per stage.
        window: side of an attention window in tokens.
    """

    multiple = 32
    strides = (4, 8, 16, 32)

    def __init__(
        self,
        width: int = 128,
        depths: Sequence[int] = (2, 2, 18, 2),
        heads: Sequence[int] = (4, 8, 16, 32),
        window: int = 7,
    ) -> None:
        super().__init__()
        self.channels = tuple(width << stage for stage in range(4))
        config = SwinConfig(
            embed_dim=width,
            depths=list(depths),
            num_heads=list(heads),
            window_size=window,
            drop_path_rate=0.3,
            out_features=["stage1", "stage2", "stage3", "stage4"],
        )
        self.model = SwinBackbone(config)

    def forward(self, images: Tensor) -> list[Tensor]:
        return list(self.model(images).feature_maps)
