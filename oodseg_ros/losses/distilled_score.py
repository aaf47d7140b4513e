"""Learning another network's anomaly score, better known than the network itself where the truth is known.

Regression of a teacher's output (Hinton et al., arXiv 1503.02531; of maps for dense prediction, Liu et al., arXiv
1903.04197), with targets mended by what a training picture tells: nothing known may stand out, every unknown must.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..frame import OUTLIER, UNLABELED
from .llr import crowding
from .masks import inliers, masked_mean

CLEAR = 0.5
"""Deviations above the cut from which on a known pixel is a false alarm of the student."""


def distilled_terms(
    score: Tensor,
    taught: Tensor,
    target: Tensor,
    *,
    outlier: int = OUTLIER,
    ignore: int = UNLABELED,
    cap: float = 2.0,
    floor: float = 3.0,
    delta: float = 1.0,
    unknown_weight: float = 0.3,
    small_weight: float = 1.0,
    alarm_weight: float = 1.0,
) -> dict[str, Tensor]:
    """`known` and `unknown`: Huber of the score against the mended one of the teacher, over pixels of either kind.

    Scalars; their sum is the loss, zero (with a graph) for a fully ignored batch.

    Args:
        score: float `[B, H, W]`, higher = more anomalous, in standard deviations from the mean of normal pixels.
        taught: the teacher's, in its own; gets no gradient.
        target: integer `[B, H, W]`; `outlier` = unknown, `ignore` = not counted, any other = inlier.
        cap: `taught` is cut here on known pixels: a false alarm of the teacher is not learnt.
        floor: and it is at least this on unknown ones, so that all of an object stands out. Nothing is rewarded beyond
            either: a score without an upper end learns to tell pasted things, and forgets real ones.
        delta: error from which on Huber's loss is linear.
        unknown_weight: of `unknown`.
        small_weight: largest weight of a pixel of a small unknown, as in `llr_terms`.
        alarm_weight: of known pixels that teacher or student take for unknown.
    """
    known, unknown = inliers(target, outlier, ignore), target == outlier
    score, taught = score.float(), taught.detach().float()
    goal = torch.where(unknown, taught.clamp(min=floor), taught.clamp(max=cap))
    error = F.huber_loss(score, goal, reduction="none", delta=delta)
    if small_weight > 1:
        error = error * crowding(unknown, small_weight)
    if alarm_weight > 1:
        alarm = known & ((taught > cap) | (score.detach() > cap + CLEAR))
        error = torch.where(alarm, alarm_weight * error, error)
    return {"known": masked_mean(error, known), "unknown": unknown_weight * masked_mean(error, unknown)}


def class_divergence(
    logits: Tensor, shares: Tensor, target: Tensor, *, outlier: int = OUTLIER, ignore: int = UNLABELED
) -> Tensor:
    """Mean over the known pixels of KL(taught || own) of the classes, nats, scalar.

    Args:
        logits: float `[B, K, H, W]`.
        shares: probabilities of the teacher, float `[B, K, H, W]`; get no gradient.
        target: integer `[B, H, W]`.
    """
    own = logits.float().log_softmax(dim=1)
    each = F.kl_div(own, shares.detach().float(), reduction="none").sum(dim=1)
    return masked_mean(each, inliers(target, outlier, ignore))
