"""Component metrics of SegmentMeIfYouCan (Chan et al., arXiv 2104.14812): sIoU, PPV and mean F1 over whole objects.

The rule, in the order in which it is applied to a frame:

1. predicted = score strictly above the threshold, and not void; NaN (not judged) is not predicted;
2. components are 8-connected, in the ground truth (label 1) and in the prediction;
3. predicted components smaller than the track's limit are dropped; ground-truth components smaller than its other
   limit become void; then only pixels that are not void count;
4. sIoU of a ground-truth component k, with P the union of the predicted components that touch it:
   |k ∩ P| / (|P ∪ k| - |P ∩ other ground-truth components|);
5. PPV of a predicted component: its share of ground-truth pixels;
6. for τ = 0.25, 0.30, …, 0.75: TP = ground-truth components with sIoU ≥ τ, FN = the others, FP = predicted components
   with PPV < τ; F1 = 2 TP / (2 TP + FN + FP); the result is the mean over τ.

Components are pooled over the dataset, not averaged per frame. The benchmark's own threshold is the one of the best
pixel F1 on the same data (`PixelMetrics.compute()["best_F1_threshold"]`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ..score_store import ScoreStore
from .pixels import VOID, split

TAUS = np.linspace(0.25, 0.75, 11)


@dataclass(frozen=True)
class Track:
    """Least sizes in pixels of a predicted and of a ground-truth component."""

    predicted: int
    truth: int


DETECTED = 0.25
"""An object counts as found when its sIoU is at least this, the lowest τ of the component F1."""
TRACKS = {"anomaly": Track(500, 100), "obstacle": Track(50, 10), "vehicle": Track(100, 10)}
"""The benchmark's two, and one of ours: what the node calls an obstacle by default, and every true object."""


@dataclass(frozen=True)
class FrameComponents:
    """Components of one frame.

    Attributes:
        siou: float64, one per ground-truth component, in [0, 1].
        truth_area: their pixels, int64.
        covered: share of their pixels that predicted components cover, in [0, 1].
        truth_box: int64 `[n, 4]` x0, y0, x1, y1, half open.
        fragments: number of predicted components that touch each of them, int64.
        ppv: float64, one per predicted component, in [0, 1].
    """

    siou: np.ndarray
    truth_area: np.ndarray
    covered: np.ndarray
    truth_box: np.ndarray
    fragments: np.ndarray
    ppv: np.ndarray


class ComponentMetrics:
    """Feed frames with `update`; `compute` takes the threshold, which is known only when all frames were seen.

    Scores wait on disk (`ScoreStore`), so memory does not grow with the number of frames.

    Args:
        track: `anomaly` (large objects anywhere) or `obstacle` (small objects on the road).
        folder: where frames are kept; None = a temporary folder that goes with this object.
    """

    def __init__(self, track: str = "anomaly", folder: str | Path | None = None) -> None:
        if track not in TRACKS:
            raise ValueError(f"track {track!r}: known are {', '.join(TRACKS)}")
        self.track = track
        self._temporary = tempfile.TemporaryDirectory(prefix="oodseg_scores_") if folder is None else None
        self.store = ScoreStore(folder if self._temporary is None else self._temporary.name)

    def update(self, score: np.ndarray, label: np.ndarray, predicted: np.ndarray | None = None) -> None:
        """Add one frame; arguments and errors as `PixelMetrics.update`.

        Args:
            predicted: uint8 `[H, W]`, non-zero = what somebody found in it, for `compute_predicted`.
        """
        split(score, label)
        extra = {} if predicted is None else {"predicted": predicted}
        self.store.put(f"{len(self.store):08d}", score, np.asarray(label).astype(np.uint8), **extra)

    def merge(self, other: ComponentMetrics) -> ComponentMetrics:
        for name in other.store.names():
            score, label, extra = other.store.get(name)
            self.store.put(f"{len(self.store):08d}", score, label, **extra)
        return self

    def compute(self, threshold: float) -> dict[str, float]:
        """Figures at a threshold on the raw score, as fractions; see `summarize_components`."""
        frames = (frame_components(score, label, threshold, self.track) for _, score, label in self.store)
        return {"threshold": float(threshold), "track": self.track, **summarize_components(frames)}

    def compute_predicted(self) -> dict[str, float]:
        """Figures of what was given as `predicted` with each frame."""
        found = []
        for name in self.store.names():
            score, label, extra = self.store.get(name)
            found.append(frame_components(score, label, 0.0, self.track, predicted=extra["predicted"] > 0))
        return {"track": self.track, **summarize_components(found)}


