"""The golden frame for engines that were built for one image size: what must come out at that size is stored beside
the engine.

The golden frame of a bundle has a size of its own. It is stretched to the engine's; the answer of torch in FP32 is kept
on a coarse grid, and a build records how far its engine was from that. At load the engine may be twice as far, because
another CPU or driver adds in another order.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ..bundle import Bundle
from ..errors import EngineError

STEP = 8
"""Every how many rows and columns an answer is kept: 130 KB for a Full HD image."""
MARGIN, LEAST = 2.0, 1e-3
"""How much farther than at its build an engine may be from FP32, and the least distance that is allowed."""
LABELS_MARGIN = 0.01


@dataclass(frozen=True)
class Distance:
    """An answer against FP32 on the golden frame: largest |Δscore| (nan if not finite), share of equal labels."""

    max_abs_delta: float
    label_agreement: float


def stretched(bundle: Bundle, height: int, width: int) -> np.ndarray:
    """The golden image at another size, RGB uint8 `[H, W, 3]`."""
    return cv2.resize(bundle.golden()["image"], (width, height), interpolation=cv2.INTER_LINEAR)


def keep_answer(path: Path, labels: np.ndarray, score: np.ndarray) -> None:
    """Store what FP32 says of the stretched image (labels uint8, score float32, `[H, W]`) as `.npz`, on the grid."""
    with path.open("wb") as stream:
        np.savez_compressed(stream, labels=labels[::STEP, ::STEP], score=score[::STEP, ::STEP])


def distance(path: Path, labels: np.ndarray, score: np.ndarray) -> Distance:
    """How far an engine's answer is from the stored one.

    Raises:
        EngineError: the stored answer is of another size.
    """
    with np.load(path, allow_pickle=False) as data:
        wanted_labels, wanted_score = data["labels"], data["score"]
    labels, score = labels[::STEP, ::STEP], score[::STEP, ::STEP]
    if score.shape != wanted_score.shape:
        raise EngineError(f"{path} belongs to another image size than the engine beside it; build it again")
    delta = np.abs(score - wanted_score)
    finite = np.isfinite(delta)
    return Distance(
        float(delta.max()) if finite.all() else float("nan"),
        float((labels == wanted_labels).mean()),
    )


def check(found: Distance, built: Distance, identity: str, command: str, rounding: float = 0.0) -> float:
    """Compare with what was recorded at the build; returns the largest |Δscore|.

    `rounding`: what the score lost after the engine, on its way to the host.

    Raises:
        EngineError: the engine does not answer here as it did when it was accepted.
    """
    allowed = max(LEAST, MARGIN * built.max_abs_delta) + rounding
    least = built.label_agreement - LABELS_MARGIN
    if not found.max_abs_delta <= allowed or not found.label_agreement >= least:
        raise EngineError(
            f"{identity} does not answer as it did when it was accepted: on the golden frame max |Δscore| is "
            f"{found.max_abs_delta:.3g} (allowed {allowed:.3g}), labels agree on {found.label_agreement:.2%} "
            f"(at least {least:.2%}); build it again on this machine: {command}"
        )
    return found.max_abs_delta
