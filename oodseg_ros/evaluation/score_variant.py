"""A bundle with another anomaly score than its own: a post-hoc one of its inlier logits, without the head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import scores
from ..bundle import Bundle
from ..errors import BundleError


@dataclass(frozen=True)
class ScoreVariant(Bundle):
    """A `Bundle` whose network gives the score `score`; weights and labels are those of the bundle `own`.

    Its card says so, because what engines keep for a network is kept under its description. Its golden frame is made
    anew in FP32 by torch, so that every other engine is still held against a known answer.
    """

    score: str = ""
    own: Bundle | None = None

    @property
    def id(self) -> str:
        """The bundle's id and the score."""
        return f"{super().id}:{self.score}"

    def segmentor(self) -> Any:
        """As the bundle's own, with the other score and without the head."""
        segmentor = self.own.segmentor()
        segmentor.head = None
        segmentor.score_kind = self.score
        return segmentor

    def golden(self) -> dict[str, np.ndarray]:
        """The bundle's golden image with this score's answer."""
        from ..inference.engines.torch import TorchEngine

        image = self.own.golden()["image"]
        labels, score = TorchEngine(self).compile(1, *image.shape[:2])(image[None])
        return {"image": image, "labels": labels[0], "score": score[0]}


def with_score(bundle: Bundle, score: str | None) -> Bundle:
    """The bundle itself for None or its own score, else its variant.

    Raises:
        BundleError: there is no such score.
    """
    own = bundle.card.network.get("score")
    if score is None or score == own:
        return bundle
    known = sorted({*scores.POST_HOC, *scores.PERTURBING})
    if score not in known:
        raise BundleError(f"bundle {bundle.path} gives the score {own}, or one of {', '.join(known)}; not {score!r}")
    card = bundle.card.model_copy(update={"network": {**bundle.card.network, "head": None, "score": score}})
    return ScoreVariant(bundle.path, card, bundle.labels, score, bundle)
