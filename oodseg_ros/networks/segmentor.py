"""`Segmentor`: backbone → decoder → inlier classifier, plus an optional anomaly head, in one module."""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from .. import scores


class SegmentorOutput(NamedTuple):
    """At input size.

    Attributes:
        logits: float32 `[B, K, H, W]` inlier logits.
        score: float32 `[B, H, W]` anomaly score, higher = more anomalous.
    """

    logits: Tensor
    score: Tensor


class Segmentor(nn.Module):
    """Normalised float32 images `[B, 3, H, W]` → `SegmentorOutput`.

    H and W must be multiples of `multiple`. The head never changes the inlier logits. `score_kind` names the score:
    `likelihood_ratio` for the UEM head, or one of `scores.POST_HOC` without a head.
    """

    def __init__(
        self, backbone: nn.Module, decoder: nn.Module, classifier: nn.Module, head: nn.Module | None, score_kind: str
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.decoder = decoder
        self.classifier = classifier
        self.head = head
        self.score_kind = score_kind

    @property
    def multiple(self) -> int:
        """What H and W of the input must be divisible by."""
        return self.backbone.multiple

    @property
    def classes(self) -> int:
        """Number K of inlier classes."""
        return self.classifier.classes

    def head_parameters(self) -> list[nn.Parameter]:
        """Parameters of the anomaly head; empty without one."""
        return list(self.head.parameters()) if self.head is not None else []

    def forward(self, images: Tensor) -> SegmentorOutput:
        size = images.shape[-2:]
        features = self.backbone(images)
        logits = _resize(self.classifier(self.decoder(features)).float(), size)
        if self.head is None:
            return SegmentorOutput(logits, scores.POST_HOC[self.score_kind](logits))
        unknown = _resize(self.head(features).float(), size)
        return SegmentorOutput(logits, scores.likelihood_ratio(logits, unknown))


def _resize(logits: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
