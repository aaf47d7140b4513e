"""Transformers with four strides, by transformers: SegFormer's MiT-B0..B5 (Xie et al., arXiv 2105.15203) and Swin (Liu
et al., arXiv 2103.14030).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from transformers import SegformerConfig, SegformerModel, SwinBackbone, SwinConfig

# variant: (width of the first stage, blocks per stage)
VARIANTS = {
    "b0": ((32, 64, 160, 256), (2, 2, 2, 2)),
    "b1": ((64, 128, 320, 512), (2, 2, 2, 2)),
    "b2": ((64, 128, 320, 512), (3, 4, 6, 3)),
    "b3": ((64, 128, 320, 512), (3, 4, 18, 3)),
    "b4": ((64, 128, 320, 512), (3, 8, 27, 3)),
    "b5": ((64, 128, 320, 512), (3, 6, 40, 3)),
}


class MixTransformer(nn.Module):
    """Images float32 `[B, 3, H, W]` → four layer-normed maps at strides 4, 8, 16, 32.

    Args:
        variant: `b0` to `b5`.
        widths, depths: override the variant's (small networks in tests).
        norm_epsilon: of the layer norms in the blocks and after the stages.
        inner_norm_epsilon: of those after a patch embedding and inside attention. Released checkpoints were trained
        with
            1e-6 / 1e-5 (original), 1e-6 / 1e-6 (mmsegmentation); transformers computes with 1e-5 / 1e-5.
    """

    multiple = 32
    strides = (4, 8, 16, 32)

    def __init__(
        self,
        variant: str = "b0",
        widths: Sequence[int] | None = None,
        depths: Sequence[int] | None = None,
        norm_epsilon: float = 1e-6,
        inner_norm_epsilon: float = 1e-5,
    ) -> None:
        super().__init__()
        known_widths, known_depths = VARIANTS[variant]
        self.channels = tuple(widths or known_widths)
        config = SegformerConfig(hidden_sizes=list(self.channels), depths=list(depths or known_depths))
        self.model = SegformerModel(config)
        for name, module in self.model.named_modules():
            if isinstance(module, nn.LayerNorm):
                inner = "patch_embeddings" in name or "sequence_reduction" in name
                module.eps = inner_norm_epsilon if inner else norm_epsilon

    def forward(self, images: Tensor) -> list[Tensor]:
        maps = []
        for stage in self.model.stages:
            maps.append(stage(maps[-1] if maps else images))
        return maps


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
