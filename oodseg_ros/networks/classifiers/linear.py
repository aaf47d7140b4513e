"""Linear inlier classifier: one 1x1 convolution, `[B, C, h, w]` → logits `[B, K, h, w]` (UEM's discriminative head,
"D").
"""

from __future__ import annotations

from torch import Tensor, nn


class LinearClassifier(nn.Module):
    """Attributes: `classes`, the number K of inlier classes."""

    def __init__(self, inputs: int, classes: int, bias: bool = True) -> None:
        super().__init__()
        self.classes = classes
        self.linear = nn.Conv2d(inputs, classes, 1, bias=bias)

    def forward(self, decoded: Tensor) -> Tensor:
        return self.linear(decoded)
