"""Classes and unknowns together, through the whole network: for small networks whose frozen features tell too little.

No published method: the class term is plain cross-entropy, the unknown's term the likelihood ratio of UEM (arXiv
2409.06424) with its gradient reaching the inlier logits and the backbone. So it does move the inlier network.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from ...losses.llr import llr_terms
from ...losses.masks import class_cross_entropy
from ...model_card import InputSpec
from ...networks.segmentor import Segmentor
from ..data_recipe import Strict
from ..methods import StageSpec
from .stage import Stage, flat_pairs


class JointOptions(Strict):
    """Stage `joint`: `ce_weight` and `small_weight` as in `uem`."""

    ce_weight: float = Field(0.0, ge=0)
    small_weight: float = Field(1.0, ge=1)


class JointStage(Stage):
    """Trains decoder, classifier and head, and the backbone with `backbone_lr`; its early blocks are frozen by
    `rates`.

    The backbone keeps its batch statistics unless `adapt_norm`.
    """

    Options = JointOptions

    def __init__(self, segmentor: Segmentor, spec: InputSpec, stage: StageSpec, seed: int = 0) -> None:
        parts = {"backbone": stage.backbone_lr, "decoder": 1.0, "classifier": 1.0, "head": 1.0}
        super().__init__(segmentor, spec, stage, parts, seed)

    def terms(self, images: Tensor, target: Tensor, extra: Tensor | None) -> dict[str, Tensor]:
        images, target = flat_pairs(images, 4), self.subsample(flat_pairs(target, 3))
        segmentor = self.segmentor
        # Depthwise convolutions go backwards several times slower in bfloat16 than in float32 on CPUs.
        with torch.autocast(
            images.device.type, enabled=torch.is_autocast_enabled(images.device.type) and images.device.type != "cpu"
        ):
            features = segmentor.backbone(images)
        logits = self.fit(segmentor.classifier(segmentor.decoder(features)), target)
        unknown = self.fit(segmentor.head(features), target)
        ce = class_cross_entropy(logits, target)
        return {"ce": ce, **llr_terms(logits, unknown, target, **self.options.model_dump())}
