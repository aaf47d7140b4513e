"""What each training method can be told apart from its optimiser: one strict model per method, the paper's values."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .data_recipe import Strict

Scope = Literal["classifier", "block", "decoder"]
"""What of the inlier network learns: its last 1x1 convolution, the last block of the decoder with it, the decoder."""


class InlierOptions(Strict):
    """Stage `inlier`: nothing."""


class MixtureOptions(Strict):
    """Sinkhorn-EM of a mixture classifier.

    Attributes:
        contrast_weight: of the component contrast.
        interval: steps between updates of means and deviations (5 for a segmentor, 3 for an unknown head).
        memory: features kept per component (UEM 8000, GMMSeg 32000); 256 floats each.
        per_step: the most features that enter per component and step.
    """

    contrast_weight: float = Field(0.01, ge=0)
    interval: int = Field(5, ge=1)
    memory: int = Field(8000, ge=1)
    per_step: int = Field(20, ge=1)


class UemOptions(MixtureOptions):
    """Stage `uem`; the mixture's part only counts for heads of form G.

    Attributes:
        ce_weight: of the CE of U alone: 0 for D-D and G-D, 0.5 for G-G.
        small_weight: largest weight of pixels of small objects (`losses.llr.crowding`); 1 = all alike, as published.
    """

    interval: int = Field(3, ge=1)
    ce_weight: float = Field(0.0, ge=0)
    small_weight: float = Field(1.0, ge=1)


class JointOptions(Strict):
    """Stage `joint`: `ce_weight` and `small_weight` as in `uem`."""

    ce_weight: float = Field(0.0, ge=0)
    small_weight: float = Field(1.0, ge=1)


class RplOptions(Strict):
    """Stage `rpl`.

    Attributes:
        energy_weight: of the positive energy of unknowns.
        initialize: start the residual block from the trained ASPP where the head can.
        final_lr: factor on the rate of the residual's last convolution.
    """

    energy_weight: float = Field(0.05, ge=0)
    initialize: bool = True
    final_lr: float = Field(10.0, gt=0)


class CoroclOptions(RplOptions):
    """Stage `rpl_corocl`. `corocl_weight`, `temperature` and `samples` are those of the contrastive loss."""

    corocl_weight: float = Field(1.0, ge=0)
    temperature: float = Field(0.1, gt=0)
    samples: int = Field(512, ge=1)


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


class TunedOptions(Strict):
    """Methods without a head of their own: which part of the inlier network learns.

    `decoder` is for networks whose last block is too narrow to hold more than its classes (ESPNetv2: ten channels).
    Batch norm stays in eval mode.
    """

    scope: Scope = "classifier"


class OvrOptions(TunedOptions):
    """Stage `ovr_topk`: k and s of the loss (s is unpublished), the weight of the inliers' CE (unpublished), and the
    weight of a term that keeps their largest logit above zero (ours).
    """

    k: int = Field(5, ge=1)
    scale: float = Field(1.0, gt=0)
    ce_weight: float = Field(1.0, ge=0)
    inlier_weight: float = Field(0.0, ge=0)


class DrlOptions(Strict):
    """Stage `drl`: weights of the reconstruction's terms, all ours; rate factor of classifier and rebuilding layers."""

    auxiliary_weight: float = Field(0.4, ge=0)
    discrepancy_weight: float = Field(1.0, ge=0)
    reconstruction_weight: float = Field(1.0, ge=0)
    output_lr: float = Field(10.0, gt=0)


class PebalOptions(TunedOptions):
    """Stage `pebal`: margins of the energies, weights, and whether an abstention output is trained beside."""

    scope: Scope = "block"
    inlier_energy: float = -12.0
    outlier_energy: float = -6.0
    energy_weight: float = Field(0.02, ge=0)
    smoothness: float = Field(3e-6, ge=0)
    sparsity: float = Field(5e-4, ge=0)
    abstention: bool = True


class EntropyOptions(TunedOptions):
    """Stage `entropy_max`: weight of the unknowns against the inliers."""

    scope: Scope = "block"
    balance: float = Field(0.9, ge=0, le=1)


class ExposureOptions(TunedOptions):
    """Stage `outlier_exposure`: weight of the unknowns."""

    scope: Scope = "block"
    weight: float = Field(0.5, ge=0)


OPTIONS: dict[str, type[Strict]] = {
    "inlier": InlierOptions,
    "inlier_gmm": MixtureOptions,
    "joint": JointOptions,
    "uem": UemOptions,
    "rpl": RplOptions,
    "rpl_corocl": CoroclOptions,
    "two_stage_a": TwoStageOptions,
    "two_stage_b": TwoStageOptions,
    "ovr_topk": OvrOptions,
    "drl": DrlOptions,
    "pebal": PebalOptions,
    "entropy_max": EntropyOptions,
    "outlier_exposure": ExposureOptions,
}
"""By the name of the method, as in `stages.STAGES`."""
