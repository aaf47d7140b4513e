"""Two-stage noise-aware training of a learnable uncertainty ("Generalize or Detect?", arXiv 2411.03829)."""

from __future__ import annotations

from torch import Tensor

from ...errors import ConfigError
from ...losses.relative_contrastive import relative_contrastive_terms
from ...model_card import InputSpec
from ...networks.heads.learnable_block import LearnableBlock
from ...networks.heads.learnable_uncertainty import LearnableUncertainty
from ...networks.heads.query_uncertainty import QueryUncertainty
from ...networks.segmentor import HeadInput, Segmentor
from ..stage_recipe import StageSpec
from .appearance import shifted
from .mask_losses import mask_terms
from .stage import IDS, Stage

HEADS = (LearnableUncertainty, LearnableBlock, QueryUncertainty)
SECOND_STAGE = {
    "DeepLab": ("decoder.aspp", "decoder.bot_fine", "decoder.bot_aspp"),
    "NoDecoder": ("backbone.model.pixel_level_module.decoder", "backbone.model.transformer_module", "classifier"),
}
"""Decoder → what stage b trains beside the head. DeepLabV3+'s last block is not trained, as in the released code."""


class TwoStageA(Stage):
    """Only the uncertainty learns, so inlier logits stay bit-identical.

    Batches are pairs of an original and its generated image. With plain batches the second image is the first in other
    weather and light (`appearance`): that teaches less than generated scenes, and needs none.

    The released code puts the frozen network into train mode (batch norm and dropout active); this does not.
    """

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
        small, options = self.subsample(target), self.options
        given, logits = self.see(images)
        terms = relative_contrastive_terms(
            self.fit(logits, small),
            self.fit(uncertainty(self.segmentor, given), small)[:, 0],
            small,
            margins=options.margins,
            ce_weights=options.ce_weights,
            selection=options.selection,
            sign=options.sign,
            select_contrast=options.select_contrast,
            generator=self.draw(),
            **IDS,
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
        given = self.segmentor.extract(images)
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
