"""Learnable uncertainty function of the two-stage method (Gao et al., "Generalize or Detect?", arXiv 2411.03829), on
DeepLabV3+.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ... import scores
from ..classifiers.linear import LinearClassifier
from ..segmentor import HeadInput, align_corners, resize


class LearnableUncertainty(nn.Module):
    """u = -log Σ_c exp(W_o f)_c on the feature f that the classifier reads, then resized. W_o is a 1x1 without bias.

    Args:
        decoded: channels of f.
        inlier_classes: rows of W_o.
    """

    SCORES = ("learnable_uncertainty",)

    def __init__(self, decoded: int, inlier_classes: int) -> None:
        super().__init__()
        self.ood_head = nn.Conv2d(decoded, inlier_classes, 1, bias=False)

    @torch.no_grad()
    def initialize_from(self, classifier: LinearClassifier) -> None:
        """Start as the energy of the inlier logits."""
        self.ood_head.weight.copy_(classifier.linear.weight)

    def forward(self, decoded: Tensor) -> Tensor:
        """`[B, C, h, w]` → uncertainty float32 `[B, 1, h, w]`."""
        return scores.energy(self.ood_head(decoded))[:, None]

    def evidence(self, given: HeadInput) -> Tensor:
        """Uncertainty at input size, `[B, 1, H, W]`."""
        return resize(self(given.decoded), given.size, align_corners(given.decoder))

    def score(self, logits: Tensor, evidence: Tensor) -> Tensor:
        """The uncertainty itself, `[B, H, W]`."""
        return evidence[:, 0]
