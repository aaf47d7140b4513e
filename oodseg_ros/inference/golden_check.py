"""The golden frame: does an engine answer as the bundle says, and as it did when it was accepted?

Engines in FP32 answer the bundle's own golden frame. Engines that were built for one image size are asked at that size:
the golden image is stretched to it, the answer of torch in FP32 is kept on a coarse grid beside the engine, and the
build records how far its engine was from that. At load the engine may be twice as far, because another CPU or driver
adds in another order.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ..bundle import Bundle
from ..errors import EngineError
from .engine import Run
from .engine_cache import EngineIdentity, StoredEngine
from .sizes import graph_size

ANSWER = ".golden.npz"
"""Suffix of the file with FP32's answer to the golden frame."""
STEP = 8
"""Every how many rows and columns an answer is kept: 130 KB for a Full HD image."""
MARGIN, MIN_DISTANCE = 2.0, 1e-3
"""How much farther than at its build an engine may be from FP32, and a distance that is always allowed."""
LABELS_MARGIN = 0.01
FP32_LABELS_AGREE = 0.999
ROUNDED_SHARE = 0.1
"""Of what the score spreads: what a golden frame of another size than the graph's may differ besides."""


@dataclass(frozen=True)
class Distance:
    """An answer against FP32 on the golden frame: largest |Δscore| (nan if not finite), share of equal labels."""

    max_abs_delta: float
    label_agreement: float


def check_exact(bundle: Bundle, run: Run, identity: str, tolerance: float) -> float:
    """Largest |Δscore| on the bundle's own golden frame of an engine in FP32; `run` takes one image of its size.

    Raises:
        EngineError: it is above `tolerance`, or labels differ.
    """
    golden = bundle.golden()
    height, width = golden["labels"].shape
    if graph_size(height, width, bundle.card.input) != (height, width):
        # Older versions resized pictures in float; uint8 rounds them.
        tolerance += float(ROUNDED_SHARE * np.nanstd(golden["score"]))
    labels, score = run(golden["image"][None])
    # A bundle of several scores has as many planes in both.
    error = float(np.abs(score - golden["score"]).max())
    agreement = float((labels[0] == golden["labels"]).mean())
    if not error <= tolerance or agreement < FP32_LABELS_AGREE:
        raise EngineError(
            f"{identity} does not reproduce the golden frame of {bundle.id}: max |Δscore| {error:.3g} (allowed "
            f"{tolerance:g}), labels agree on {agreement:.2%}; use engine: torch and report this"
        )
    return error


def stretched(bundle: Bundle, height: int, width: int) -> np.ndarray:
    """The golden image at another size, RGB uint8 `[H, W, 3]`."""
    return cv2.resize(bundle.golden()["image"], (width, height), interpolation=cv2.INTER_LINEAR)


def golden_images(bundle: Bundle, wanted: EngineIdentity) -> np.ndarray:
    """The golden frame at an engine's size and batch, uint8 `[B, H, W, 3]`."""
    return np.stack([stretched(bundle, wanted.height, wanted.width)] * wanted.batch)


def store_answer(path: Path, labels: np.ndarray, score: np.ndarray) -> None:
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


def verified(bundle: Bundle, engine: StoredEngine, run: Run, score_type: str = "fp32") -> float:
    """Largest |Δscore| on the golden frame of what `run` (this engine, loaded) answers now.

    `score_type`: in which type the score comes to the host; fp16 rounds it, which a build does not.

    Raises:
        EngineError: it is not as near to FP32 as when it was accepted.
    """
    side = engine.side
    labels, score = run(golden_images(bundle, side.identity))
    found = distance(engine.path(ANSWER), labels[-1], score[-1])
    built = Distance(**(side.golden or {"max_abs_delta": 0.0, "label_agreement": 1.0}))
    rounding = float(np.abs(score).max() * np.finfo(np.float16).eps) if score_type == "fp16" else 0.0
    allowed = max(MIN_DISTANCE, MARGIN * built.max_abs_delta) + rounding
    least = built.label_agreement - LABELS_MARGIN
    if not found.max_abs_delta <= allowed or not found.label_agreement >= least:
        raise EngineError(
            f"{side.identity.stem} does not answer as it did when it was accepted: on the golden frame max |Δscore| is "
            f"{found.max_abs_delta:.3g} (allowed {allowed:.3g}), labels agree on {found.label_agreement:.2%} "
            f"(at least {least:.2%}); build it again on this machine: {side.identity.command}"
        )
    return found.max_abs_delta
