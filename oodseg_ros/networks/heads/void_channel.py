"""The void output of networks that were trained with one (ESPNetv2, ERFNet): "this belongs to no class"."""

from __future__ import annotations

from torch import Tensor, nn

from ... import scores
from ..segmentor import HeadInput, align_corners, resize


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
