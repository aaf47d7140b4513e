"""`Segmentor`: backbone → decoder → inlier classifier, plus an optional anomaly head, in one module."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, Protocol

import torch
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


class HeadInput(NamedTuple):
    """What an anomaly head may read; it never writes to any of it.

    Attributes:
        images: normalised float32 `[B, 3, H, W]`.
        features: maps `[B, C, h, w]` of the backbone, as `backbone(images)` returns them.
        merged: `[B, C, h, w]`, what the decoder makes before its last convolutions; None where it has no such place.
        decoded: the decoder's output, which the inlier classifier reads: `[B, C, h, w]`, or what this decoder returns.
        decoder, classifier: the frozen modules themselves, for heads that run them again.
        output_stride: by how much logits and evidence are smaller than the input.
    """

    images: Tensor
    features: list[Tensor]
    merged: Tensor | None
    decoded: Any
    decoder: nn.Module
    classifier: nn.Module
    output_stride: int = 1

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) at which logits and evidence are given."""
        height, width = self.images.shape[-2:]
        return height // self.output_stride, width // self.output_stride


class Head(Protocol):
    """An anomaly head: an `nn.Module` that makes evidence of what the frozen network computed, and a score of both.

    Attributes:
        SCORES: names of the scores that it gives.
    """

    SCORES: tuple[str, ...]

    def evidence(self, given: HeadInput) -> Tensor | None:
        """Float32 `[B, C, *given.size]` of a kind that may be averaged over overlapping windows; None where the inlier
        logits say it all.
        """
        ...

    def score(self, logits: Tensor, evidence: Tensor | None, stride: int = 1) -> Tensor:
        """Anomaly score float32 `[B, H, W]`, higher = more anomalous.

        Inlier logits `[B, K, H, W]` and evidence are both `stride` times smaller than the input.
        """
        ...


class Segmentor(nn.Module):
    """Normalised float32 images `[B, 3, H, W]` → `SegmentorOutput`.

    H and W must be multiples of `multiple`. The head never changes the inlier logits. `score_kind` names the score:
    one of the head's `SCORES`, or one of `scores.POST_HOC` without a head. With `also`, names of `scores.POST_HOC`, the
    scores of the same logits by those follow: `[B, H, W]` becomes `[S * B, H, W]`, all images of one score together.

    The way from images to a score has two halves, so that overlapping windows can be averaged between them:
    `evidence(images)` gives quantities that may be averaged, `judge(logits, evidence)` turns them into a score.
    """

    def __init__(
        self, backbone: nn.Module, decoder: nn.Module, classifier: nn.Module, head: Head | None, score_kind: str
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.decoder = decoder
        self.classifier = classifier
        self.head = head
        self.score_kind = score_kind
        self.also: tuple[str, ...] = ()

    @property
    def multiple(self) -> int:
        """What H and W of the input must be divisible by."""
        return self.backbone.multiple

    @property
    def classes(self) -> int:
        """Number K of inlier classes."""
        return self.classifier.classes

    def prepare(self, height: int, width: int) -> None:
        """Precompute what depends only on the input size (position embeddings), so that a compiled graph holds
        constants.
        """
        for part in (self.backbone, self.head):
            if hasattr(part, "prepare"):
                part.prepare(height, width)

    def extract(self, images: Tensor, output_stride: int = 1, features: list[Tensor] | None = None) -> HeadInput:
        """What backbone and decoder make of the images; `features` is what `backbone(images)` returns, where the caller
        has it already.
        """
        features = self.backbone(images) if features is None else features
        merged, decoded = decoded_by(self.decoder, features)
        return HeadInput(images, features, merged, decoded, self.decoder, self.classifier, output_stride)

    def evidence(self, images: Tensor, output_stride: int = 1) -> tuple[Tensor, Tensor | None]:
        """Inlier logits `[B, K, H, W]` and the head's evidence `[B, C, H, W]` (None without a head), float32, at
        input size or `output_stride` times smaller.
        """
        given = self.extract(images, output_stride)
        logits = resize(self.classifier(given.decoded).float(), given.size, align_corners(self.decoder))
        return logits, None if self.head is None else self.head.evidence(given)

    def judge(self, logits: Tensor, evidence: Tensor | None, output_stride: int = 1) -> Tensor:
        """Score `[B, H, W]` (with `also` `[S * B, H, W]`) of what `evidence` returned for this `output_stride`."""
        if self.head is None:
            score = scores.POST_HOC[self.score_kind](logits)
        else:
            score = self.head.score(logits, evidence, output_stride)
        return torch.cat([score, *(scores.POST_HOC[kind](logits) for kind in self.also)]) if self.also else score

    def forward(self, images: Tensor, output_stride: int = 1) -> SegmentorOutput:
        if self.head is None and self.score_kind in scores.PERTURBING:
            return self._perturbed(images, output_stride)
        logits, evidence = self.evidence(images, output_stride)
        return SegmentorOutput(logits, self.judge(logits, evidence, output_stride))

    def _perturbed(self, images: Tensor, output_stride: int) -> SegmentorOutput:
        # Labels come from the image as it is; only the score sees the perturbed one.
        score = scores.PERTURBING[self.score_kind](lambda x: self.evidence(x, output_stride)[0], images)
        with torch.no_grad():
            return SegmentorOutput(self.evidence(images, output_stride)[0], score)


def decoded_by(decoder: nn.Module, features: list[Tensor]) -> tuple[Tensor | None, Any]:
    """`merged` and `decoded` of a `HeadInput`."""
    merged = decoder.merge(features) if hasattr(decoder, "merge") else None
    return merged, decoder(features) if merged is None else decoder.refine(merged)


def align_corners(decoder: nn.Module) -> bool:
    """Whether this decoder's maps are resized with align_corners=True (DeepLabV3+ as released is, most are not)."""
    return bool(getattr(decoder, "align_corners", False))


def resize(maps: Tensor, size: tuple[int, int], corners: bool = False) -> Tensor:
    """Bilinear resize of `[B, C, h, w]`; nothing is computed where the size is right already."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return F.interpolate(maps, size=tuple(size), mode="bilinear", align_corners=corners)


def full_precision(device: torch.device) -> AbstractContextManager:
    """Autocast off on this device: without it, matrix products of float32 tensors are still rounded to half.

    Nothing at all where autocast is off already, so that exported graphs hold no trace of it.
    """
    if not torch.amp.is_autocast_available(device.type) or not torch.is_autocast_enabled(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


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
