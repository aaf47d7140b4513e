"""Sinkhorn-EM while a network trains: the E step in every batch, the M step between optimiser steps."""

from __future__ import annotations

import torch
import torch.distributed as distributed
import torch.nn.functional as F
from torch import Tensor

from ...losses.gmm import component_contrast
from ...networks.classifiers.gmm import GmmClassifier
from ...networks.classifiers.gmm_em import FeatureMemory, assign, update
from ..options import MixtureOptions


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
        """The memory as tensors, for a checkpoint."""
        return {"features": self.memory.features, "next": self.memory.next}

    def load(self, state: dict[str, Tensor]) -> None:
        """Put a checkpoint's memory back."""
        self.memory.features.copy_(state["features"])
        self.memory.next.copy_(state["next"])
