"""Baselines on unknowns: outlier exposure (arXiv 1812.04606), entropy maximisation (arXiv 2012.06575), and the top-k
one-vs-rest loss (Bai et al., arXiv 2308.09965).

The poster on one-vs-rest gives the term on unknowns. The scale s and the term on inliers are not published: s = 1 and
plain CE here. CE does not mind when all logits of a pixel fall together, and a small network lets them fall everywhere:
then energy and largest logit tell no more than before. `inlier_weight` (ours) holds the largest logit of inliers above
zero.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ..frame import OUTLIER, UNLABELED
from .masks import class_cross_entropy, inliers, masked_mean, uniform_cross_entropy


def outlier_exposure_terms(
    logits: Tensor, target: Tensor, *, outlier: int = OUTLIER, ignore: int = UNLABELED, weight: float = 0.5
) -> dict[str, Tensor]:
    """CE of the inliers (`ce`) and weighted CE of the unknowns to the uniform distribution (`exposure`). Scalars.

    Args:
        logits: float `[B, K, H, W]`.
        target: integer `[B, H, W]`; `outlier` = unknown, `ignore` and ids of K and more are not counted.
        weight: of the unknowns (0.5 in the paper's classification experiments).
    """
    return {
        "ce": class_cross_entropy(logits, target, outlier=outlier, ignore=ignore),
        "exposure": weight * uniform_cross_entropy(logits, target, outlier),
    }


def entropy_max_terms(
    logits: Tensor, target: Tensor, *, outlier: int = OUTLIER, ignore: int = UNLABELED, balance: float = 0.9
) -> dict[str, Tensor]:
    """Weighted CE of the inliers (`ce`) and of the unknowns to the uniform distribution (`uniform`). Scalars.

    Args:
        logits: float `[B, K, H, W]`.
        target: integer `[B, H, W]`; `outlier` = unknown, `ignore` and ids of K and more are not counted.
        balance: weight of the unknowns; the inliers get 1 - `balance`.
    """
    return {
        "ce": (1 - balance) * class_cross_entropy(logits, target, outlier=outlier, ignore=ignore),
        "uniform": balance * uniform_cross_entropy(logits, target, outlier),
    }


def ovr_topk_terms(
    logits: Tensor,
    target: Tensor,
    *,
    outlier: int = OUTLIER,
    ignore: int = UNLABELED,
    k: int = 5,
    scale: float = 1.0,
    ce_weight: float = 0.0,
    inlier_weight: float = 0.0,
) -> dict[str, Tensor]:
    """`ovr`, the mean over unknowns and their k largest logits of -log σ(-s·λ), and the weighted `ce` and `inlier`.

    Scalars; their sum is the loss. A term without a weight is left out.

    Args:
        logits: of the inlier classes alone, float `[B, K, H, W]`.
        target: integer `[B, H, W]`; `outlier` = unknown, `ignore` and ids of K and more are not counted.
        k: how many of the largest logits of a pixel are pushed down; all of them where there are fewer.
        ce_weight: weight of the cross-entropy of the inliers.
        inlier_weight: weight of -log σ(s·max λ) on inliers, with or without a class.
    """
    largest = logits.float().topk(min(k, logits.shape[1]), dim=1).values
    terms = {"ovr": masked_mean(F.softplus(scale * largest).mean(dim=1), target == outlier)}
    if ce_weight:
        terms["ce"] = ce_weight * class_cross_entropy(logits, target, outlier=outlier, ignore=ignore)
    if inlier_weight:
        counted = inliers(target, outlier, ignore)
        terms["inlier"] = inlier_weight * masked_mean(F.softplus(-scale * largest[:, 0]), counted)
    return terms
