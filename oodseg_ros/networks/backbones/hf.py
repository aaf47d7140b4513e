"""Any semantic segmentation model of transformers, whole (DPT, UperNet, BEiT, …), for post-hoc scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForSemanticSegmentation

FETCHING = ("auto_map", "use_pretrained_backbone", "use_timm_backbone", "custom_pipelines")


class HfSegmenter(nn.Module):
    """Images float32 `[B, 3, H, W]` → [logits `[B, K, h, w]`], with the decoder `none` and the classifier `none`.

    Args:
        config: the content of the model's `config.json`; `model_type` selects the architecture.
        multiple: what H and W must be divisible by.
    """

    strides = (1,)

    def __init__(self, config: Mapping[str, Any], multiple: int = 32) -> None:
        super().__init__()
        options = {key: value for key, value in config.items() if key != "model_type"}
        if "model_type" not in config:
            raise ValueError("config has no model_type")
        # A bundle comes from elsewhere: it may neither bring code nor make the node fetch something.
        fetching = [key for key in FETCHING if config.get(key)]
        if fetching:
            raise ValueError(f"config asks for code or files from elsewhere ({', '.join(fetching)})")
        self.config = AutoConfig.for_model(config["model_type"], **options)
        self.model = AutoModelForSemanticSegmentation.from_config(self.config)
        self.multiple = multiple
        self.channels = (self.config.num_labels,)

    def forward(self, images: Tensor) -> list[Tensor]:
        return [self.model(pixel_values=images).logits]
