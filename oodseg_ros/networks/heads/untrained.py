"""Heads that need no training: the void output, standardized max logit (Jung et al., arXiv 2107.11264), and the
Mahalanobis distance (Lee et al., arXiv 1807.03888).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ... import scores
from ..segmentor import HeadInput, align_corners, full_precision, resize


class VoidChannel(nn.Module):
    """Evidence: the void logit. Score: the log-odds of void, log p / (1 - p) of the softmax over all outputs.

    The same ranking as the probability, which saturates in float32.

    Args:
        channel: index of the void output in the decoder's output.
    """

    SCORES = ("void",)

    def __init__(self, channel: int) -> None:
        super().__init__()
        self.channel = channel

    def evidence(self, given: HeadInput) -> Tensor:
        """Void logit at input size, float32 `[B, 1, H, W]`."""
        void = given.decoded[:, self.channel : self.channel + 1].float()
        return resize(void, given.size, align_corners(given.decoder))

    def score(self, logits: Tensor, evidence: Tensor, stride: int = 1) -> Tensor:
        """`[B, H, W]`, unbounded; above 0 = void is likelier than all classes together."""
        return evidence[:, 0] + scores.energy(logits)


class StandardizedMaxLogit(nn.Module):
    """Score: -(max_k λ_k - μ_k*) / σ_k*, with statistics of class k* from inlier images; nothing is trained.

    Args:
        inlier_classes: number K of statistics.
    """

    SCORES = ("standardized_max_logit",)

    def __init__(self, inlier_classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(inlier_classes))
        self.register_buffer("deviation", torch.ones(inlier_classes))

    @torch.no_grad()
    def fit(self, batches: Iterable[Tensor]) -> None:
        """Mean and deviation of the maximum logit per predicted class, from logits `[B, K, H, W]` of inlier images."""
        counts, first, second = (torch.zeros(len(self.mean), dtype=torch.float64) for _ in range(3))
        for logits in batches:
            values, ids = (part.flatten().cpu() for part in logits.max(dim=1))
            values = values.double()
            counts += torch.bincount(ids, minlength=len(counts))
            first.index_add_(0, ids, values)
            second.index_add_(0, ids, values.pow(2))
        mean = first / counts.clamp(min=1)
        deviation = (second / counts.clamp(min=1) - mean.pow(2)).clamp(min=0).sqrt()
        # A class that was never predicted, or always alike, keeps the statistics it has.
        seen = (counts > 1) & (deviation > 0)
        self.mean.copy_(torch.where(seen, mean, self.mean.double()))
        self.deviation.copy_(torch.where(seen, deviation, self.deviation.double()))

    def evidence(self, given: HeadInput) -> Tensor | None:
        """None: the inlier logits say it all."""
        return None

    def score(self, logits: Tensor, evidence: Tensor | None, stride: int = 1) -> Tensor:
        """`[B, H, W]`, unbounded; 0 = as sure as usual for the class."""
        return scores.standardized_max_logit(logits, self.mean, self.deviation)


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
