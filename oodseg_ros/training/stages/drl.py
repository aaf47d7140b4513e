"""Our reconstruction of DRL + PSC's training (doi 10.1109/TCSVT.2025.3597071); its losses are not published."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from ...errors import ConfigError
from ...losses.drl import drl_terms
from ...model_card import InputSpec
from ...networks.heads.drl import DrlReconstruction
from ...networks.segmentor import Segmentor
from ..data_recipe import Strict
from ..methods import StageSpec
from .stage import Stage, flat_pairs


class DrlOptions(Strict):
    """Stage `drl`: weights of the reconstruction's terms, all ours; rate factor of classifier and rebuilding layers."""

    auxiliary_weight: float = Field(0.4, ge=0)
    discrepancy_weight: float = Field(1.0, ge=0)
    reconstruction_weight: float = Field(1.0, ge=0)
    output_lr: float = Field(10.0, gt=0)


class DrlStage(Stage):
    """The head learns, in train mode; the segmentor is frozen, so inlier logits stay bit-identical.

    Batches are pairs of overlapping crops with their overlap (`outliers: {method: patch_paste, overlap: true}`): the
    overlap is rebuilt from the semantic part of one view and the free part of the other. Plain batches leave that out.
    """

    Options = DrlOptions

    may_skip_parameters = True

    def __init__(self, segmentor: Segmentor, spec: InputSpec, stage: StageSpec, seed: int = 0) -> None:
        """Raises ConfigError for another head."""
        if not isinstance(segmentor.head, DrlReconstruction):
            raise ConfigError("stage drl: the network needs `head: {name: drl_reconstruction}`")
        rate = stage.settings.output_lr
        parts = {"head": 1.0, "head.classification_head": rate, "head.reconstruction_layer": rate}
        super().__init__(segmentor, spec, stage, parts, seed)

    def terms(self, images: Tensor, target: Tensor, extra: Tensor | None) -> dict[str, Tensor]:
        overlap = None if extra is None else extra.flatten(0, 1)
        images, target = flat_pairs(images, 4), self.subsample(flat_pairs(target, 3))
        given, frozen = self.extract(images)
        head = self.segmentor.head
        auxiliary, related, unrelated = head.disentangle(given.decoded)
        rebuilt, wanted = None, None
        if overlap is not None:
            rebuilt, wanted = self._rebuild(images, related, unrelated, overlap)
        return drl_terms(
            self.fit(frozen, target),
            self.fit(head.classification_head(related), target),
            self.fit(auxiliary, target),
            target,
            rebuilt,
            wanted,
            **self.options.model_dump(exclude={"output_lr"}),
        )

    def _rebuild(self, images: Tensor, related: Tensor, unrelated: Tensor, overlap: Tensor) -> tuple[Tensor, Tensor]:
        """Rebuilt and true overlaps, four per pair (r11, r12, r21, r22 → x1, x2, x1, x2), in [-1, 1]."""
        scale = images.shape[-1] / related.shape[-1]
        size = tuple(max(2, round(float((overlap[:, 2 + axis] - overlap[:, axis]).max()) / scale)) for axis in (0, 1))
        semantic = _overlaps(related, overlap, scale, size)
        free = _overlaps(unrelated, overlap, scale, size)
        pictures = ((images * self.std + self.mean) * 2.0 - 1.0).clamp(-1.0, 1.0)
        truth = _overlaps(pictures, overlap, 1.0, size)
        one, two = slice(0, None, 2), slice(1, None, 2)
        rebuilt = self.segmentor.head.reconstruct(
            torch.cat([semantic[one], semantic[one], semantic[two], semantic[two]]),
            torch.cat([free[one], free[two], free[one], free[two]]),
        )
        return rebuilt, torch.cat([truth[one], truth[two], truth[one], truth[two]])


def _overlaps(maps: Tensor, overlap: Tensor, scale: float, size: tuple[int, int]) -> Tensor:
    """The overlap of every view, mirrored back where the view was flipped, resized to `size`: `[N, C, *size]`."""
    parts = []
    for view, (top, left, bottom, right, flipped, _) in zip(maps, overlap.tolist(), strict=True):
        rows = slice(int(top / scale), max(int(top / scale) + 1, round(bottom / scale)))
        columns = slice(int(left / scale), max(int(left / scale) + 1, round(right / scale)))
        part = view[None, :, rows, columns]
        part = part.flip(-1) if flipped else part
        parts.append(F.interpolate(part.float(), size=size, mode="bilinear", align_corners=False))
    return torch.cat(parts)
