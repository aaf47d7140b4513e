"""Residual pattern learning (RPL, arXiv 2211.14512)."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from ...errors import ConfigError
from ...losses.rpl import rpl_terms
from ...model_card import InputSpec
from ...networks.heads.residual import ResidualFeature, ResidualPattern
from ...networks.segmentor import Segmentor
from ..data_recipe import Strict
from ..stage_recipe import StageSpec
from .stage import IDS, Stage, flat_pairs


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
        residual = self.fit(self.segmentor.head.second_logits(given), target)
        return self.rpl_terms(residual, self.fit(logits, target), target)

    def rpl_terms(self, residual: Tensor, logits: Tensor, target: Tensor) -> dict[str, Tensor]:
        """RPL's three terms with this stage's weight."""
        options = self.options
        weights = {"energy_weight": options.energy_weight, "small_weight": options.small_weight}
        return rpl_terms(residual, logits, target, **weights, **IDS)
