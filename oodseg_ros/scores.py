"""Anomaly scores as pure functions of logits. Higher = more anomalous, everywhere.

Logits are float tensors `[B, K, ...]`, scores `[B, ...]`. Formed in float32: likelihood ratios and log-sum-exps are
differences of large numbers, and half precision quantises them.
"""

from __future__ import annotations

from torch import Tensor


def likelihood_ratio(inlier_logits: Tensor, unknown_logits: Tensor) -> Tensor:
    """U1 - U0 - max_k F_k on raw logits; channel 0 of U is the generic inlier, 1 the outlier; unbounded.

    UEM (arXiv 2409.06424), eq. 11, as released: no softmax on either side.
    """
    unknown_logits = unknown_logits.float()
    return unknown_logits[:, 1] - unknown_logits[:, 0] - inlier_logits.float().amax(dim=1)


def max_logit(logits: Tensor) -> Tensor:
    """-max_k λ_k; unbounded (Hendrycks et al., arXiv 1911.11132)."""
    return -logits.float().amax(dim=1)


def max_softmax(logits: Tensor) -> Tensor:
    """1 - max_k softmax(λ)_k, in [0, 1 - 1/K] (Hendrycks & Gimpel, arXiv 1610.02136)."""
    return 1.0 - logits.float().softmax(dim=1).amax(dim=1)


def energy(logits: Tensor) -> Tensor:
    """-log Σ_k exp λ_k; unbounded (Liu et al., arXiv 2010.03759).

    Written out with the maximum subtracted: some runtimes expand log-sum-exp without it and overflow.
    """
    logits = logits.float()
    maximum = logits.amax(dim=1, keepdim=True)
    return -(maximum + (logits - maximum).exp().sum(dim=1, keepdim=True).log())[:, 0]


def entropy(logits: Tensor) -> Tensor:
    """-Σ_k p_k log p_k in nats, in [0, log K]."""
    log_p = logits.float().log_softmax(dim=1)
    return -(log_p.exp() * log_p).sum(dim=1)


POST_HOC = {"max_logit": max_logit, "max_softmax": max_softmax, "energy": energy, "entropy": entropy}
"""Scores that need no head, by the name that a bundle's `score.kind` uses."""
