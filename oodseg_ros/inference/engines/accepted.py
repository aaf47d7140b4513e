"""What every engine does that may run only after its acceptance gate: find its side-car, prove that it still answers as
it did then.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...bundle import Bundle
from ...errors import EngineError
from .. import golden_check
from ..engine_cache import EngineIdentity, StoredEngine, stored
from .graph_cache import code_digest, model_digest

ANSWER = ".golden.npz"
"""Suffix of the file with FP32's answer to the golden frame."""
Run = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""uint8 `[B, H, W, 3]` → (labels uint8, score float32), `[B, H, W]` each."""


def identity(
    bundle: Bundle, precision: str, batch: int, height: int, width: int, architecture: str, runtime: str
) -> EngineIdentity:
    """What an engine must have been built for to run here, with this code."""
    return EngineIdentity(
        bundle.card.name, model_digest(bundle), height, width, batch, precision, architecture, runtime, code_digest()
    )


def accepted_at_any_size(bundle: Bundle, wanted: EngineIdentity) -> StoredEngine:
    """An accepted engine like `wanted`, for any image size and batch.

    Raises:
        EngineError: there is none; names the command.
    """
    for engine in stored(bundle):
        if not wanted.differences(engine.side.identity, ("height", "width", "batch")):
            return engine
    raise EngineError(
        f"{wanted.engine} in {wanted.precision} runs only what was built for an image size and accepted on labeled "
        f"frames, and for {bundle.id} nothing was (on {wanted.architecture}, {wanted.runtime}, this version of the "
        f"code); run: oodseg build {bundle.path} --engine {wanted.engine} --precision {wanted.precision} "
        "--size HEIGHTxWIDTH"
    )


def golden_images(bundle: Bundle, wanted: EngineIdentity) -> np.ndarray:
    """The golden frame at an engine's size and batch, uint8 `[B, H, W, 3]`."""
    return np.stack([golden_check.stretched(bundle, wanted.height, wanted.width)] * wanted.batch)


def verified(bundle: Bundle, engine: StoredEngine, run: Run, score_type: str = "fp32") -> float:
    """Largest |Δscore| on the golden frame of what `run` (this engine, loaded) answers now.

    `score_type`: in which type the score comes to the host; fp16 rounds it, which a build does not.

    Raises:
        EngineError: it is not as near to FP32 as when it was accepted.
    """
    side = engine.side
    labels, score = run(golden_images(bundle, side.identity))
    found = golden_check.distance(engine.path(ANSWER), labels[-1], score[-1])
    built = golden_check.Distance(**(side.golden or {"max_abs_delta": 0.0, "label_agreement": 1.0}))
    rounding = float(np.abs(score).max() * np.finfo(np.float16).eps) if score_type == "fp16" else 0.0
    return golden_check.check(found, built, side.identity.stem, side.identity.command, rounding)
