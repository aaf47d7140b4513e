"""A bundle with another anomaly score than its own (a post-hoc one of its inlier logits, without the head), or with
several of them from one run of the network.
"""

from __future__ import annotations

from collections.abc import Sequence
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
        return f"{super().id}:{self.score}"

    def segmentor(self) -> Any:
        """As the bundle's own, with the other score and without the head."""
        segmentor = self.own.segmentor()
        segmentor.head = None
        segmentor.score_kind = self.score
        return segmentor

    def golden(self) -> dict[str, np.ndarray]:
        """The bundle's golden image with this score's answer."""
        labels, scores = _answer(self, self.own.golden()["image"])
        return {"image": self.own.golden()["image"], "labels": labels, "score": scores[0]}


@dataclass(frozen=True)
class SeveralScores(Bundle):
    """A `Bundle` whose network gives the scores of all `variants` in one run, in their order.

    The first may be the bundle's own; the others are post-hoc scores of the same logits.
    """

    variants: tuple[Bundle, ...] = ()

    @property
    def id(self) -> str:
        return "+".join([self.variants[0].id, *(variant.score for variant in self.variants[1:])])

    def segmentor(self) -> Any:
        """As the first variant's, with the others' scores behind its own."""
        segmentor = self.variants[0].segmentor()
        segmentor.also = tuple(variant.score for variant in self.variants[1:])
        return segmentor

    def golden(self) -> dict[str, np.ndarray]:
        """The golden image, with a score `[S, H, W]`: the first is the one that the first variant knows."""
        known = self.variants[0].golden()
        _, scores = _answer(self, known["image"])
        return known | {"score": np.concatenate([known["score"][None], scores[1:]])}


def _answer(bundle: Bundle, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels `[H, W]` and scores `[S, H, W]` of torch in FP32."""
    from ..inference.engines.torch import TorchEngine

    labels, scores = TorchEngine(bundle).compile(1, *image.shape[:2])(image[None])
    return labels[0], scores


def in_one_pass(variants: Sequence[Bundle]) -> list[tuple[Bundle, tuple[Bundle, ...]]]:
    """How often the network must run for all of these: pairs of what runs and the variants that it answers for.

    Variants of one bundle share a run; scores that change the image and run the network again (`scores.PERTURBING`)
    have one each.

    Args:
        variants: of any bundles, as `with_score` gives them.
    """
    groups: dict[tuple[str, str], list[Bundle]] = {}
    for variant in variants:
        own = variant.own if isinstance(variant, ScoreVariant) else variant
        alone = variant.card.network["score"] if variant.card.network["score"] in scores.PERTURBING else ""
        groups.setdefault((str(own.path), alone), []).append(variant)
    runs: list[tuple[Bundle, tuple[Bundle, ...]]] = []
    for group in groups.values():
        # The bundle's own score needs its head, so it leads.
        first, *rest = ordered = sorted(group, key=lambda variant: isinstance(variant, ScoreVariant))
        if not rest:
            runs.append((first, (first,)))
            continue
        network = {**first.card.network, "also": [variant.score for variant in rest]}
        card = first.card.model_copy(update={"network": network})
        runs.append((SeveralScores(first.path, card, first.labels, tuple(ordered)), tuple(ordered)))
    return runs


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
    # What is in doubt is told by the bundle's own score.
    calibration = bundle.card.calibration.model_copy(update={"second_look": None})
    network = {**bundle.card.network, "head": None, "score": score}
    card = bundle.card.model_copy(update={"network": network, "calibration": calibration})
    return ScoreVariant(bundle.path, card, bundle.labels, score, bundle)
