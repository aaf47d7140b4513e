"""The real node around a constant-time engine that fails on command, so that everything around an engine can be tested.
Reads one command per line from its standard input:

`MODE [COUNT] [HEIGHTxWIDTH]` as in `MODES`, or `load_good`, `load_slowly`, `load_refused` for what configure will meet.

The engine stands where `inference.Runner` stands. Its good answers look like a road to every gate; a bad one is asked
for by a mode, for all images or for those of one size, for a number of frames or until further notice.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ....bundle import WEIGHTS_FILE, Bundle
from ....errors import ConfigError, EngineError, UserError
from ....frame import Prediction
from ....labels import load_labels
from ....model_card import Calibration, Histogram, InputSpec, Licence, ModelCard
from ....parameters.settings import Settings
from ...perception import Perception, run

THRESHOLD = 4.0
GOOD = "good"


class FaultEngine:
    """Deterministic.

    Args:
        seconds: how long one image takes.
    """

    engine_identity = "constant-time test engine"
    golden_error = 0.0
    second_look = None

    def __init__(self, seconds: float = 0.005) -> None:
        self._seconds = seconds
        self._modes: dict[tuple[int, int] | None, tuple[str, float]] = {}
        self._answers: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}
        scores = _answer(240, 320)[1]
        counts = np.histogram(scores, 64, (-3.0, 3.0))[0]
        card = ModelCard(
            name="constant",
            label_set="driving11",
            network={},
            input=InputSpec(mean=(0, 0, 0), std=(1, 1, 1), pixels=1 << 22, multiple=1),
            calibration=Calibration(
                threshold=THRESHOLD,
                table=[(0.0, 0.0), (2 * THRESHOLD, 1.0)],
                inlier_histogram=Histogram(low=-3.0, high=3.0, counts=counts.tolist()),
                source="the constant answer itself",
            ),
            licence=Licence(weights="none"),
            files={WEIGHTS_FILE: "0" * 64},
        )
        self.bundle = Bundle(Path(), card, load_labels("driving11"))

    def command(self, words: Sequence[str]) -> None:
        """`MODE [COUNT] [HEIGHTxWIDTH]`: COUNT frames (0 = until further notice), of that size only; `seconds NUMBER`.

        Raises:
            ConfigError: unknown mode.
        """
        if words[0] == "seconds":
            self._seconds = float(words[1])
            return
        mode, count, size = [*words, *("", "0", "")[len(words) :]]
        if mode != GOOD and mode.partition(":")[0] not in MODES:
            raise ConfigError(f"unknown mode {mode!r}; known: {GOOD}, {', '.join(MODES)}")
        key = tuple(map(int, size.split("x"))) if size else None
        if mode == GOOD:
            self._modes.pop(key, None)
        else:
            self._modes[key] = (mode, float(count) or float("inf"))

    def is_warm(self, height: int, width: int, batch: int = 1) -> bool:
        return True

    def warm(self, height: int, width: int, batch: int = 1) -> None:
        """Nothing to compile."""

    def batch_pays(self, height: int, width: int, batch: int) -> bool:
        return True

    def __call__(self, images: Sequence[np.ndarray]) -> list[Prediction]:
        time.sleep(self._seconds * len(images))
        answers = []
        for image in images:
            size = image.shape[:2]
            if size not in self._answers:
                self._answers[size] = _answer(*size)
            labels, score = self._answers[size]
            mode = self._mode(size)
            if mode == "short":
                continue
            if mode is not None:
                name, _, argument = mode.partition(":")
                labels, score = MODES[name](labels.copy(), score.copy(), argument)
            answers.append(Prediction(labels, score, self.bundle.id))
        return answers

    def _mode(self, size: tuple[int, int]) -> str | None:
        for key in (size, None):
            if key in self._modes:
                mode, left = self._modes[key]
                if left <= 1:
                    del self._modes[key]
                else:
                    self._modes[key] = (mode, left - 1)
                return mode
        return None


def _answer(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels uint8 and score float32 `[H, W]` of a plain road: sky, buildings, vegetation, road; scores about zero."""
    labels = np.empty((height, width), np.uint8)
    third = height // 3
    labels[:third] = 0
    labels[third : 2 * third] = np.where(np.arange(width) // max(1, width // 6) % 2, 1, 5)
    labels[2 * third :] = 3
    score = np.random.default_rng(7).normal(0.0, 0.8, (height, width)).clip(-2.9, 2.9).astype(np.float32)
    return labels, score


def _raise(labels: np.ndarray, score: np.ndarray, text: str) -> tuple[np.ndarray, np.ndarray]:
    raise RuntimeError(text or "the engine broke")


def _hang(labels: np.ndarray, score: np.ndarray, seconds: str) -> tuple[np.ndarray, np.ndarray]:
    time.sleep(float(seconds))
    return labels, score


def _nan(labels: np.ndarray, score: np.ndarray, value: str) -> tuple[np.ndarray, np.ndarray]:
    score[score.shape[0] // 2, score.shape[1] // 2] = float(value or "nan")
    return labels, score


def _obstacle(labels: np.ndarray, score: np.ndarray, _: str) -> tuple[np.ndarray, np.ndarray]:
    height, width = score.shape
    score[height // 2 : height // 2 + 30, width // 2 : width // 2 + 30] = 2 * THRESHOLD
    return labels, score


MODES: dict[str, Callable[[np.ndarray, np.ndarray, str], tuple[np.ndarray, np.ndarray]]] = {
    "raise": _raise,
    "memory": lambda labels, score, _: _raise(labels, score, "CUDA out of memory. Tried to allocate 2.00 GiB (a test)"),
    "hang": _hang,
    "nan": _nan,
    "one_class": lambda labels, score, _: (np.full_like(labels, 3), score),
    "shift": lambda labels, score, by: (labels, score + np.float32(by)),
    "obstacle": _obstacle,
    "size": lambda labels, score, _: (labels[:-8], score[:, :-8]),
    "short": lambda labels, score, _: (labels, score),
}
"""Mode → what becomes of a good answer; the text after a colon is its argument. `short` answers too few frames."""


SLOW_LOAD = 20.0


class _Control:
    def __init__(self) -> None:
        self.engine = FaultEngine()
        self._load = "load_good"
        threading.Thread(target=self._listen, name="control", daemon=True).start()

    def load(self, settings: Settings, logger: Any) -> tuple[FaultEngine, tuple[str, ...]]:
        if self._load == "load_slowly":
            time.sleep(SLOW_LOAD)
        if self._load == "load_refused":
            raise EngineError("the test engine was told to refuse")
        return self.engine, ()

    def _listen(self) -> None:
        for line in sys.stdin:
            words = line.split()
            try:
                if words[0].startswith("load_"):
                    self._load = words[0]
                else:
                    self.engine.command(words)
            except (UserError, ValueError, IndexError) as error:
                print(f"control: {error}", flush=True)


def main() -> None:
    """Like the executable `perception`, with another engine."""
    control = _Control()
    sys.exit(run(lambda: Perception(load=control.load), sys.argv))


if __name__ == "__main__":
    main()
