"""The three terms of residual pattern learning (Liu et al., RPL, arXiv 2211.14512, as released)."""

from __future__ import annotations

from torch import Tensor

from .llr import crowding
from .masks import cross_entropy_map, inliers, log_sum_exp, masked_mean

SMALLEST_PROBABILITY = 1e-7


def rpl_terms(
    residual_logits: Tensor,
    inlier_logits: Tensor,
    target: Tensor,
    *,
    outlier: int = 254,
    ignore: int = 255,
    energy_weight: float = 0.05,
    small_weight: float = 1.0,
) -> dict[str, Tensor]:
    """The terms of `rpl_loss` by name, weighted. Scalars.

    `entropy`: on inliers, CE of the residual logits against what the frozen network predicts (class labels are not
    used). `reg`: on inliers, squared difference of the two entropies (nats). `energy`: on unknowns, the positive part
    of log Σ exp of the residual logits.

    Args:
        residual_logits: z, of the way with the residual, float `[B, K, H, W]`.
        inlier_logits: v, of the frozen way, float `[B, K, H, W]`; gets no gradient.
        target: integer `[B, H, W]`; `outlier` = unknown, `ignore` = not counted, any other = inlier.
        energy_weight: weight of `energy`.
        small_weight: largest weight of a pixel of an unknown in `energy`; above 1, small objects count more
            (`llr.crowding`). The paper's is 1.
    """
    inlier = inliers(target, outlier, ignore)
    frozen = inlier_logits.detach()
    entropy = masked_mean(cross_entropy_map(residual_logits, frozen.argmax(dim=1), inlier), inlier)
    reg = masked_mean((_entropy(residual_logits) - _entropy(frozen)).square(), inlier)
    unknown = target == outlier
    positive = log_sum_exp(residual_logits).relu()
    if small_weight > 1:
        positive = positive * crowding(unknown, small_weight)
    energy = masked_mean(positive, unknown)
    return {"entropy": entropy, "reg": reg, "energy": energy_weight * energy}


def rpl_loss(
    residual_logits: Tensor,
    inlier_logits: Tensor,
    target: Tensor,
    *,
    outlier: int = 254,
    ignore: int = 255,
    energy_weight: float = 0.05,
) -> Tensor:
    """entropy + reg + `energy_weight` · energy; scalar. Arguments as in `rpl_terms`."""
    terms = rpl_terms(
        residual_logits, inlier_logits, target, outlier=outlier, ignore=ignore, energy_weight=energy_weight
    )
    return sum(terms.values())


def _entropy(logits: Tensor) -> Tensor:
    probability = logits.float().softmax(dim=1).clamp(min=SMALLEST_PROBABILITY)
    return -(probability * probability.log()).sum(dim=1)
