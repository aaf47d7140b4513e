"""PEBAL-style baseline (Tian et al., arXiv 2111.12264): energy margins, smooth and sparse energies, abstention.

Energies E = -log Σ exp λ. The penalty of abstaining at a pixel is E², so that confident pixels do not abstain.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..frame import OUTLIER, UNLABELED
from .masks import classed, cross_entropy_map, inliers, log_sum_exp, masked_mean

MIN_PENALTY = 1.0


def pebal_terms(
    logits: Tensor,
    target: Tensor,
    abstention: Tensor | None = None,
    *,
    outlier: int = OUTLIER,
    ignore: int = UNLABELED,
    inlier_energy: float = -12.0,
    outlier_energy: float = -6.0,
    energy_weight: float = 0.02,
    smoothness: float = 3e-6,
    sparsity: float = 5e-4,
) -> dict[str, Tensor]:
    """The weighted terms by name; their sum is the loss. Scalars.

    `energy`: squared hinges that push inliers below `inlier_energy` and unknowns above `outlier_energy`. `smoothness`:
    squared differences of neighbouring energies. `sparsity`: mean magnitude of the unknowns' positive confidence.
    `class`: -log p_y, or with abstention -log(p_y + p_abstain / E²) on inliers and -log p_abstain on unknowns.

    Args:
        logits: of the inlier classes, float `[B, K, H, W]`.
        target: integer `[B, H, W]`; `outlier` = unknown, `ignore` = not counted, ids from K on = inlier without class.
        abstention: logit of abstaining, float `[B, 1, H, W]`; None = plain cross-entropy.
    """
    confidence = log_sum_exp(logits)  # -E
    inlier, unknown = inliers(target, outlier, ignore), target == outlier
    hinge_in = masked_mean((-confidence - inlier_energy).relu().square(), inlier)
    hinge_out = masked_mean((outlier_energy + confidence).relu().square(), unknown)
    counted = inlier | unknown
    rows = masked_mean(confidence.diff(dim=1).square(), counted[:, 1:] & counted[:, :-1])
    columns = masked_mean(confidence.diff(dim=2).square(), counted[:, :, 1:] & counted[:, :, :-1])
    return {
        "energy": energy_weight * (hinge_in + hinge_out),
        "smoothness": smoothness * (rows + columns),
        "sparsity": sparsity * masked_mean(confidence.relu(), unknown),
        "class": _class_term(logits, abstention, confidence, target, outlier, ignore),
    }


def _class_term(
    logits: Tensor, abstention: Tensor | None, confidence: Tensor, target: Tensor, outlier: int, ignore: int
) -> Tensor:
    known = classed(target, logits.shape[1], outlier, ignore)
    if abstention is None:
        return masked_mean(cross_entropy_map(logits, target, known), known)
    log_p = torch.cat([logits.float(), abstention.float()], dim=1).log_softmax(dim=1)
    label = torch.where(known, target, 0).long()
    right = log_p.gather(1, label[:, None])[:, 0]
    penalty = confidence.detach().square().clamp(min=MIN_PENALTY)
    gambled = -torch.logaddexp(right, log_p[:, -1] - penalty.log())
    return masked_mean(gambled, known) + masked_mean(-log_p[:, -1], target == outlier)
