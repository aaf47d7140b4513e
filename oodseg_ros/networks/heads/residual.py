"""RPL: residual pattern learning (Liu et al., arXiv 2211.14512), on a frozen DeepLabV3+ and on other decoders.

A small pyramid makes a residual that is added to the input of the decoder's last block; the energy of the logits that
come out is the score. The reference computes it at half resolution through two 1x1 convolutions and runs the last block
twice. In `ResidualPattern` the 1x1 convolutions are one with the block's first 3x3, the residual stays at 1/8, and the
frozen part of that 3x3 is shared between both passes: the same up to rounding. In `ResidualFeature` the residual goes
where the last block reads (ESPNetv2), or where the classifier reads if a decoder has no such place (feature pyramids).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ... import scores
from ..classifiers import LinearClassifier
from ..decoders.deeplab import Aspp, DeepLab
from ..segmentor import HeadInput, align_corners, resize

BLUR_SIZE, BLUR_SIGMA = 7, 1.0


class ResidualPattern(nn.Module):
    """Evidence: second logits `[B, K, H, W]`. Score: their energy, smoothed by a 7x7 Gaussian of σ = 1.

    Args:
        inputs: channels of the backbone's maps; the last is read.
        decoded: width of the decoder.
        merged: channels at the input of the decoder's last block.
        rates: dilations of the ASPP.
        projector: with the projector of CoroCL, which training needs and inference does not.
    """

    SCORES = ("residual_energy",)

    def __init__(
        self,
        inputs: Sequence[int],
        decoded: int,
        merged: int | None,
        rates: Sequence[int] = (12, 24, 36),
        projector: bool = False,
    ) -> None:
        super().__init__()
        if merged is None:
            raise ValueError("the residual pattern needs the decoder deeplab")
        self.aspp = Aspp(inputs[-1], decoded, rates)
        self.bottleneck = nn.Conv2d((2 + len(rates)) * decoded, decoded, 1, bias=False)
        self.final = nn.Conv2d(decoded, merged, 1, bias=False)
        self.projector = nn.Conv2d(decoded, merged, 1) if projector else None
        nn.init.kaiming_normal_(self.final.weight)
        if self.projector is not None:
            nn.init.kaiming_normal_(self.projector.weight)
            nn.init.zeros_(self.projector.bias)

    @torch.no_grad()
    def initialize_from(self, decoder: DeepLab) -> None:
        """Start from the trained ASPP, batch-norm statistics included, as the paper's code does."""
        self.aspp.load_state_dict(decoder.aspp.state_dict())
        self.bottleneck.load_state_dict(decoder.bot_aspp.state_dict())

    def context(self, features: list[Tensor]) -> Tensor:
        """`[B, decoded, h/8, w/8]`, what residual and projector are linear in."""
        return self.bottleneck(self.aspp(features[-1]))

    def second_logits(self, given: HeadInput, context: Tensor | None = None, logits: Tensor | None = None) -> Tensor:
        """Logits `[B, K, h, w]` of the block with the residual added, at the decoder's resolution.

        `context` is what `context` returns for these images, where the caller has it already; `logits` do not help.
        """
        context = self.context(given.features) if context is None else context
        weight = given.decoder.final[0][0].weight
        joined = torch.einsum("omyx,mc->ocyx", weight.float(), self.final.weight[:, :, 0, 0].float()).to(weight.dtype)
        residual = given.decoder.convolved(context, joined, given.merged.shape[-2:])
        return given.classifier(given.decoder.refine(given.merged + residual))

    def project(self, context: Tensor, size: tuple[int, int]) -> Tensor:
        """Embeddings `[B, merged, *size]` of `context` for the contrastive loss; `size` is that of the fine map."""
        return resize(self.projector(context), size, True)

    def evidence(self, given: HeadInput) -> Tensor:
        """Second logits at input size, float32."""
        return resize(self.second_logits(given).float(), given.size, True)

    def score(self, logits: Tensor, evidence: Tensor, stride: int = 1) -> Tensor:
        """Smoothed energy of the second logits, `[B, H, W]`."""
        return blurred(scores.energy(evidence), stride)


def blurred(score: Tensor, stride: int = 1) -> Tensor:
    """7x7 Gaussian of σ = 1 pixel of the input, reflected at the borders, on `[B, H, W]`; separable.

    `stride`: by how much the score is smaller than the input. From 4 on the Gaussian reaches no neighbour.
    """
    margin = BLUR_SIZE // 2 // stride
    if not margin:
        return score
    steps = torch.arange(2 * margin + 1, dtype=score.dtype, device=score.device) - margin
    kernel = torch.exp(-0.5 * (steps * stride / BLUR_SIGMA).pow(2))
    kernel = kernel / kernel.sum()
    x = F.pad(score[:, None], (margin, margin, margin, margin), mode="reflect")
    x = F.conv2d(x, kernel.reshape(1, 1, 1, -1))
    return F.conv2d(x, kernel.reshape(1, 1, -1, 1))[:, 0]


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

    def second_logits(self, given: HeadInput, context: Tensor | None = None, logits: Tensor | None = None) -> Tensor:
        """Logits `[B, K, h, w]` with the residual added, at the decoder's resolution.

        `context` is what `context` returns for these images and `logits` what the classifier does, where the caller has
        them already.
        """
        residual = self.final(self.context(given.features) if context is None else context)
        corners = align_corners(given.decoder)
        if hasattr(given.decoder, "last_channels"):
            merged = given.merged + resize(residual, given.merged.shape[-2:], corners)
            return given.classifier(given.decoder.refine(merged))
        if logits is not None and isinstance(given.classifier, LinearClassifier):
            # What is linear can be added afterwards: there are fewer classes than channels to resize.
            return logits + resize(F.conv2d(residual, given.classifier.linear.weight), logits.shape[-2:], corners)
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
