"""Two-stage noise-aware training of a learnable uncertainty (arXiv 2411.03829), with Mask2Former's own losses."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from ...errors import ConfigError
from ...losses.relative_contrastive import relative_contrastive_terms
from ...model_card import InputSpec
from ...networks.heads.two_stage import LearnableBlock, LearnableUncertainty, QueryUncertainty
from ...networks.segmentor import HeadInput, Segmentor
from ..data_recipe import Strict
from ..methods import StageSpec
from .stage import Stage


def shifted(images: Tensor, generator: torch.Generator) -> Tensor:
    """`[B, 3, H, W]` → `[2B, 3, H, W]`: the images, then each of them with another gain, contrast, cast, haze, blur.

    `generator` is of the CPU. Normalised images in and out, nothing is clipped.
    """
    count = len(images)

    def uniform(low: float, high: float, channels: int = 1) -> Tensor:
        values = torch.rand(count, channels, 1, 1, generator=generator) * (high - low) + low
        return values.to(images.device)

    mean = images.mean(dim=(2, 3), keepdim=True)
    changed = (images - mean) * uniform(0.5, 1.4) + mean * uniform(0.6, 1.2)
    changed = changed * uniform(0.8, 1.2, 3) + uniform(-0.7, 0.5)
    haze = uniform(-0.4, 0.6).clamp(min=0.0)  # none in two of five images
    changed = changed * (1 - haze) + haze
    blurred = F.avg_pool2d(changed, 3, stride=1, padding=1, count_include_pad=False)
    sharp = uniform(0.0, 1.0) < 0.6
    return torch.cat([images, torch.where(sharp, changed, blurred)])


WEIGHTS = {"loss_cross_entropy": 5.0, "loss_mask": 10.0, "loss_dice": 10.0}
"""Of the two-stage method's second stage (β1 = β2 = 10)."""
NO_OBJECT = 0.1


def mask_terms(segmentor: Segmentor, given: HeadInput, target: Tensor) -> dict[str, Tensor]:
    """Weighted `class`, `mask` and `dice`, scalars, over the segments of the known classes in `target` `[B, H, W]`."""
    from transformers.models.mask2former.modeling_mask2former import Mask2FormerLoss

    queries, masks = given.decoded
    config = segmentor.backbone.model.config
    config.num_labels, config.no_object_weight = segmentor.classes, NO_OBJECT
    criterion = Mask2FormerLoss(config, WEIGHTS).to(masks.device)
    segments, classes = zip(*(_segments(picture, segmentor.classes) for picture in target), strict=True)
    losses: dict[str, Any] = criterion(
        masks, segmentor.classifier.class_predictor(queries), list(segments), list(classes)
    )
    names = {"loss_cross_entropy": "class", "loss_mask": "mask", "loss_dice": "dice"}
    return {name: WEIGHTS[key] * losses[key] for key, name in names.items()}


