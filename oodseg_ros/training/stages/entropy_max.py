"""Baseline: entropy maximisation on unknowns (arXiv 2012.06575)."""

from __future__ import annotations

from torch import Tensor

from ...losses.entropy_max import entropy_max_terms
from ...networks.segmentor import HeadInput
from .stage import IDS
from .tuned import TunedStage


class EntropyMaxStage(TunedStage):
    """Score with `entropy`."""

    def logit_terms(self, logits: Tensor, target: Tensor, given: HeadInput) -> dict[str, Tensor]:
        return entropy_max_terms(logits, target, balance=self.options.balance, **IDS)
