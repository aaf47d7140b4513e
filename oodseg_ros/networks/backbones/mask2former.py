"""Mask2Former (Cheng et al., arXiv 2112.01527) with a ResNet-50 or Swin backbone, by transformers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Mask2FormerConfig, Mask2FormerModel, ResNetConfig, SwinConfig

BACKBONES = {"resnet": ResNetConfig, "swin": SwinConfig}
RESNET50: dict[str, Any] = {"depths": [3, 4, 6, 3], "layer_type": "bottleneck"}


class Mask2Former(nn.Module):
    """Images float32 `[B, 3, H, W]` → [queries `[B, Q, C]`, mask logits `[B, Q, H, W]`].

    The mask logits are resized to the input size before they become probabilities, as in the reference.

    Args:
        backbone: `resnet` or `swin`.
        backbone_options: keyword arguments of that backbone's transformers configuration; the default is ResNet-50,
        Swin-T. options: keyword arguments of `Mask2FormerConfig`; the default is 100 queries, width 256.
    """

    multiple = 32
    strides = (1, 1)

    def __init__(
        self,
        backbone: str = "resnet",
        backbone_options: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        defaults = RESNET50 if backbone == "resnet" else {}
        encoder = BACKBONES[backbone](
            **(dict(backbone_options) if backbone_options else defaults),
            out_features=["stage1", "stage2", "stage3", "stage4"],
        )
        config = Mask2FormerConfig(backbone_config=encoder, **(options or {}))
        self.model = Mask2FormerModel(config)
        self.channels = (config.hidden_dim, config.num_queries)

    def forward(self, images: Tensor) -> list[Tensor]:
        output = self.model(images)
        masks = output.masks_queries_logits[-1]
        masks = F.interpolate(masks, size=images.shape[-2:], mode="bilinear", align_corners=False)
        # Class embeddings read what the decoder's last norm makes of the queries, as the masks do; the model's output
        # holds the queries before it.
        queries = self.model.transformer_module.decoder.layernorm(output.transformer_decoder_last_hidden_state)
        return [queries, masks]
