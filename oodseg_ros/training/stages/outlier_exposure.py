"""Baseline: plain outlier exposure (arXiv 1812.04606)."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from ...losses.exposure import outlier_exposure_terms
from ...networks.segmentor import HeadInput
from .stage import IDS
from .tuned import Scope, TunedOptions, TunedStage


class ExposureOptions(TunedOptions):
    """Stage `outlier_exposure`: weight of the unknowns."""

    scope: Scope = "block"
    weight: float = Field(0.5, ge=0)


class OutlierExposureStage(TunedStage):
    """Score with `max_softmax`."""

    Options = ExposureOptions

    def logit_terms(self, logits: Tensor, target: Tensor, given: HeadInput) -> dict[str, Tensor]:
        return outlier_exposure_terms(logits, target, weight=self.options.weight, **IDS)
