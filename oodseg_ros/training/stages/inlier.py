"""The inlier segmentor: cross-entropy of the classes."""

from __future__ import annotations

import torch
from torch import Tensor

from ...losses.masks import class_cross_entropy
from ...model_card import InputSpec
from ...networks.segmentor import Segmentor
from ..stage_recipe import StageSpec
from .stage import IDS, Stage, flat_pairs


class InlierStage(Stage):
    """Trains decoder and classifier, and the backbone with `backbone_lr`; unknowns and unlabeled pixels are ignored."""

    def __init__(self, segmentor: Segmentor, spec: InputSpec, stage: StageSpec, seed: int = 0) -> None:
        parts = {"backbone": stage.backbone_lr, "decoder": 1.0, "classifier": 1.0}
        super().__init__(segmentor, spec, stage, parts, seed)

    def decoded(self, images: Tensor) -> Tensor:
        """What the classifier reads; a frozen backbone keeps no graph."""
        learns = any(part.split(".")[0] == "backbone" and rate > 0 for part, rate in self.trained.items())
        with torch.set_grad_enabled(learns):
            features = self.segmentor.backbone(images)
        return self.segmentor.decoder(features)

    def terms(self, images: Tensor, target: Tensor, extra: Tensor | None) -> dict[str, Tensor]:
        images, target = flat_pairs(images, 4), self.subsample(flat_pairs(target, 3))
        logits = self.fit(self.segmentor.classifier(self.decoded(images)), target)
        return {"ce": class_cross_entropy(logits, target, **IDS)}
