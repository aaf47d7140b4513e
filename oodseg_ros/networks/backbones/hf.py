"""Whole networks of transformers: Mask2Former (Cheng et al., arXiv 2112.01527), and any semantic segmentation model
(DPT, UperNet, BEiT, MaskFormer, EoMT, …) for post-hoc scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForSemanticSegmentation,
    AutoModelForUniversalSegmentation,
    Mask2FormerConfig,
    Mask2FormerModel,
    ResNetConfig,
    SwinConfig,
)

from ..classifiers import semantic_maps

FETCHING = ("auto_map", "use_pretrained_backbone", "use_timm_backbone", "custom_pipelines", "quantization_config")
QUERY_MODELS = ("mask2former", "maskformer", "oneformer", "eomt", "eomt_dinov3")
"""Model types whose answers are classes and masks of queries."""
AT_INPUT_SIZE = ("mask2former", "eomt", "eomt_dinov3")
"""Those whose masks are resized before they become probabilities, and not the sums after."""


class HfSegmenter(nn.Module):
    """Images float32 `[B, 3, H, W]` → [logits `[B, K, h, w]`], with the decoder `none` and the classifier `none`.

    Models with queries give their semantic maps instead: sums of class times mask probabilities.

    Args:
        config: the content of the model's `config.json`; `model_type` selects the architecture.
        multiple: what H and W must be divisible by.
        task: OneFormer only: the tokens of its task, "the task is semantic".
    """

    strides = (1,)

    def __init__(self, config: Mapping[str, Any], multiple: int = 32, task: Sequence[int] | None = None) -> None:
        super().__init__()
        options = {key: value for key, value in config.items() if key != "model_type"}
        if "model_type" not in config:
            raise ValueError("config has no model_type")
        # A bundle comes from elsewhere: it may neither bring code nor make the node fetch something.
        if asked := fetching(config):
            raise ValueError(f"config asks for code or files from elsewhere ({', '.join(asked)})")
        self.config = AutoConfig.for_model(config["model_type"], **options)
        self.queries = config["model_type"] in QUERY_MODELS
        self.model = (
            AutoModelForUniversalSegmentation if self.queries else AutoModelForSemanticSegmentation
        ).from_config(self.config)
        tokens = None if task is None else torch.tensor([list(task)], dtype=torch.float32)
        self.register_buffer("task", tokens, persistent=False)
        self.multiple = multiple
        self.channels = (self.config.num_labels,)

    def forward(self, images: Tensor) -> list[Tensor]:
        if not self.queries:
            return [self.model(pixel_values=images).logits]
        named = {} if self.task is None else {"task_inputs": self.task.expand(len(images), -1)}
        output = self.model(pixel_values=images, **named)
        masks = output.masks_queries_logits
        if self.config.model_type in AT_INPUT_SIZE:
            masks = F.interpolate(masks, size=images.shape[-2:], mode="bilinear", align_corners=False)
        return [semantic_maps(output.class_queries_logits, masks)]


def fetching(config: Mapping[str, Any]) -> list[str]:
    """Keys of a configuration, or of one inside it, that would load code or files from elsewhere."""
    found = [key for key in FETCHING if config.get(key)]
    for value in config.values():
        if isinstance(value, Mapping):
            found += fetching(value)
    return found


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
