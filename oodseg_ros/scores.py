"""Anomaly scores as pure functions of logits. Higher = more anomalous, everywhere.

Logits are float tensors `[B, K, ...]`, scores `[B, ...]`. Formed in float32: likelihood ratios and log-sum-exps are
differences of large numbers, and half precision quantises them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .errors import EngineError


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


def max_min_logit(logits: Tensor) -> Tensor:
    """-(max_k λ_k - min_k λ_k); at most 0 (Bai et al. "Style-aligned OoD augmentation", arXiv 2308.09965)."""
    logits = logits.float()
    return logits.amin(dim=1) - logits.amax(dim=1)


def rejected_by_all(logits: Tensor) -> Tensor:
    """RbA: -Σ_k tanh λ_k, in [-K, K] (Nayal et al., arXiv 2211.14293); made for semantic maps of mask
    classification.
    """
    return -logits.float().tanh().sum(dim=1)


def one_minus_max(logits: Tensor) -> Tensor:
    """1 - max_k λ_k for semantic maps of mask classification, in (-∞, 1] (Rai et al., Mask2Anomaly, arXiv
    2307.13316).
    """
    return 1.0 - logits.float().amax(dim=1)


def standardized_max_logit(logits: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """-(max_k λ_k - μ_k*) / σ_k*, k* the predicted class (Jung et al., arXiv 2107.11264); unbounded.

    `mean`, `deviation`: `[K]`, statistics of the maximum logit of each predicted class on inlier images.
    """
    values, classes = logits.float().max(dim=1)
    return (mean[classes] - values) / deviation[classes]


def odin(
    network: Callable[[Tensor], Tensor], images: Tensor, temperature: float = 1000.0, step: float = 0.0014
) -> Tensor:
    """1 - max softmax(λ / T) of an image that was moved to raise it (Liang et al., arXiv 1706.02690), in [0, 1 - 1/K].

    The image is moved by `step` against the sign of the gradient of -log max softmax, summed over its pixels. That is a
    backward pass: it runs in eager torch only, even under `inference_mode`, and no exported graph can hold it.

    Args:
        network: normalised images `[B, 3, H, W]` → logits `[B, K, H, W]`.
        step: in units of the normalised image.

    Raises:
        EngineError: while a graph is being exported.
    """
    if torch.compiler.is_exporting():
        raise EngineError(
            "score odin needs gradients, which a compiled engine has not; use engine: torch or another score"
        )
    with torch.inference_mode(False), torch.enable_grad():
        moved = images.clone().requires_grad_()
        confidence = (network(moved).float() / temperature).log_softmax(dim=1).amax(dim=1).sum()
        (gradient,) = torch.autograd.grad(confidence, moved)
    with torch.no_grad():
        return max_softmax(network(images + step * gradient.sign()) / temperature)


POST_HOC = {
    "max_logit": max_logit,
    "max_softmax": max_softmax,
    "energy": energy,
    "entropy": entropy,
    "max_min_logit": max_min_logit,
    "rejected_by_all": rejected_by_all,
    "one_minus_max": one_minus_max,
}
"""Scores of the logits alone, which need no head, by the name that a bundle's network spec uses."""

PERTURBING = {"odin": odin}
"""Scores that run the network again on a changed image; eager torch only."""
