"""Likelihood-ratio objective of UEM (arXiv 2409.06424, as released: raw logits on both sides)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..frame import OUTLIER, UNLABELED
from ..scores import likelihood_ratio
from .masks import masked_mean

WINDOW, RIM = 25, 9
"""Sides in pixels of the loss, odd."""


def llr_terms(
    inlier_logits: Tensor,
    unknown_logits: Tensor,
    target: Tensor,
    *,
    outlier: int = OUTLIER,
    ignore: int = UNLABELED,
    ce_weight: float = 0.0,
    small_weight: float = 1.0,
) -> dict[str, Tensor]:
    """`ratio`, the BCE of U1 - U0 - max_k F_k against outlier/inlier, and `ce` where its weight is not zero.

    Scalars; their sum is the loss, zero (with a graph) for a fully ignored batch.

    Args:
        inlier_logits: F, float `[B, K, H, W]`.
        unknown_logits: U, float `[B, 2, H, W]`; channel 0 the generic inlier, 1 the outlier.
        target: integer `[B, H, W]`; `outlier` = outlier, `ignore` = not counted, any other = inlier.
        ce_weight: weight of the cross-entropy of U alone (0.0 for D-D and G-D, 0.5 for G-G).
        small_weight: largest weight of a pixel of `ratio`; above 1, pixels of small objects and those around them count
            more (`crowding`). The paper's is 1.
    """
    valid = target != ignore
    truth = target == outlier
    ratio = likelihood_ratio(inlier_logits, unknown_logits)
    bce = F.binary_cross_entropy_with_logits(ratio, truth.float(), reduction="none")
    if small_weight > 1:
        bce = bce * crowding(truth, small_weight)
    terms = {"ratio": masked_mean(bce, valid)}
    if ce_weight:
        ce = F.cross_entropy(unknown_logits.float(), truth.long(), reduction="none")
        terms["ce"] = ce_weight * masked_mean(ce, valid)
    return terms


def crowding(truth: Tensor, most: float) -> Tensor:
    """Weights 1..`most`, float32 `[B, H, W]`, of bool `[B, H, W]` unknowns: a plain mean hardly sees small objects.

    A pixel of an unknown weighs the inverse of the share of unknowns in the `WINDOW` around it, 1 inside of a large
    object; a known pixel within `RIM` of an unknown weighs 2 at most, so that masks end where objects do.
    """
    share = F.avg_pool2d(truth[:, None].float(), WINDOW, 1, WINDOW // 2, count_include_pad=False)[:, 0]
    near = F.max_pool2d(truth[:, None].float(), RIM, 1, RIM // 2)[:, 0] > 0
    inside = share.clamp(min=1 / most).reciprocal()
    return torch.where(truth, inside, torch.where(near, min(2.0, most), 1.0))
