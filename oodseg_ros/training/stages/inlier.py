"""The inlier segmentor: cross-entropy, and the classes of other bundles where asked (Hinton et al., arXiv 1503.02531);
with a mixture classifier Sinkhorn-EM beside it (arXiv 2210.02025).
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from ...errors import ConfigError
from ...frame import UNLABELED
from ...labels import LabelSet
from ...losses.distilled_score import class_divergence
from ...losses.masks import class_cross_entropy
from ...model_card import InputSpec
from ...networks.classifiers import GmmClassifier
from ...networks.segmentor import Segmentor
from ..data_recipe import Strict
from ..methods import StageSpec
from .mixture import MixtureStage
from .stage import Stage, flat_pairs
from .teacher_bundle import ScoreTeacher, Teachers


class InlierOptions(Strict):
    """Stage `inlier`.

    Attributes:
        class_weights: what a pixel of each class counts, in the order of the label set; empty = all 1.
        teachers: bundles whose classes are followed on all known pixels, beside the labels; empty = none.
        teacher_weight: of the divergence from them (`class_divergence`).
    """

    class_weights: list[Annotated[float, Field(ge=0, lt=math.inf)]] = Field(default_factory=list)
    teachers: list[ScoreTeacher] = Field(default_factory=list)
    teacher_weight: float = Field(1.0, gt=0)


class InlierStage(Stage):
    """Trains decoder and classifier, and the backbone with `backbone_lr`; unknowns and unlabeled pixels are ignored.

    An ensemble's member that reads a decoder of its own keeps its score: nothing that it sees moves with a frozen
    backbone.
    """

    Options = InlierOptions

    def __init__(self, segmentor: Segmentor, spec: InputSpec, stage: StageSpec, seed: int = 0) -> None:
        """Raises ConfigError where `class_weights` are not one for each class, or all 0."""
        parts = {"backbone": stage.backbone_lr, "decoder": 1.0, "classifier": 1.0}
        super().__init__(segmentor, spec, stage, parts, seed)
        self.asked = self.options if isinstance(self.options, InlierOptions) else InlierOptions()
        self._teachers = Teachers(self.asked.teachers, spec, segmentor, scored=False)
        weights = self.asked.class_weights
        if weights and len(weights) != segmentor.classes:
            raise ConfigError(
                f"stage {stage.method}: {len(weights)} class_weights for {segmentor.classes} classes; give one for each"
            )
        if weights and not any(weights):
            raise ConfigError(f"stage {stage.method}: all class_weights are 0: no pixel of any class would count")
        self.class_weights = torch.tensor(weights) if weights else None

    def decoded(self, images: Tensor) -> Tensor:
        """What the classifier reads; a frozen backbone keeps no graph."""
        return self.segmentor.decoder(self.features(images))

    def terms(self, images: Tensor, target: Tensor, extra: Tensor | None) -> dict[str, Tensor]:
        images, whole = flat_pairs(images, 4), flat_pairs(target, 3)
        target, features = self.subsample(whole), self.features(images)
        raw = self.segmentor.classifier(self.segmentor.decoder(features))
        terms = {"ce": class_cross_entropy(self.fit(raw, target), target, weights=self.class_weights)}
        if self.asked.teachers:
            if extra is not None and extra.is_floating_point():  # recorded; an overlap of crops is of integers
                shares = extra.float()
            else:
                shares = self.answers(images, images, features, whole)
            known = F.interpolate(whole[:, None].float(), size=shares.shape[-2:], mode="nearest")[:, 0].to(whole.dtype)
            divergence = class_divergence(self.fit(raw, known), shares, known)
            terms["teachers"] = self.asked.teacher_weight * divergence
        return terms

    @torch.no_grad()
    def answers(self, images: Tensor, plain: Tensor, features: list[Tensor], target: Tensor) -> Tensor | None:
        """The teachers' class probabilities `[B, K, h, w]`, as fine as the first one gives them.

        Raises:
            ConfigError: their classes are not this network's.
        """
        if not self.asked.teachers:
            return None
        each = [shares for _, shares in self._teachers.told(self.pixels(images), features)]
        if any(shares.shape[1] != self.segmentor.classes for shares in each):
            counts = ", ".join(str(shares.shape[1]) for shares in each)
            raise ConfigError(
                f"stage {self.stage.method}: `teachers` have {counts} classes, this network {self.segmentor.classes}"
            )
        return sum(self.fit(shares, each[0][:, 0]) for shares in each)

    def name_classes(self, labels: LabelSet) -> None:
        self._teachers.labels = labels

    def answers_from(self) -> str:
        return f"{self._teachers.identity}" if self.asked.teachers else ""


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
            "ce": class_cross_entropy(logits, target),
            "contrast": self.em.contrast(decoded, labels),
        }
