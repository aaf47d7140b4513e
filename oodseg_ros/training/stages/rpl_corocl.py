"""RPL with context-robust contrastive learning (RPL + CoroCL, arXiv 2211.14512)."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from ...errors import ConfigError
from ...losses.rpl import corocl_loss
from ...model_card import InputSpec
from ...networks.segmentor import HeadInput, Segmentor
from ..stage_recipe import StageSpec
from .rpl import RplOptions, RplStage
from .stage import IDS


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
        residual = self.fit(head.second_logits(first_images(given, driving), context[:driving]), small)
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
            **IDS,
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
