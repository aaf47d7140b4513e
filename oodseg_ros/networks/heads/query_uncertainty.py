"""Learnable uncertainty of the two-stage method (arXiv 2411.03829) on Mask2Former: a second class embedding per
query.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..classifiers.queries import QueryClassifier, semantic_maps
from ..segmentor import HeadInput


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

    def score(self, logits: Tensor, evidence: Tensor) -> Tensor:
        """How little the pixel belongs to anything, `[B, H, W]`."""
        return 1.0 - evidence.amax(dim=1)
