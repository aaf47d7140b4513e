"""Baseline: plain outlier exposure (arXiv 1812.04606)."""

from __future__ import annotations

from torch import Tensor

from ...losses.outlier_exposure import outlier_exposure_terms
from ...networks.segmentor import HeadInput
from .stage import IDS
from .tuned import TunedStage


class OutlierExposureStage(TunedStage):
    """Score with `max_softmax`."""

    def logit_terms(self, logits: Tensor, target: Tensor, given: HeadInput) -> dict[str, Tensor]:
        return outlier_exposure_terms(logits, target, weight=self.options.weight, **IDS)
