"""Standardized max logit (Jung et al., arXiv 2107.11264): the maximum logit relative to what its class usually has."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ... import scores
from ..segmentor import HeadInput


class StandardizedMaxLogit(nn.Module):
    """Score: -(max_k λ_k - μ_k*) / σ_k*, with statistics of class k* from inlier images; nothing is trained.

    Args:
        inlier_classes: number K of statistics.
    """

    SCORES = ("standardized_max_logit",)

    def __init__(self, inlier_classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(inlier_classes))
        self.register_buffer("deviation", torch.ones(inlier_classes))

    @torch.no_grad()
    def fit(self, batches: Iterable[Tensor]) -> None:
        """Mean and deviation of the maximum logit per predicted class, from logits `[B, K, H, W]` of inlier images."""
        counts, first, second = (torch.zeros(len(self.mean), dtype=torch.float64) for _ in range(3))
        for logits in batches:
            values, ids = (part.flatten().cpu() for part in logits.max(dim=1))
            values = values.double()
            counts += torch.bincount(ids, minlength=len(counts))
            first.index_add_(0, ids, values)
            second.index_add_(0, ids, values.pow(2))
        mean = first / counts.clamp(min=1)
        deviation = (second / counts.clamp(min=1) - mean.pow(2)).clamp(min=0).sqrt()
        # A class that was never predicted, or always alike, keeps the statistics it has.
        seen = (counts > 1) & (deviation > 0)
        self.mean.copy_(torch.where(seen, mean, self.mean.double()))
        self.deviation.copy_(torch.where(seen, deviation, self.deviation.double()))

    def evidence(self, given: HeadInput) -> Tensor | None:
        """None: the inlier logits say it all."""
        return None

    def score(self, logits: Tensor, evidence: Tensor | None, stride: int = 1) -> Tensor:
        """`[B, H, W]`, unbounded; 0 = as sure as usual for the class."""
        return scores.standardized_max_logit(logits, self.mean, self.deviation)
