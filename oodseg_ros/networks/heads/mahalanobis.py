"""Mahalanobis distance to the nearest class (Lee et al., arXiv 1807.03888) in the classifier's feature; nothing is
trained.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ..precision import full_precision
from ..segmentor import HeadInput, align_corners, resize

RIDGE = 1e-4
"""Part of the mean variance that is added to the covariance's diagonal, so that dead channels do not make it
singular."""


class Mahalanobis(nn.Module):
    """Score: min_k (f - μ_k)ᵀ Σ⁻¹ (f - μ_k), at the decoder's resolution, then resized.

    Args:
        decoded: channels of f.
        inlier_classes: number K of means.
    """

    SCORES = ("mahalanobis",)

    def __init__(self, decoded: int, inlier_classes: int) -> None:
        super().__init__()
        self.register_buffer("means", torch.zeros(inlier_classes, decoded))
        # Σ⁻¹ = W Wᵀ: distances are Euclidean after multiplying by W, which needs no inverse in the graph.
        self.register_buffer("whitening", torch.eye(decoded))

    @torch.no_grad()
    def fit(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Means and the shared covariance from (features `[N, C]`, class ids `[N]`; 255 = left out). Float64 sums."""
        classes, width = self.means.shape
        counts = torch.zeros(classes, dtype=torch.float64)
        sums = torch.zeros(classes, width, dtype=torch.float64)
        second = torch.zeros(width, width, dtype=torch.float64)
        for features, labels in batches:
            known = labels < classes
            rows, ids = features[known].double().cpu(), labels[known].long().cpu()
            counts += torch.bincount(ids, minlength=classes)
            sums.index_add_(0, ids, rows)
            second += rows.T @ rows
        means = sums / counts.clamp(min=1)[:, None]
        covariance = (second - (means.T * counts) @ means) / counts.sum().clamp(min=1)
        covariance += RIDGE * covariance.diagonal().mean() * torch.eye(width, dtype=torch.float64)
        self.means.copy_(means)
        self.whitening.copy_(torch.linalg.cholesky(torch.linalg.inv(covariance)))

    def forward(self, decoded: Tensor) -> Tensor:
        """`[B, C, h, w]` → squared distance to the nearest mean, float32 `[B, 1, h, w]`."""
        batch, _, height, width = decoded.shape
        with full_precision(decoded.device):
            white = decoded.float().flatten(2).transpose(1, 2) @ self.whitening
            means = self.means @ self.whitening
            # |a - b|² written out: a matrix product instead of an intermediate with all differences.
            squares = white.pow(2).sum(-1, keepdim=True) - 2.0 * white @ means.T + means.pow(2).sum(-1)
        return squares.amin(dim=-1).clamp(min=0.0).reshape(batch, 1, height, width)

    def evidence(self, given: HeadInput) -> Tensor:
        """Distance at input size, `[B, 1, H, W]`."""
        return resize(self(given.decoded), given.size, align_corners(given.decoder))

    def score(self, logits: Tensor, evidence: Tensor, stride: int = 1) -> Tensor:
        """The distance itself, `[B, H, W]`."""
        return evidence[:, 0]
