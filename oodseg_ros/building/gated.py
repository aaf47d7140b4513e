"""The last step of every build that is not TensorRT's: the acceptance gate, and storing what passed it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import cv2
import numpy as np

from ..bundle import Bundle
from ..errors import EngineError
from ..inference import golden_check
from ..inference.engine_cache import Draft, StoredEngine
from ..inference.engines.accepted import ANSWER, Run, golden_images
from ..inference.engines.torch import TorchEngine
from .acceptance import ALLOWED_AP, ALLOWED_FPR95, Acceptance, Answer, accept

Pairs = Iterable[tuple[np.ndarray, np.ndarray]]


def gated(
    place: Draft,
    bundle: Bundle,
    run: Run,
    pairs: Pairs,
    data: str,
    built: dict[str, Any],
    allowed_ap: float = ALLOWED_AP,
    allowed_fpr95: float = ALLOWED_FPR95,
    threads: int = 0,
) -> tuple[StoredEngine, Acceptance]:
    """Compare an engine with eager torch in FP32 on labeled frames, and store it if it passes.

    Args:
        place: the draft that holds its files.
        bundle: the model.
        run: the engine.
        pairs: labeled frames as `acceptance.accept` wants them, of any size: they are resized to the engine's.
        data: what they are, for the side-car.
        built: for the side-car.
        allowed_ap, allowed_fpr95: how far AP and FPR95 may move, as fractions.
        threads: CPU threads of the reference; 0 = all.

    Raises:
        EngineError: it did not pass; nothing is stored.
    """
    wanted = place.identity
    reference = TorchEngine(bundle, threads=threads)
    eager = reference.compile(1, wanted.height, wanted.width)

    def ask(image: np.ndarray) -> Answer:
        labels, score = run(np.stack([image] * wanted.batch))
        return labels[-1], score[-1]

    def ask_reference(image: np.ndarray) -> Answer:
        labels, score = reference.run(eager, image[None])
        return labels[0], score[0]

    frames = resized_pairs(pairs, wanted.height, wanted.width)
    acceptance = accept(ask_reference, ask, frames, data, allowed_ap, allowed_fpr95)
    if not acceptance.passed:
        raise EngineError(f"{wanted.stem} was {acceptance.sentence}; nothing was stored")
    golden = golden_images(bundle, wanted)[0]
    golden_check.keep_answer(place.path(ANSWER), *ask_reference(golden))
    found = golden_check.distance(place.path(ANSWER), *ask(golden))
    return place.keep(True, acceptance=vars(acceptance), golden=vars(found), built=built), acceptance


def resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """RGB uint8 `[H, W, 3]` at the engine's size; made smaller by averaging."""
    if image.shape[:2] == (height, width):
        return np.ascontiguousarray(image)
    smaller = height < image.shape[0] or width < image.shape[1]
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)


def resized_pairs(pairs: Pairs, height: int, width: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Labeled frames at the engine's size, the truth by the nearest pixel."""
    for image, truth in pairs:
        yield resized(image, height, width), cv2.resize(truth, (width, height), interpolation=cv2.INTER_NEAREST)


def versions() -> str:
    """Packages and their versions, for the side-car."""
    from ..evaluation.provenance import provenance

    return provenance()["versions"]
