"""Baseline: PEBAL-style energy margins with abstention (arXiv 2111.12264)."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor, nn

from ...losses.pebal import pebal_terms
from ...model_card import InputSpec
from ...networks.segmentor import HeadInput, Segmentor
from ..stage_recipe import StageSpec
from .stage import IDS
from .tuned import Scope, TunedOptions, TunedStage


class PebalOptions(TunedOptions):
    """Stage `pebal`: margins of the energies, weights, and whether an abstention output is trained beside."""

    scope: Scope = "block"
    inlier_energy: float = -12.0
    outlier_energy: float = -6.0
    energy_weight: float = Field(0.02, ge=0)
    smoothness: float = Field(3e-6, ge=0)
    sparsity: float = Field(5e-4, ge=0)
    abstention: bool = True


class PebalStage(TunedStage):
    """Score with `energy`. The abstention output (a 1x1 on what the classifier reads) exists in training only."""

    Options = PebalOptions

    def __init__(self, segmentor: Segmentor, spec: InputSpec, stage: StageSpec, seed: int = 0) -> None:
        super().__init__(segmentor, spec, stage, seed)
        self.abstention = nn.Conv2d(segmentor.decoder.channels, 1, 1) if self.options.abstention else None

    def logit_terms(self, logits: Tensor, target: Tensor, given: HeadInput) -> dict[str, Tensor]:
        options = self.options
        abstention = None if self.abstention is None else self.fit(self.abstention(given.decoded), target)
        return pebal_terms(
            logits,
            target,
            abstention,
            inlier_energy=options.inlier_energy,
            outlier_energy=options.outlier_energy,
            energy_weight=options.energy_weight,
            smoothness=options.smoothness,
            sparsity=options.sparsity,
            **IDS,
        )
