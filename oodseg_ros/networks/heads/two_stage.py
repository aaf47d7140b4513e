"""Learnable uncertainties of the two-stage method (arXiv 2411.03829): a convolution, a block, and one for queries."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ... import scores
from ..classifiers import LinearClassifier, QueryClassifier, semantic_maps
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

    def score(self, logits: Tensor, evidence: Tensor, stride: int = 1) -> Tensor:
        """The uncertainty itself, `[B, H, W]`."""
        return evidence[:, 0]


class LearnableBlock(nn.Module):
    """u = -log Σ_k exp of the repeated block's first K logits, at the decoder's resolution, then resized.

    Args:
        decoder: one that names its last block (`last_block`).
        inlier_classes: K.
    """

    SCORES = ("learnable_uncertainty",)

    def __init__(self, decoder: nn.Module, inlier_classes: int) -> None:
        super().__init__()
        if not hasattr(decoder, "last_block"):
            raise ValueError("learnable_block needs a decoder that ends in logits; use learnable_uncertainty")
        self.classes = inlier_classes
        self.block = copy.deepcopy(getattr(decoder, decoder.last_block))

    @torch.no_grad()
    def initialize_from(self, decoder: nn.Module) -> None:
        """Start as the energy of the inlier logits."""
        self.block.load_state_dict(getattr(decoder, decoder.last_block).state_dict())

    def forward(self, merged: Tensor) -> Tensor:
        """What the last block reads, `[B, C, h, w]` → uncertainty float32 `[B, 1, h, w]`."""
        return scores.energy(self.block(merged)[:, : self.classes])[:, None]

    def evidence(self, given: HeadInput) -> Tensor:
        """Uncertainty at input size, `[B, 1, H, W]`."""
        return resize(self(given.merged), given.size, align_corners(given.decoder))

    def score(self, logits: Tensor, evidence: Tensor, stride: int = 1) -> Tensor:
        """The uncertainty itself, `[B, H, W]`."""
        return evidence[:, 0]


class QueryUncertainty(nn.Module):
    """Evidence: semantic maps `[B, K, H, W]` of the second embedding. Score: 1 - their maximum, in (-∞, 1].

    Args:
        inputs: (width of a query, number of queries).
        inlier_classes: K; the embedding has one output more, for void.
    """

    SCORES = ("query_uncertainty",)

    def __init__(self, inputs: Sequence[int], inlier_classes: int) -> None:
        super().__init__()
        self.class_embed2 = nn.Linear(inputs[0], inlier_classes + 1)

    @torch.no_grad()
    def initialize_from(self, classifier: QueryClassifier) -> None:
        """Start as the inlier class embedding."""
        self.class_embed2.load_state_dict(classifier.class_predictor.state_dict())

    def evidence(self, given: HeadInput) -> Tensor:
        """Semantic maps of the second embedding, float32 `[B, K, H, W]`."""
        queries, masks = given.decoded
        return semantic_maps(self.class_embed2(queries), masks)

    def score(self, logits: Tensor, evidence: Tensor, stride: int = 1) -> Tensor:
        """How little the pixel belongs to anything, `[B, H, W]`."""
        return 1.0 - evidence.amax(dim=1)
