"""Baseline: entropy maximisation on unknowns (arXiv 2012.06575)."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from ...losses.exposure import entropy_max_terms
from ...networks.segmentor import HeadInput
from .stage import IDS
from .tuned import Scope, TunedOptions, TunedStage


class EntropyOptions(TunedOptions):
    """Stage `entropy_max`: weight of the unknowns against the inliers."""

    scope: Scope = "block"
    balance: float = Field(0.9, ge=0, le=1)


class EntropyMaxStage(TunedStage):
    """Score with `entropy`."""

    Options = EntropyOptions

    def logit_terms(self, logits: Tensor, target: Tensor, given: HeadInput) -> dict[str, Tensor]:
        return entropy_max_terms(logits, target, balance=self.options.balance, **IDS)