def _segments(target: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Masks float `[n, H, W]` and ids `[n]` of the classes in one picture."""
    present = target.unique()
    present = present[present < classes].long()
    return (target[None] == present[:, None, None]).float(), present


HEADS = (LearnableUncertainty, LearnableBlock, QueryUncertainty)
SECOND_STAGE = {
    "DeepLab": ("decoder.aspp", "decoder.bot_fine", "decoder.bot_aspp"),
    "NoDecoder": ("backbone.model.pixel_level_module.decoder", "backbone.model.transformer_module", "classifier"),
}
"""Decoder → what stage b trains beside the head. DeepLabV3+'s last block is not trained, as in the released code."""


class TwoStageOptions(Strict):
    """Stages `two_stage_a` and `two_stage_b`.

    Attributes:
        margins: λ1, λ2, λ3; 10, 5, 5 for energies, 0.7, 0.5, 0.2 on Mask2Former.
        ce_weights: β1, β2; 50, 10 on DeepLabV3+, 0, 0 on Mask2Former.
        selection: share of the generated images' pixels that is trusted.
        sign: of λ3, as in the released code or as in the paper.
        select_contrast: the selection reaches the contrasted inliers too (the released code: no).
        initialize: stage a: the head starts as the inlier classifier.
        trained: stage b: parts of the network beside the head; empty = the decoder's context path on DeepLabV3+, all
            but the encoder on Mask2Former, else the decoder.
        mask_losses: stage b on Mask2Former: its own class, mask and dice losses beside the contrast.
    """

    margins: tuple[float, float, float] = (10.0, 5.0, 5.0)
    ce_weights: tuple[float, float] = (50.0, 10.0)
    selection: float = Field(0.8, gt=0, le=1)
    sign: Literal["code", "paper"] = "code"
    select_contrast: bool = False
    initialize: bool = True
    trained: list[str] = Field(default_factory=list)
    mask_losses: bool = False


class TwoStageA(Stage):
    """Only the uncertainty learns, so inlier logits stay bit-identical.

    Batches are pairs of an original and its generated image. With plain batches the second image is the first in other
    weather and light (`shifted`): that teaches less than generated scenes, and needs none.

    The released code puts the frozen network into train mode (batch norm and dropout active); this does not.
    """

    Options = TwoStageOptions

    def __init__(self, segmentor: Segmentor, spec: InputSpec, stage: StageSpec, seed: int = 0) -> None:
        """Raises ConfigError for a network without a learnable uncertainty."""
        _check(segmentor, stage)
        super().__init__(segmentor, spec, stage, {"head": 1.0}, seed, train_mode=())
        if self.options.initialize:
            head = segmentor.head
            head.initialize_from(segmentor.decoder if isinstance(head, LearnableBlock) else segmentor.classifier)

    def see(self, images: Tensor) -> tuple[HeadInput, Tensor]:
        """What the network sees and its logits."""
        return self.extract(images)

    def terms(self, images: Tensor, target: Tensor, extra: Tensor | None) -> dict[str, Tensor]:
        if images.dim() == 5:
            images, target = images.transpose(0, 1).flatten(0, 1), target.transpose(0, 1).flatten(0, 1)
        else:
            images, target = shifted(images, self.draw()), target.repeat(2, 1, 1)
        small = self.subsample(target)
        given, logits = self.see(images)
        terms = relative_contrastive_terms(
            self.fit(logits, small),
            self.fit(uncertainty(self.segmentor, given), small)[:, 0],
            small,
            **self.options.model_dump(exclude={"initialize", "trained", "mask_losses"}),
            generator=self.draw(),
        )
        return terms | self.further_terms(given, target)

    def further_terms(self, given: HeadInput, target: Tensor) -> dict[str, Tensor]:
        """What stage b adds on Mask2Former."""
        return {}


class TwoStageB(TwoStageA):
    """The uncertainty and a part of the network learn together, slowly; the inlier logits move.

    Batch norm and dropout stay in eval mode.
    """

    def __init__(self, segmentor: Segmentor, spec: InputSpec, stage: StageSpec, seed: int = 0) -> None:
        """Raises ConfigError for a network without a learnable uncertainty."""
        _check(segmentor, stage)
        parts = stage.settings.trained or SECOND_STAGE.get(type(segmentor.decoder).__name__, ("decoder",))
        trained = dict.fromkeys((*parts, "head"), 1.0)
        Stage.__init__(self, segmentor, spec, stage, trained, seed, train_mode=())
        if self.options.mask_losses and not isinstance(segmentor.head, QueryUncertainty):
            raise ConfigError("stage two_stage_b: mask_losses are for Mask2Former alone")

    def see(self, images: Tensor) -> tuple[HeadInput, Tensor]:
        given = self.segmentor.extract(images, features=self.features(images))
        return given, self.segmentor.classifier(given.decoded)

    def further_terms(self, given: HeadInput, target: Tensor) -> dict[str, Tensor]:
        return mask_terms(self.segmentor, given, target) if self.options.mask_losses else {}


def uncertainty(segmentor: Segmentor, given: HeadInput) -> Tensor:
    """u float32 `[B, 1, h, w]` at the resolution that the head works at."""
    head = segmentor.head
    if isinstance(head, QueryUncertainty):
        return -head.evidence(given).amax(dim=1, keepdim=True)
    return head(given.merged if isinstance(head, LearnableBlock) else given.decoded)


def _check(segmentor: Segmentor, stage: StageSpec) -> None:
    if not isinstance(segmentor.head, HEADS):
        raise ConfigError(
            f"stage {stage.method}: the network needs `head: learnable_uncertainty`, `learnable_block` or "
            "`query_uncertainty`"
        )
