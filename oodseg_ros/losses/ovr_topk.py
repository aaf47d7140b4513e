"""Top-k one-vs-rest loss on unknowns (Bai et al., arXiv 2308.09965).

The poster gives the term on unknowns. The scale s and the term on inliers are not published: s = 1 and plain CE here.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from .masks import class_cross_entropy, masked_mean


def ovr_topk_terms(
    logits: Tensor,
    target: Tensor,
    *,
    outlier: int = 254,
    ignore: int = 255,
    k: int = 5,
    scale: float = 1.0,
    ce_weight: float = 0.0,
) -> dict[str, Tensor]:
    """The terms of `ovr_topk_loss` by name: `ovr`, and `ce` (weighted) where its weight is not zero. Scalars.

    Args:
        logits: of the inlier classes alone, float `[B, K, H, W]`.
        target: integer `[B, H, W]`; `outlier` = unknown, `ignore` and ids of K and more are not counted.
        k: how many of the largest logits of a pixel are pushed down; all of them where there are fewer.
        scale: s.
        ce_weight: weight of the cross-entropy of the inliers.
    """
    largest = logits.float().topk(min(k, logits.shape[1]), dim=1).values
    terms = {"ovr": masked_mean(F.softplus(scale * largest).mean(dim=1), target == outlier)}
    if ce_weight:
        terms["ce"] = ce_weight * class_cross_entropy(logits, target, outlier=outlier, ignore=ignore)
    return terms


def ovr_topk_loss(
    logits: Tensor,
    target: Tensor,
    *,
    outlier: int = 254,
    ignore: int = 255,
    k: int = 5,
    scale: float = 1.0,
    ce_weight: float = 0.0,
) -> Tensor:
    """Mean over unknowns and their k largest logits of -log σ(-s·λ), + `ce_weight` · CE of the inliers; scalar."""
    terms = ovr_topk_terms(logits, target, outlier=outlier, ignore=ignore, k=k, scale=scale, ce_weight=ce_weight)
    return sum(terms.values())
