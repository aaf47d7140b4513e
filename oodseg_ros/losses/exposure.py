"""Baselines on unknowns: plain outlier exposure (arXiv 1812.04606), entropy maximisation (arXiv 2012.06575)."""

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


def entropy_max_terms(
    logits: Tensor, target: Tensor, *, outlier: int = 254, ignore: int = 255, balance: float = 0.9
) -> dict[str, Tensor]:
    """The terms of `entropy_max_loss` by name, weighted: `ce` and `uniform`. Scalars.

    Args:
        logits: float `[B, K, H, W]`.
        target: integer `[B, H, W]`; `outlier` = unknown, `ignore` and ids of K and more are not counted.
        balance: weight of the unknowns; the inliers get 1 - `balance`.
    """
    return {
        "ce": (1 - balance) * class_cross_entropy(logits, target, outlier=outlier, ignore=ignore),
        "uniform": balance * uniform_cross_entropy(logits, target, outlier),
    }


def entropy_max_loss(
    logits: Tensor, target: Tensor, *, outlier: int = 254, ignore: int = 255, balance: float = 0.9
) -> Tensor:
    """(1 - balance)·CE of the inliers + balance · CE of the unknowns to the uniform distribution; scalar."""
    return sum(entropy_max_terms(logits, target, outlier=outlier, ignore=ignore, balance=balance).values())
