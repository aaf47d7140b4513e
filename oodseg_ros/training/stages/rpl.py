"""Residual pattern learning (RPL, arXiv 2211.14512), alone and with context-robust contrast (RPL + CoroCL)."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from ...errors import ConfigError
from ...losses.rpl import corocl_loss, rpl_terms
from ...model_card import InputSpec
from ...networks.heads.residual import ResidualFeature, ResidualPattern
from ...networks.segmentor import HeadInput, Segmentor
from ..data_recipe import Strict
from ..methods import StageSpec
from .stage import Stage, flat_pairs


class RplOptions(Strict):
    """Stage `rpl`.

    Attributes:
        energy_weight: of the positive energy of unknowns.
        initialize: start the residual block from the trained ASPP where the head can.
        final_lr: factor on the rate of the residual's last convolution.
        small_weight: largest weight of pixels of small unknowns in that energy; 1 = all alike, as published.
    """

    energy_weight: float = Field(0.05, ge=0)
    initialize: bool = True
    final_lr: float = Field(10.0, gt=0)
    small_weight: float = Field(1.0, ge=1)


class RplStage(Stage):
    """The residual block learns, in train mode; everything else is frozen, so inlier logits stay bit-identical."""

    Options = RplOptions

    def __init__(self, segmentor: Segmentor, spec: InputSpec, stage: StageSpec, seed: int = 0) -> None:
        """Raises ConfigError for a network without a residual head."""
        if not isinstance(segmentor.head, (ResidualPattern, ResidualFeature)):
            raise ConfigError(f"stage {stage.method}: the network needs `head: residual_pattern` or `residual_feature`")
        options = stage.settings
        super().__init__(segmentor, spec, stage, {"head": 1.0, "head.final": options.final_lr}, seed)
        if options.initialize and hasattr(segmentor.head, "initialize_from"):
            segmentor.head.initialize_from(segmentor.decoder)

    def terms(self, images: Tensor, target: Tensor, extra: Tensor | None) -> dict[str, Tensor]:
        images, target = flat_pairs(images, 4), self.subsample(flat_pairs(target, 3))
        given, logits = self.extract(images)
        residual = self.fit(self.segmentor.head.second_logits(given, logits=logits), target)
        return self.rpl_terms(residual, self.fit(logits, target), target)

    def rpl_terms(self, residual: Tensor, logits: Tensor, target: Tensor) -> dict[str, Tensor]:
        weights = self.options.model_dump(include={"energy_weight", "small_weight"})
        return rpl_terms(residual, logits, target, **weights)


class CoroclOptions(RplOptions):
    """Stage `rpl_corocl`. `corocl_weight`, `temperature` and `samples` are those of the contrastive loss."""

    corocl_weight: float = Field(1.0, ge=0)
    temperature: float = Field(0.1, gt=0)
    samples: int = Field(512, ge=1)


class RplCoroclStage(RplStage):
    """As RPL, and the embeddings of unknowns agree between driving images and their original context.

    Batches are pairs: a driving image, and the picture that the pasted object came from (`outliers.context: true`).
    With plain batches the two halves of a batch serve as each other's context.
    """

    Options = CoroclOptions

    def __init__(self, segmentor: Segmentor, spec: InputSpec, stage: StageSpec, seed: int = 0) -> None:
        """Raises ConfigError for a head without a projector."""
        super().__init__(segmentor, spec, stage, seed)
        if segmentor.head.projector is None:
            raise ConfigError("stage rpl_corocl: the head needs its projector (`projector:` in the network's head)")

    def terms(self, images: Tensor, target: Tensor, extra: Tensor | None) -> dict[str, Tensor]:
        pairs = images.dim() == 5
        if pairs:  # driving images first, their contexts behind
            images, target = images.transpose(0, 1).flatten(0, 1), target.transpose(0, 1).flatten(0, 1)
        half = (len(images) + 1) // 2
        driving = half if pairs else len(images)  # RPL's own terms are of driving images alone
        head, options = self.segmentor.head, self.options
        given, logits = self.extract(images)
        context = head.context(given.features)
        small = self.subsample(target[:driving])
        residual = self.fit(
            head.second_logits(first_images(given, driving), context[:driving], logits[:driving]), small
        )
        terms = self.rpl_terms(residual, self.fit(logits[:driving], small), small)
        embeddings = head.project(context, given.features[0].shape[-2:])
        terms["corocl"] = options.corocl_weight * corocl_loss(
            embeddings[:half],
            target[:half],
            embeddings[half:],
            target[half:],
            temperature=options.temperature,
            samples=options.samples,
            generator=self.draw(),
        )
        return terms


def first_images(given: HeadInput, count: int) -> HeadInput:
    """The part of `given` that belongs to the first `count` images."""
    return given._replace(
        images=given.images[:count],
        features=[feature[:count] for feature in given.features],
        merged=None if given.merged is None else given.merged[:count],
        decoded=given.decoded[:count],
    )
