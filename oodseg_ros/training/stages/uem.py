"""UEM's second stage (arXiv 2409.06424): the unknown estimation module on a frozen segmentor."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from ...errors import ConfigError
from ...frame import OUTLIER, UNLABELED
from ...losses.llr import llr_terms
from ...model_card import InputSpec
from ...networks.classifiers import GmmClassifier
from ...networks.heads.uem import UemHead
from ...networks.segmentor import Segmentor
from ..methods import StageSpec
from .mixture import MixtureOptions, MixtureStage
from .stage import flat_pairs


class UemOptions(MixtureOptions):
    """Stage `uem`; the mixture's part only counts for heads of form G.

    Attributes:
        ce_weight: of the CE of U alone: 0 for D-D and G-D, 0.5 for G-G.
        small_weight: largest weight of pixels of small objects (`losses.llr.crowding`); 1 = all alike, as published.
    """

    interval: int = Field(3, ge=1)
    ce_weight: float = Field(0.0, ge=0)
    small_weight: float = Field(1.0, ge=1)


class UemStage(MixtureStage):
    """Likelihood ratio; all but the head is frozen and in eval mode, so inlier logits stay bit-identical.

    The released code lets the frozen segmentor's batch norm drift; this does not.
    """

    Options = UemOptions

    def __init__(self, segmentor: Segmentor, spec: InputSpec, stage: StageSpec, seed: int = 0) -> None:
        """Raises ConfigError for a network without such a head."""
        if not isinstance(segmentor.head, UemHead):
            raise ConfigError("stage uem: the network needs `head: {name: uem, …}`")
        super().__init__(segmentor, spec, stage, {"head": 1.0}, seed)
        if isinstance(segmentor.head.classifier, GmmClassifier):
            self.use_em(segmentor.head.classifier)

    def terms(self, images: Tensor, target: Tensor, extra: Tensor | None) -> dict[str, Tensor]:
        images, full = flat_pairs(images, 4), flat_pairs(target, 3)
        target = self.subsample(full)
        given, logits = self.extract(images)
        head = self.segmentor.head
        embedded = head.embed(given.features)
        unknown = self.fit(head.classifier(embedded), target)
        weights = self.options.model_dump(include={"ce_weight", "small_weight"})
        terms = llr_terms(self.fit(logits, target), unknown, target, **weights)
        if self.em is not None:
            binary = torch.where(full == UNLABELED, UNLABELED, (full == OUTLIER).to(full.dtype))
            terms["contrast"] = self.em.contrast(embedded, binary)
        return terms
