"""The SegmentMeIfYouCan benchmark's rule for pixel metrics, for comparison with its leader board.

It differs from the exact figures by design: scores are stored as float16, and each frame's scores are cut into bins at
384 quantiles of its positive and 384 quantiles of its negative pixels. A pixel counts at its bin's lower edge, the
frames' curves are merged, equal thresholds collapse. Differences to `PixelMetrics` are of the order of 1e-4 where every
frame has an anomaly. In a frame without one the highest 1/383 of all pixels share a bin and count at its lower edge, so
its false alarms weigh less: AP may then be higher by percents.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .curves import CurveFigures, of_chunks
from .pixels import split, summarize

QUANTILES = 384


class SmiycPixelMetrics:
    """As `PixelMetrics`, by the benchmark's rule; keeps at most 770 bins per frame."""

    rule = "smiyc"
    exact = True

    def __init__(self) -> None:
        self.seen = np.zeros(3, np.int64)
        self._bins: list[np.ndarray] = []

    def update(self, score: np.ndarray, label: np.ndarray) -> None:
        """Add one frame; arguments and errors as `PixelMetrics.update`."""
        negative, positive, void, unjudged = split(score, label)
        self.seen += (1, void, unjudged)
        with np.errstate(over="ignore"):  # beyond ±65504 float16 is inf; that is the rule
            planes = [plane.astype(np.float16) for plane in (negative, positive)]
        edges = _edges(planes)
        if edges.size:
            counts = [np.bincount(_bin(plane, edges), minlength=edges.size) for plane in planes]
            bins = np.stack([edges, *counts])
            self._bins.append(bins[:, bins[1:].any(axis=0)])

    def merge(self, other: SmiycPixelMetrics) -> SmiycPixelMetrics:
        self._bins += other._bins
        self.seen += other.seen
        return self

    def state(self) -> dict[str, np.ndarray]:
        return {"counters": self.seen, "bins": self._merged()}

    @classmethod
    def from_state(cls, state: Mapping[str, np.ndarray]) -> SmiycPixelMetrics:
        metrics = cls()
        metrics.seen += state["counters"][-3:]
        metrics._bins = [state["bins"]]
        return metrics

    def _merged(self) -> np.ndarray:
        return np.concatenate(self._bins or [np.zeros((3, 0))], axis=1)

    @property
    def totals(self) -> tuple[int, int]:
        return tuple(sum(int(bins[plane].sum()) for bins in self._bins) for plane in (1, 2))

    def figures(self, points: int = 1024) -> CurveFigures:
        bins = self._merged()
        scores, place = np.unique(bins[0], return_inverse=True)
        planes = [np.bincount(place, weights=plane, minlength=scores.size).astype(np.int64) for plane in bins[1:]]
        chunks = [(scores[::-1], planes[0][::-1], planes[1][::-1])] if scores.size else []
        return of_chunks(chunks, *self.totals, points=points)

    def compute(self) -> dict[str, Any]:
        """Keys as `PixelMetrics.compute`, but without the `_error` keys: the binning is the rule.

        The thresholds are bin edges. The benchmark compares strictly with them in float16 (`half` in
        `components.frame_components`), although scores on the edge count in the curve.
        """
        figures = self.figures()
        found = {key: value for key, value in summarize(self, figures).items() if not key.endswith("_error")}
        return {
            **found,
            "best_F1_threshold": figures.best_f1[3],
            "FPR95_threshold": figures.fpr["first"][1] if figures.fpr else float("nan"),
        }


def _edges(planes: list[np.ndarray]) -> np.ndarray:
    edges = [np.zeros(0)]
    for plane in planes:
        if plane.size:
            with np.errstate(invalid="ignore"):
                edges.append(np.quantile(plane, np.linspace(0, 1, min(QUANTILES, plane.size))))
            edges.append(np.asarray([plane.min(), plane.max()]))
    edges = np.unique(np.concatenate(edges).astype(np.float64))
    return edges[~np.isnan(edges)]  # beside an infinite score there is no quantile


def _bin(scores: np.ndarray, edges: np.ndarray) -> np.ndarray:
    # The benchmark's outermost edges lie beyond all scores, so the highest score is a bin of its own.
    return np.searchsorted(edges, scores.astype(np.float64), side="right") - 1
