"""For networks whose backbone already holds the decoder (Mask2Former, whole transformers models)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class NoDecoder(nn.Module):
    """Hands the backbone's maps to the classifier as they are; `align_corners` says how its logits are to be
    resized.
    """

    def __init__(self, inputs: Sequence[int], align_corners: bool = False) -> None:
        super().__init__()
        self.channels = tuple(inputs)
        self.align_corners = align_corners

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        return features