def frame_components(
    score: np.ndarray,
    label: np.ndarray,
    threshold: float,
    track: str,
    half: bool = False,
    predicted: np.ndarray | None = None,
) -> FrameComponents:
    """Apply steps 1 to 5 to one frame.

    Args:
        score: float `[H, W]`.
        label: uint8 `[H, W]`, 0, 1 or 255 = void.
        track: key of `TRACKS`.
        half: compare as float16, as the benchmark does with its stored scores.
        predicted: bool `[H, W]` instead of step 1, void pixels left out all the same; score and threshold do not count.
    """
    if half:
        with np.errstate(over="ignore"):
            score, threshold = score.astype(np.float16), np.float16(threshold)
    limits = TRACKS[track]
    void = label == VOID
    truth, truth_box = connected(label == 1)
    predicted, _ = connected((score > threshold if predicted is None else predicted) & ~void)
    truth_area = np.bincount(truth.ravel())
    small = truth_area < limits.truth
    small[0] = False
    void |= small[truth]
    large = np.bincount(predicted.ravel()) >= limits.predicted
    large[0] = False

    # pixels of every pair (ground-truth component, predicted component); row and column 0 = background
    some = ~void & ((truth > 0) | large[predicted])
    kept = np.flatnonzero(~small)[1:]
    rows = _renumber(kept, small.size)
    present = np.flatnonzero((np.bincount(predicted[some], minlength=large.size) > 0) & large)
    columns = _renumber(present, large.size)
    shape = (kept.size + 1, present.size + 1)
    joint = np.bincount(rows[truth[some]] * shape[1] + columns[predicted[some]], minlength=shape[0] * shape[1])
    joint = joint.reshape(shape)

    inside = joint[1:, 1:]
    predicted_area, on_truth = joint[:, 1:].sum(axis=0), inside.sum(axis=0)
    hit = inside.sum(axis=1)
    touching = (inside > 0).astype(np.int64)
    union = joint[1:].sum(axis=1) + touching @ predicted_area - hit
    others = touching @ on_truth - hit
    return FrameComponents(
        siou=hit / (union - others),
        truth_area=truth_area[kept],
        covered=hit / truth_area[kept],
        truth_box=truth_box[kept],
        fragments=touching.sum(axis=1),
        ppv=on_truth / predicted_area,
    )


def summarize_components(frames: Iterable[FrameComponents]) -> dict[str, float]:
    """Step 6 over all frames.

    Returns:
        `sIoU` (nan without ground-truth components), `PPV` (0 without predicted components: nothing found is no
        precision; `predicted_components` tells), `F1` (nan only if there is neither), `F1_at` τ → F1, and the counts.
    """
    frames = list(frames)
    siou = np.concatenate([frame.siou for frame in frames] or [np.zeros(0)])
    ppv = np.concatenate([frame.ppv for frame in frames] or [np.zeros(0)])
    tp = (siou[:, None] >= TAUS).sum(axis=0)
    fp = (ppv[:, None] < TAUS).sum(axis=0)
    total = tp + siou.size + fp  # 2 TP + FN + FP
    f1 = np.divide(2 * tp, total, out=np.full(TAUS.size, np.nan), where=total > 0)
    return {
        "sIoU": float(siou.mean()) if siou.size else float("nan"),
        "PPV": float(ppv.mean()) if ppv.size else 0.0,
        "F1": float(f1.mean()),
        "F1_at": {f"{tau:.2f}": float(value) for tau, value in zip(TAUS, f1, strict=True)},
        "truth_components": int(siou.size),
        "predicted_components": int(ppv.size),
        "frames": len(frames),
    }


def connected(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """8-connected components of a bool mask: ids int32 `[H, W]` (0 = none), boxes int64 `[n + 1, 4]`, half open."""
    _, ids, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    box = stats[:, [cv2.CC_STAT_LEFT, cv2.CC_STAT_TOP, cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].astype(np.int64)
    box[:, 2:] += box[:, :2]
    return ids, box


def _renumber(kept: np.ndarray, size: int) -> np.ndarray:
    table = np.zeros(size, np.int64)
    table[kept] = np.arange(1, kept.size + 1)
    return table
