"""For networks whose decoder output is already logits."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class NoClassifier(nn.Module):
    """The first `classes` channels of the decoder's output are the inlier logits; further ones (void) are left to
    heads.
    """

    def __init__(self, inputs: int | Sequence[int], classes: int) -> None:
        super().__init__()
        available = inputs if isinstance(inputs, int) else inputs[0]
        if classes > available:
            raise ValueError(f"{classes} classes asked of a network with {available} outputs")
        self.classes = classes

    def forward(self, decoded: Tensor | list[Tensor]) -> Tensor:
        logits = decoded[0] if isinstance(decoded, list) else decoded
        return logits[:, : self.classes]
