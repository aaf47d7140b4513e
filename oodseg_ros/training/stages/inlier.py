"""The inlier segmentor: cross-entropy, and with a mixture classifier Sinkhorn-EM beside it (arXiv 2210.02025)."""

from __future__ import annotations

import torch
from torch import Tensor

from ...errors import ConfigError
from ...losses.masks import class_cross_entropy
from ...model_card import InputSpec
from ...networks.classifiers import GmmClassifier
from ...networks.segmentor import Segmentor
from ..stage_recipe import StageSpec
from .mixture import MixtureStage
from .stage import IDS, UNLABELED, Stage, flat_pairs


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


class InlierGmmStage(MixtureStage, InlierStage):
    """Decoder and the classifier's two norms by gradients, its means and deviations by Sinkhorn-EM."""

    def __init__(self, segmentor: Segmentor, spec: InputSpec, stage: StageSpec, seed: int = 0) -> None:
        """Raises ConfigError for a network without a mixture classifier."""
        super().__init__(segmentor, spec, stage, seed)
        if not isinstance(segmentor.classifier, GmmClassifier):
            raise ConfigError("stage inlier_gmm: the network needs `classifier: {name: gmm, …}`; use stage inlier")
        self.use_em(segmentor.classifier)

    def terms(self, images: Tensor, target: Tensor, extra: Tensor | None) -> dict[str, Tensor]:
        images, target = flat_pairs(images, 4), flat_pairs(target, 3)
        decoded = self.decoded(images)
        labels = torch.where(target < self.segmentor.classes, target, UNLABELED)
        target = self.subsample(target)
        logits = self.fit(self.segmentor.classifier(decoded), target)
        return {
            "ce": class_cross_entropy(logits, target, **IDS),
            "contrast": self.em.contrast(decoded, labels),
        }
