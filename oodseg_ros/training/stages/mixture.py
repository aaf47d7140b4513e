"""Sinkhorn-EM of a mixture classifier beside a stage's gradients (Liang et al., GMMSeg, arXiv 2210.02025)."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as distributed
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from ...losses.masks import component_contrast
from ...networks.classifiers import FeatureMemory, GmmClassifier, assign, update
from ..data_recipe import Strict
from .stage import Stage


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


class MixtureEm:
    """EM of one mixture classifier, with its feature memory.

    In a distributed run every process has a memory of its own; means and deviations are averaged after each M step,
    and a checkpoint holds the memory of the first process.
    """

    def __init__(self, classifier: GmmClassifier, options: MixtureOptions) -> None:
        self._classifier = classifier
        self._options = options
        self._memory: FeatureMemory | None = None

    @property
    def memory(self) -> FeatureMemory:
        """Made at first use: gigabytes for the paper's sizes."""
        if self._memory is None:
            self._memory = FeatureMemory(self._classifier, self._options.memory, self._options.per_step)
        return self._memory

    def contrast(self, decoded: Tensor, target: Tensor) -> Tensor:
        """E step on features `[B, C, h, w]` with class ids `[B, H, W]` (255 = none); the weighted contrast, scalar."""
        labels = F.interpolate(target[:, None].float(), size=decoded.shape[-2:], mode="nearest")[:, 0].long()
        components = assign(self._classifier, self.memory, decoded, labels)
        rows = self._classifier.log_likelihoods(self._classifier.normalized(decoded)).flatten(1)
        return self._options.contrast_weight * component_contrast(rows, components)

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        """M step after the first of `step` optimiser steps and every `interval` from there, as in the reference."""
        if (step - 1) % self._options.interval:
            return
        update(self._classifier, self.memory)
        if distributed.is_available() and distributed.is_initialized():
            for values in (self._classifier.means, self._classifier.diagonal):
                distributed.all_reduce(values)
                values /= distributed.get_world_size()

    def state(self) -> dict[str, Tensor]:
        return {"features": self.memory.features, "next": self.memory.next}

    def load(self, state: dict[str, Tensor]) -> None:
        self.memory.features.copy_(state["features"])
        self.memory.next.copy_(state["next"])


class MixtureStage(Stage):
    """`em` is None until `use_em`; its memory is part of the checkpoints, its M step follows the optimiser step."""

    Options = MixtureOptions

    em: MixtureEm | None = None

    def use_em(self, classifier: GmmClassifier) -> None:
        self.em = MixtureEm(classifier, self.options)

    def optimizer_step(self, *arguments: Any, **named: Any) -> None:
        super().optimizer_step(*arguments, **named)
        if self.em is not None:
            self.em.after_step(self.global_step)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self.em is not None:
            checkpoint["mixture_memory"] = self.em.state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self.em is not None:
            self.em.load(checkpoint["mixture_memory"])
