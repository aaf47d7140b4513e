"""Methods that have no head: a small last part of the inlier network is tuned, and the score is one of its logits."""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal

from torch import Tensor

from ...errors import ConfigError
from ...model_card import InputSpec
from ...networks.segmentor import HeadInput, Segmentor
from ..data_recipe import Strict
from ..stage_recipe import StageSpec
from .stage import Stage, flat_pairs

PARTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "AllMlp": (("classifier",), ("decoder.fuse", "decoder.norm", "classifier")),
    "DeepLab": (("classifier",), ("decoder.final", "classifier")),
    "DinoFpn": (("classifier",), ("decoder.heads", "classifier")),
    "EspNetV2Decoder": (("decoder.bu_dec_l4.merge_layer.3",), ("decoder.bu_dec_l4",)),
    "Fpn": (("classifier",), ("decoder.blocks", "classifier")),
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
        given = self.segmentor.extract(images)  # what is frozen before the tuned part makes no graph
        return self.logit_terms(self.fit(self.segmentor.classifier(given.decoded), target), target, given)

    @abstractmethod
    def logit_terms(self, logits: Tensor, target: Tensor, given: HeadInput) -> dict[str, Tensor]:
        """The terms from inlier logits `[B, K, H, W]` at the size of `target`."""
