"""Outlier exposure (Hendrycks et al., arXiv 1812.04606), per pixel."""

from __future__ import annotations

from torch import Tensor

from .masks import class_cross_entropy, uniform_cross_entropy


def outlier_exposure_terms(
    logits: Tensor, target: Tensor, *, outlier: int = 254, ignore: int = 255, weight: float = 0.5
) -> dict[str, Tensor]:
    """The terms of `outlier_exposure_loss` by name, weighted: `ce` and `exposure`. Scalars.

    Args:
        logits: float `[B, K, H, W]`.
        target: integer `[B, H, W]`; `outlier` = unknown, `ignore` and ids of K and more are not counted.
        weight: of the unknowns (0.5 in the paper's classification experiments).
    """
    return {
        "ce": class_cross_entropy(logits, target, outlier=outlier, ignore=ignore),
        "exposure": weight * uniform_cross_entropy(logits, target, outlier),
    }


def outlier_exposure_loss(
    logits: Tensor, target: Tensor, *, outlier: int = 254, ignore: int = 255, weight: float = 0.5
) -> Tensor:
    """CE of the inliers + weight · CE of the unknowns to the uniform distribution; scalar."""
    return sum(outlier_exposure_terms(logits, target, outlier=outlier, ignore=ignore, weight=weight).values())
