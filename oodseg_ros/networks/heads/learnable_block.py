"""Learnable uncertainty (two-stage method, arXiv 2411.03829) for decoders that end in logits, such as ESPNetv2's.

Where DeepLabV3+ repeats its 1x1 classifier, here the decoder's whole last block is repeated: it starts as a copy, so
the uncertainty starts as the energy of the inlier logits.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from ... import scores
from ..segmentor import HeadInput, align_corners, resize


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

    def score(self, logits: Tensor, evidence: Tensor) -> Tensor:
        """The uncertainty itself, `[B, H, W]`."""
        return evidence[:, 0]
