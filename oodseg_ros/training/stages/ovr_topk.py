"""Top-k one-vs-rest fine-tuning (arXiv 2308.09965)."""

from __future__ import annotations

from torch import Tensor

from ...losses.ovr_topk import ovr_topk_terms
from ...networks.segmentor import HeadInput
from .stage import IDS
from .tuned import TunedStage


class OvrTopkStage(TunedStage):
    """Pushes the k largest logits of unknowns down; score with `energy`, `max_logit` or `max_min_logit`."""

    def logit_terms(self, logits: Tensor, target: Tensor, given: HeadInput) -> dict[str, Tensor]:
        options = self.options
        weights = {"ce_weight": options.ce_weight, "inlier_weight": options.inlier_weight}
        return ovr_topk_terms(logits, target, k=options.k, scale=options.scale, **weights, **IDS)
