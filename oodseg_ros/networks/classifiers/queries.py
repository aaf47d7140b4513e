"""Semantic inference of mask-classification networks (Cheng et al., arXiv 2112.01527)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def semantic_maps(class_logits: Tensor, masks: Tensor) -> Tensor:
    """Σ_q softmax(class_q)_k · sigmoid(mask_q) without the void class: `[B, Q, K+1]`, `[B, Q, H, W]` → `[B, K, H, W]`.

    Float32. Each term is in [0, 1]; the sum over queries can exceed 1.
    """
    weights = class_logits.float().softmax(dim=-1)[..., :-1]
    return torch.einsum("bqk,bqhw->bkhw", weights, masks.float().sigmoid())


class QueryClassifier(nn.Module):
    """[queries `[B, Q, C]`, mask logits `[B, Q, H, W]`] → semantic maps `[B, K, H, W]`, used as inlier logits."""

    def __init__(self, inputs: Sequence[int], classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.class_predictor = nn.Linear(inputs[0], classes + 1)

    def forward(self, decoded: list[Tensor]) -> Tensor:
        queries, masks = decoded
        return semantic_maps(self.class_predictor(queries), masks)
