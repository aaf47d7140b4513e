"""Residual pattern learning (RPL, arXiv 2211.14512) for decoders other than DeepLabV3+.

As in RPL, a small pyramid on frozen backbone maps makes a residual, the frozen last part of the network reads its
feature with the residual added, and the energy of the logits that come out is the score. The residual goes where the
last block reads (ESPNetv2), or where the classifier reads if a decoder has no such place (feature pyramids).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from ... import scores
from ..decoders.deeplab import Aspp
from ..segmentor import HeadInput, align_corners, resize
from .residual_pattern import blurred


class ResidualFeature(nn.Module):
    """Evidence: second logits `[B, K, H, W]`. Score: their energy, smoothed by a 7x7 Gaussian of σ = 1.

    Args:
        inputs: channels of the backbone's maps.
        decoded: channels of the map that the classifier reads.
        last: channels of the map that the decoder's last block reads, or None.
        levels: which backbone maps are read; the first, which must be the finest, sets the resolution.
        width: channels of the pyramid.
        rates: its dilations.
        projector: width of CoroCL's embeddings, which training needs and inference does not; 0 = none.
    """

    SCORES = ("residual_energy",)

    def __init__(
        self,
        inputs: Sequence[int],
        decoded: int,
        last: int | None = None,
        levels: Sequence[int] = (1, 2, 3),
        width: int = 64,
        rates: Sequence[int] = (3, 6, 12),
        projector: int = 0,
    ) -> None:
        super().__init__()
        self.levels = tuple(levels)
        self.lateral = nn.ModuleList(nn.Conv2d(inputs[level], width, 1) for level in self.levels)
        self.aspp = Aspp(width, width, rates)
        self.bottleneck = nn.Conv2d((2 + len(rates)) * width, width, 1, bias=False)
        self.final = nn.Conv2d(width, last or decoded, 1, bias=False)
        # The pyramid is not pretrained here, so the residual starts at zero: training starts from the frozen logits.
        nn.init.zeros_(self.final.weight)
        self.projector = nn.Conv2d(width, projector, 1) if projector else None

    def context(self, features: list[Tensor]) -> Tensor:
        """`[B, width, h, w]`, what residual and projector are linear in."""
        x = self.lateral[0](features[self.levels[0]])
        for conv, level in zip(self.lateral[1:], self.levels[1:], strict=True):
            x = x + F.interpolate(conv(features[level]), size=x.shape[-2:], mode="bilinear", align_corners=False)
        return self.bottleneck(self.aspp(x))

    def second_logits(self, given: HeadInput, context: Tensor | None = None) -> Tensor:
        """Logits `[B, K, h, w]` with the residual added, at the decoder's resolution.

        `context` is what `context` returns for these images, where the caller has it already.
        """
        residual = self.final(self.context(given.features) if context is None else context)
        corners = align_corners(given.decoder)
        if hasattr(given.decoder, "last_channels"):
            merged = given.merged + resize(residual, given.merged.shape[-2:], corners)
            return given.classifier(given.decoder.refine(merged))
        return given.classifier(given.decoded + resize(residual, given.decoded.shape[-2:], corners))

    def project(self, context: Tensor, size: tuple[int, int]) -> Tensor:
        """Embeddings `[B, projector, *size]` of `context` for the contrastive loss."""
        return resize(self.projector(context), size)

    def evidence(self, given: HeadInput) -> Tensor:
        """Second logits at input size, float32."""
        return resize(self.second_logits(given).float(), given.size, align_corners(given.decoder))

    def score(self, logits: Tensor, evidence: Tensor, stride: int = 1) -> Tensor:
        """Smoothed energy of the second logits, `[B, H, W]`."""
        return blurred(scores.energy(evidence), stride)
