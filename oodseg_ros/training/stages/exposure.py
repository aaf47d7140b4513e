"""Baselines: plain outlier exposure (arXiv 1812.04606) and entropy maximisation (arXiv 2012.06575)."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from ...losses.exposure import entropy_max_terms, outlier_exposure_terms
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


class EntropyOptions(TunedOptions):
    """Stage `entropy_max`: weight of the unknowns against the inliers."""

    scope: Scope = "block"
    balance: float = Field(0.9, ge=0, le=1)


class EntropyMaxStage(TunedStage):
    """Score with `entropy`."""

    Options = EntropyOptions

    def logit_terms(self, logits: Tensor, target: Tensor, given: HeadInput) -> dict[str, Tensor]:
        return entropy_max_terms(logits, target, balance=self.options.balance, **IDS)
