"""Figures of a running perception, from the scores and alerts that reach a consumer."""

from __future__ import annotations

import csv
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from ..evaluation.metrics.components import ComponentMetrics
from ..evaluation.metrics.pixels import PixelMetrics
from ..evaluation.results import distribution
from ..frame import AlertState
from .summary import rates
from .truth import Truth

Key = tuple[str, int]


class LiveFigures:
    """Fed by callbacks; `summary` may be called at any time.

    Args:
        truth: masks by stamp, or None.

    Attributes:
        alerts: (camera, stamp of the judged frame) → (state, reason); the first word on a frame counts.
    """

    def __init__(self, truth: Truth | None, track: str) -> None:
        self._truth = truth
        self._pixel, self._components, self._deployed = PixelMetrics(), ComponentMetrics(track), ComponentMetrics(track)
        self._scores: set[Key] = set()
        self._masks: set[Key] = set()
        self.alerts: dict[Key, tuple[str, str]] = {}
        self._onsets = 0
        self._states: dict[str, str] = {}
        self._heartbeats: Counter[str] = Counter()
        self._ages: list[float] = []
        self._last_ns: int | None = None
        self._seconds = 0.0

    def add_score(self, camera: str, stamp_ns: int, score: np.ndarray) -> None:
        """One score map; a stamp that was there before is left out, as when a bag loops.

        Raises:
            DatasetError: its mask cannot be read or does not fit.
        """
        if (truth := self._truth_of(self._scores, (camera, stamp_ns))) is not None:
            self._pixel.update(score, truth)
            self._components.update(score, truth)

    def add_mask(self, camera: str, stamp_ns: int, mask: np.ndarray) -> None:
        """One published mask, uint8 `[H, W]`, non-zero = an object by the node's threshold and object rule; stamps and
        errors as `add_score`.
        """
        if (truth := self._truth_of(self._masks, (camera, stamp_ns))) is not None:
            # The mask alone decides: scores may come before it, after it, or not at all.
            self._deployed.update((mask > 0).astype(np.float32), truth, mask)

    def _truth_of(self, seen: set[Key], key: Key) -> np.ndarray | None:
        """Of what is seen for the first time."""
        if key in seen:
            return None
        seen.add(key)
        return None if self._truth is None else self._truth.find(key[1])

    def add_alert(self, camera: str, stamp_ns: int, state: str, reason: str, age_s: float, now_ns: int) -> None:
        """One camera's status in one heartbeat; those before simulation time began (`now_ns` 0) belong to no drive."""
        if now_ns <= 0:
            return
        if stamp_ns:
            self.alerts.setdefault((camera, stamp_ns), (state, reason))
        if state == AlertState.OBSTACLE.value and self._states.get(camera) != state:
            self._onsets += 1
        self._states[camera] = state
        self._heartbeats[state] += 1
        if math.isfinite(age_s):
            self._ages.append(age_s)
        # Time jumps back where a bag starts over.
        self._seconds += max(0, now_ns - (self._last_ns or now_ns)) * 1e-9
        self._last_ns = now_ns

    def summary(self, offline: Path | None = None) -> dict[str, Any]:
        """Keys as `oodseg replay`'s; `offline` (its folder) adds `agreement`."""
        beats = sum(self._heartbeats.values())
        result: dict[str, Any] = {
            "frames": len(self._scores),
            "duration_s": self._seconds,
            "alerts": {
                "onsets": self._onsets,
                "per_hour": rates(self._onsets, self._seconds, math.nan)["per_hour"],
                "share_of_heartbeats": {s.value: self._heartbeats[s.value] / max(1, beats) for s in AlertState},
            },
            "evidence_age_s": distribution(self._ages),
        }
        if self._pixel.frames:
            result["pixel"] = self._pixel.compute()
            if math.isfinite(result["pixel"]["best_F1_threshold"]):
                result["component"] = self._components.compute(result["pixel"]["best_F1_threshold"])
        if frames := len(self._deployed.store):
            result["component_deployed"] = {"frames": frames, **self._deployed.compute_predicted()}
        if offline is not None:
            result["agreement"] = agreement(self.alerts, read_offline(offline / "alerts.csv"))
        return result


def read_offline(file: Path) -> dict[Key, tuple[str, str]]:
    """(camera, stamp) → (state, reason) of an `oodseg replay`."""
    with file.open(newline="") as stream:
        return {(r["camera"], int(r["stamp_ns"])): (r["state"], r["reason"]) for r in csv.DictReader(stream)}


def agreement(live: dict[Key, tuple[str, str]], offline: dict[Key, tuple[str, str]]) -> dict[str, Any]:
    """How the two agree: frames of both, of one only, and the share of common frames with the same state."""
    common = live.keys() & offline.keys()
    same = sum(live[key][0] == offline[key][0] for key in common)
    return {
        "common_frames": len(common),
        "missing_live": len(offline.keys() - live.keys()),
        "only_live": len(live.keys() - offline.keys()),
        "same_state": same / len(common) if common else math.nan,
    }
