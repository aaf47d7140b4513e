"""Methods that have no head: a small last part of the inlier network is tuned, and the score is one of its logits.

Outlier exposure (arXiv 1812.04606), entropy maximisation (arXiv 2012.06575), top-k one-vs-rest (arXiv 2308.09965) and
PEBAL-style energy margins with abstention (arXiv 2111.12264).
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from ...errors import ConfigError
from ...losses.exposure import entropy_max_terms, outlier_exposure_terms, ovr_topk_terms
from ...losses.pebal import pebal_terms
from ...model_card import InputSpec
from ...networks.segmentor import HeadInput, Segmentor
from ..data_recipe import Strict
from ..methods import StageSpec
from .stage import Stage, flat_pairs

PARTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "AllMlp": (("classifier",), ("decoder.fuse", "decoder.norm", "classifier")),
    "ContextFpn": (("classifier",), ("decoder.refine_finest", "classifier")),
    "DeepLab": (("classifier",), ("decoder.final", "classifier")),
    "DinoFpn": (("classifier",), ("decoder.heads", "classifier")),
    "EspNetV2Decoder": (("decoder.bu_dec_l4.merge_layer.3",), ("decoder.bu_dec_l4",)),
    "Fpn": (("classifier",), ("decoder.blocks", "classifier")),
    "LightFpn": (("classifier",), ("decoder.project", "decoder.refine_detail", "classifier")),
    "Ladder": (("classifier",), ("decoder.blends.0", "classifier")),
}
"""Decoder → parts of scope `classifier`, parts of scope `block`."""


Scope = Literal["classifier", "block", "decoder"]
"""What of the inlier network learns: its last 1x1 convolution, the last block of the decoder with it, the decoder."""


class TunedOptions(Strict):
    """Methods without a head of their own: which part of the inlier network learns.

    `decoder` is for networks whose last block is too narrow to hold more than its classes (ESPNetv2: ten channels).
    Batch norm stays in eval mode.
    """

    scope: Scope = "classifier"


class TunedStage(Stage):
    """A last part of the inlier network learns; batch norm stays in eval mode, the rest is frozen.

    The inlier logits move with it: these methods do not promise the inlier accuracy of their start.
    """

    Options = TunedOptions

    def __init__(self, segmentor: Segmentor, spec: InputSpec, stage: StageSpec, seed: int = 0) -> None:
        """Raises ConfigError for a decoder without a known last block."""
        name = type(segmentor.decoder).__name__
        if name not in PARTS:
            raise ConfigError(f"stage {stage.method}: it is not known which part of decoder {name} comes last")
        scope = stage.settings.scope
        parts = ("decoder", "classifier") if scope == "decoder" else PARTS[name][scope == "block"]
        super().__init__(segmentor, spec, stage, dict.fromkeys(parts, 1.0), seed, train_mode=())

    def terms(self, images: Tensor, target: Tensor, extra: Tensor | None) -> dict[str, Tensor]:
        images, target = flat_pairs(images, 4), self.subsample(flat_pairs(target, 3))
        given = self.segmentor.extract(images, features=self.features(images))
        return self.logit_terms(self.fit(self.segmentor.classifier(given.decoded), target), target, given)

    @abstractmethod
    def logit_terms(self, logits: Tensor, target: Tensor, given: HeadInput) -> dict[str, Tensor]:
        """The terms from inlier logits `[B, K, H, W]` at the size of `target`."""


class ExposureOptions(TunedOptions):
    """Stage `outlier_exposure`: weight of the unknowns."""

    scope: Scope = "block"
    weight: float = Field(0.5, ge=0)


class OutlierExposureStage(TunedStage):
    """Score with `max_softmax`."""

    Options = ExposureOptions

    def logit_terms(self, logits: Tensor, target: Tensor, given: HeadInput) -> dict[str, Tensor]:
        return outlier_exposure_terms(logits, target, weight=self.options.weight)


class EntropyOptions(TunedOptions):
    """Stage `entropy_max`: weight of the unknowns against the inliers."""

    scope: Scope = "block"
    balance: float = Field(0.9, ge=0, le=1)


class EntropyMaxStage(TunedStage):
    """Score with `entropy`."""

    Options = EntropyOptions

    def logit_terms(self, logits: Tensor, target: Tensor, given: HeadInput) -> dict[str, Tensor]:
        return entropy_max_terms(logits, target, balance=self.options.balance)


class OvrOptions(TunedOptions):
    """Stage `ovr_topk`: k and s of the loss (s is unpublished), the weight of the inliers' CE (unpublished), and the
    weight of a term that keeps their largest logit above zero (ours).
    """

    k: int = Field(5, ge=1)
    scale: float = Field(1.0, gt=0)
    ce_weight: float = Field(1.0, ge=0)
    inlier_weight: float = Field(0.0, ge=0)


class OvrTopkStage(TunedStage):
    """Pushes the k largest logits of unknowns down; score with `energy`, `max_logit` or `max_min_logit`."""

    Options = OvrOptions

    def logit_terms(self, logits: Tensor, target: Tensor, given: HeadInput) -> dict[str, Tensor]:
        return ovr_topk_terms(logits, target, **self.options.model_dump(exclude={"scope"}))


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
        abstention = None if self.abstention is None else self.fit(self.abstention(given.decoded), target)
        return pebal_terms(logits, target, abstention, **self.options.model_dump(exclude={"scope", "abstention"}))
