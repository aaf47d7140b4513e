"""Objectives of our reconstruction of DRL + PSC (doi 10.1109/TCSVT.2025.3597071).

The released code names these parts and no formula or weight: both classifiers see unknowns as one more class, the
discrepancy to the frozen classifier is to be high on unknowns alone, and images are rebuilt from the semantic part of
one view and the free part of another. The forms and the weights of 1 are ours.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..frame import OUTLIER, UNLABELED
from .masks import classed, cross_entropy_map, inliers, masked_mean


def drl_terms(
    inlier_logits: Tensor,
    logits: Tensor,
    auxiliary_logits: Tensor,
    target: Tensor,
    rebuilt: Tensor | None = None,
    images: Tensor | None = None,
    *,
    outlier: int = OUTLIER,
    ignore: int = UNLABELED,
    auxiliary_weight: float = 0.4,
    discrepancy_weight: float = 1.0,
    reconstruction_weight: float = 1.0,
) -> dict[str, Tensor]:
    """The weighted terms by name; their sum is the loss: `ce`, `auxiliary`, `discrepancy`, `reconstruction`. Scalars.

    Args:
        inlier_logits: of the frozen classifier, float `[B, K, H, W]`; gets no gradient.
        logits, auxiliary_logits: of the two new classifiers, float `[B, K+1, H, W]`, the unknown last.
        target: integer `[B, H, W]`; `outlier` = unknown, `ignore` = not counted, ids from K on = inlier without class.
        rebuilt, images: rebuilt and true images of the overlap, float of one shape, in [-1, 1]; None = no such term.
    """
    terms = {
        "ce": _ce_with_unknown(logits, target, outlier, ignore),
        "auxiliary": auxiliary_weight * _ce_with_unknown(auxiliary_logits, target, outlier, ignore),
    }
    frozen = inlier_logits.detach().float().softmax(dim=1)
    agreement = (frozen * logits.float().softmax(dim=1)[:, :-1]).sum(dim=1).clamp(1e-6, 1 - 1e-6)
    unknown = target == outlier
    counted = unknown | inliers(target, outlier, ignore)
    bce = -torch.where(unknown, (1 - agreement).log(), agreement.log())
    terms["discrepancy"] = discrepancy_weight * masked_mean(bce, counted)
    if rebuilt is not None and images is not None:
        terms["reconstruction"] = reconstruction_weight * (
            F.l1_loss(rebuilt.float(), images.float()) if rebuilt.numel() else 0.0 * rebuilt.sum()
        )
    return terms


def _ce_with_unknown(logits: Tensor, target: Tensor, outlier: int, ignore: int) -> Tensor:
    classes = logits.shape[1] - 1
    unknown = target == outlier
    counted = unknown | classed(target, classes, outlier, ignore)
    return masked_mean(cross_entropy_map(logits, torch.where(unknown, classes, target.long()), counted), counted)
