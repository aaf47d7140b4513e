"""Stages that train a mixture classifier by EM beside their gradients."""

from __future__ import annotations

from typing import Any

from ...networks.classifiers.gmm import GmmClassifier
from .mixture_em import MixtureEm
from .stage import Stage


class MixtureStage(Stage):
    """`em` is None until `use_em`; its memory is part of the checkpoints, its M step follows the optimiser step."""

    em: MixtureEm | None = None

    def use_em(self, classifier: GmmClassifier) -> None:
        """Train `classifier` by EM with this stage's options."""
        self.em = MixtureEm(classifier, self.options)

    def optimizer_step(self, *arguments: Any, **named: Any) -> None:
        """As Lightning's, then the M step."""
        super().optimizer_step(*arguments, **named)
        if self.em is not None:
            self.em.after_step(self.global_step)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The feature memory goes into the checkpoint."""
        if self.em is not None:
            checkpoint["mixture_memory"] = self.em.state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """And comes back from it."""
        if self.em is not None:
            self.em.load(checkpoint["mixture_memory"])
