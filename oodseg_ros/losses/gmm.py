"""Objective of mixture classifiers (Liang et al., GMMSeg, arXiv 2210.02025): class CE plus a component contrast.

The means and deviations of the mixture get no gradient from it (`networks.classifiers.gmm_em` moves them); what
learns is the feature, and the two norms of the classifier.
"""

from __future__ import annotations

from torch import Tensor

from .masks import class_cross_entropy, cross_entropy_map, masked_mean


def component_contrast(contrast_logits: Tensor, contrast_target: Tensor) -> Tensor:
    """Mean CE of log-likelihoods `[N, K*M]` against components `[N]`; targets outside of 0..K*M-1 are left out."""
    counted = (contrast_target >= 0) & (contrast_target < contrast_logits.shape[1])
    return masked_mean(cross_entropy_map(contrast_logits, contrast_target, counted), counted)


def gmm_terms(
    logits: Tensor,
    contrast_logits: Tensor,
    contrast_target: Tensor,
    target: Tensor,
    *,
    outlier: int = 254,
    ignore: int = 255,
    contrast_weight: float = 0.01,
) -> dict[str, Tensor]:
    """The terms of `gmm_loss` by name, weighted: `ce` and `contrast`. Scalars.

    Args:
        logits: class scores of the mixture, float `[B, K, H, W]`.
        contrast_logits: log-likelihoods of all components, float `[N, K*M]`.
        contrast_target: `class * M + component` of each row, integer `[N]`, from `gmm_em.assign`; anything outside of
            the range is not counted.
        target: integer `[B, H, W]`; `outlier`, `ignore` and ids of K and more are not counted.
    """
    return {
        "ce": class_cross_entropy(logits, target, outlier=outlier, ignore=ignore),
        "contrast": contrast_weight * component_contrast(contrast_logits, contrast_target),
    }


def gmm_loss(
    logits: Tensor,
    contrast_logits: Tensor,
    contrast_target: Tensor,
    target: Tensor,
    *,
    outlier: int = 254,
    ignore: int = 255,
    contrast_weight: float = 0.01,
) -> Tensor:
    """CE of the classes + `contrast_weight` · CE of the components; scalar. Arguments as in `gmm_terms`."""
    terms = gmm_terms(
        logits,
        contrast_logits,
        contrast_target,
        target,
        outlier=outlier,
        ignore=ignore,
        contrast_weight=contrast_weight,
    )
    return sum(terms.values())
