"""The part of an answer that the checks look at: enough pixels to tell a distribution, few enough to cost nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SAMPLE = 8192


@dataclass(frozen=True)
class Reading:
    """What the network answered.

    Attributes:
        finite: no score outside the ego mask is NaN or infinite.
        scores: float32 `[n]`, finite ones of judged pixels; about 8000 of them, spread evenly.
        labels: uint8 `[n]`, the classes of the same pixels.
    """

    finite: bool
    scores: np.ndarray
    labels: np.ndarray


def read(score: np.ndarray, labels: np.ndarray, finite: bool) -> Reading:
    """Sample an answer: float32 `[H, W]` (NaN = not judged) and uint8 `[H, W]`."""
    step = max(1, round((score.size / SAMPLE) ** 0.5))
    scores, classes = score[::step, ::step], labels[::step, ::step]
    judged = np.isfinite(scores)
    return Reading(finite, scores[judged], classes[judged])
