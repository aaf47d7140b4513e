"""The void output of networks that were trained with one (ESPNetv2, ERFNet): "this belongs to no class"."""

from __future__ import annotations

from torch import Tensor, nn

from ..segmentor import HeadInput, align_corners, resize


class VoidChannel(nn.Module):
    """Evidence: the void logit. Score: it minus the largest inlier logit, the log-odds of void against the best class.

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

    def score(self, logits: Tensor, evidence: Tensor) -> Tensor:
        """`[B, H, W]`, unbounded; above 0 = void is the likeliest output."""
        return evidence[:, 0] - logits.amax(dim=1)
