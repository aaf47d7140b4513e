"""Top-k one-vs-rest fine-tuning (arXiv 2308.09965)."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from ...losses.exposure import ovr_topk_terms
from ...networks.segmentor import HeadInput
from .stage import IDS
from .tuned import TunedOptions, TunedStage


class OvrOptions(TunedOptions):
    """Stage `ovr_topk`: k and s of the loss (s is unpublished), the weight of the inliers' CE (unpublished), and the
    weight of a term that keeps their largest logit above zero (ours).
    """

    k: int = Field(5, ge=1)
    scale: float = Field(1.0, gt=0)
    ce_weight: float = Field(1.0, ge=0)
    inlier_weight: float = Field(0.0, ge=0)


class OvrTopkStage(TunedStage):
    """Pushes the k largest logits of unknowns down; score with `energy`, `max_logit` or `max_min_logit`."""

    Options = OvrOptions

    def logit_terms(self, logits: Tensor, target: Tensor, given: HeadInput) -> dict[str, Tensor]:
        options = self.options
        weights = {"ce_weight": options.ce_weight, "inlier_weight": options.inlier_weight}
        return ovr_topk_terms(logits, target, k=options.k, scale=options.scale, **weights, **IDS)
