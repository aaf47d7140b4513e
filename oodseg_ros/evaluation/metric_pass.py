"""Second pass of an evaluation: from stored scores to figures, per frame and pooled, and to the entries of
`metrics.json`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..bundle import Bundle
from ..errors import UserError
from ..object_rule import Objects
from ..paths import completed
from ..pipeline.obstacles.objects import find_objects
from .classes import Classes
from .frame_pass import Work, ahead
from .metrics.components import FrameComponents, frame_components, summarize_components
from .metrics.curves import CurveFigures
from .metrics.pixels import PixelMetrics, just_below, summarize
from .metrics.recall import CameraMount, by_distance, by_size
from .metrics.semantics import SemanticMetrics
from .metrics.smiyc_pixels import SmiycPixelMetrics
from .score_store import ScoreStore
from .score_variant import ScoreVariant

PER_FRAME = ("AP", "AUROC", "FPR95", "best_F1", "positives", "negatives", "void", "unjudged")


@dataclass
class Figures:
    """What one process measured; `merge` puts the shards together with figures equal to those of a single process.

    Attributes:
        pixel, smiyc: pooled anomaly metrics by two rules; empty for a dataset of class labels.
        semantic: pooled confusion matrix, or None for a dataset without class labels.
        rows: one dictionary per measured frame.
        skipped: frame → why it is not in the figures.
    """

    pixel: PixelMetrics = field(default_factory=PixelMetrics)
    smiyc: SmiycPixelMetrics = field(default_factory=SmiycPixelMetrics)
    semantic: SemanticMetrics | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def merge(self, other: Figures) -> Figures:
        self.pixel.merge(other.pixel)
        self.smiyc.merge(other.smiyc)
        if self.semantic is not None and other.semantic is not None:
            self.semantic.merge(other.semantic)
        self.rows += other.rows
        self.skipped |= other.skipped
        return self

    def save(self, path: Path) -> None:
        """Write as npz, complete or not at all."""
        state = {f"pixel.{key}": value for key, value in self.pixel.state().items()}
        state |= {f"smiyc.{key}": value for key, value in self.smiyc.state().items()}
        if self.semantic is not None:
            state["semantic"] = self.semantic.matrix
        text = json.dumps({"rows": self.rows, "skipped": self.skipped})
        with completed(path) as part, part.open("wb") as stream:
            np.savez(stream, text=np.frombuffer(text.encode(), np.uint8), **state)

    @classmethod
    def load(cls, path: Path) -> Figures:
        with np.load(path, allow_pickle=False) as data:
            state = {key: data[key] for key in data.files}
        parts = [{k[len(p) :]: v for k, v in state.items() if k.startswith(p)} for p in ("pixel.", "smiyc.")]
        semantic = None
        if "semantic" in state:
            semantic = SemanticMetrics(len(state["semantic"]))
            semantic.matrix = state["semantic"]
        pixel, smiyc = PixelMetrics.from_state(parts[0]), SmiycPixelMetrics.from_state(parts[1])
        return cls(pixel, smiyc, semantic, **json.loads(state["text"].tobytes()))


def measure(
    work: Sequence[Work],
    store: ScoreStore,
    classes: Classes | None = None,
    workers: int = 2,
    progress: Callable[[int], None] = lambda done: None,
) -> Figures:
    """Figures of the stored frames among `work`, in its order.

    Args:
        work: the frames; those that are not stored are passed over.
        store: as `run_frames` left it.
        classes: for a dataset with class labels.
        workers: threads that read and measure single frames.
        progress: called with the number of frames done.
    """
    figures = Figures(semantic=None if classes is None else SemanticMetrics(len(classes.labels)))

    def read(entry: Work) -> tuple[str, tuple | UserError | None]:
        if entry.name not in store:
            return entry.name, None
        score, label, extra = store.get(entry.name)
        row = {"frame": entry.name, "width": score.shape[1], "height": score.shape[0]}
        row["milliseconds"] = float(extra["milliseconds"])
        try:
            if not extra["has_truth"]:
                return entry.name, UserError("no ground truth: not scored")
            if classes is None or not classes.instead:
                single = PixelMetrics()
                single.update(score, label)
                found = single.compute()
                row |= {key: found[key] for key in PER_FRAME}
            predicted = truth = None
            if classes is not None:
                truth = label if classes.instead else extra.get("classes")
                predicted, truth = classes.predicted[extra["labels"]], None if truth is None else classes.truth[truth]
        except UserError as error:
            return entry.name, error
        return entry.name, (row, score, label, predicted, truth)

    with ThreadPoolExecutor(max(1, workers)) as pool:
        for done, (name, found) in enumerate(ahead(pool, read, work, 2 * workers), 1):
            if isinstance(found, UserError):
                figures.skipped[name] = str(found)
            elif found is not None:
                _add(figures, classes is not None and classes.instead, *found)
            progress(done)
    return figures


def measure_components(
    names: Sequence[str],
    store: ScoreStore,
    threshold: float,
    track: str,
    workers: int = 2,
    half: bool = False,
    objects: Objects | None = None,
) -> list[FrameComponents]:
    """Components of stored frames at a threshold, in the order of `names`; `half` as in `frame_components`; with
    `objects` those that this rule makes.
    """

    def one(name: str) -> FrameComponents:
        score, label, extra = store.get(name)
        predicted = None
        if objects is not None:
            predicted = find_objects(score, extra["labels"], threshold, objects, 1, 1)[2] > 0
        return frame_components(score, label, threshold, track, half, predicted)

    with ThreadPoolExecutor(max(1, workers)) as pool:
        return list(ahead(pool, one, names, 2 * workers))


def _add(
    figures: Figures,
    only_classes: bool,
    row: dict[str, Any],
    score: np.ndarray,
    label: np.ndarray,
    predicted: np.ndarray | None,
    truth: np.ndarray | None,
) -> None:
    if not only_classes:
        figures.pixel.update(score, label)
        figures.smiyc.update(score, label)
    if truth is not None:
        before = figures.semantic.matrix.copy()
        figures.semantic.update(predicted, truth)
        added = figures.semantic.matrix - before
        row["pixels"] = int(added.sum())
        row["pixel_accuracy"] = float(np.trace(added) / added.sum()) if added.any() else float("nan")
    figures.rows.append(row)


def anomaly_metrics(
    metrics: dict[str, Any],
    figures: Figures,
    bundle: Bundle,
    store: ScoreStore,
    own: ScoreStore,
    track: str,
    workers: int,
    mount: CameraMount | None = None,
) -> tuple[CurveFigures, list[FrameComponents]]:
    """Fill in `pixel`, `pixel_rules`, `component`, `component_smiyc`, `component_deployed`, and the rows' figures.

    `component` is at the threshold of the best pixel F1 on these very frames, as the benchmark wants it;
    `component_smiyc` is the benchmark's to the last digit: threshold from its binned curve, float16 comparison;
    `component_deployed` is at the bundle's threshold, by its object rule, and missing for another score than its own.
    That one is of the network's scores (`own`), the others of those that are published (`store`).
    Each has its `recall_by_size`, and with `mount` its `recall_by_distance`.

    Returns:
        The pooled curves, and the components of every row of `figures` at the first of these thresholds.
    """
    curves = figures.pixel.figures()
    metrics["pixel"] = summarize(figures.pixel, curves)
    nearest, nearest_threshold = curves.fpr.get("nearest_recall", (float("nan"),) * 2)
    metrics["pixel_rules"] = {
        "nearest_recall": {"FPR95": nearest, "FPR95_threshold": just_below(nearest_threshold)},
        "smiyc": figures.smiyc.compute(),
    }
    names = [row["frame"] for row in figures.rows]
    components: list[FrameComponents] = []
    thresholds = {
        "component": metrics["pixel"]["best_F1_threshold"],
        "component_smiyc": metrics["pixel_rules"]["smiyc"]["best_F1_threshold"],
    }
    if not isinstance(bundle, ScoreVariant):  # the threshold in the bundle belongs to its own score
        thresholds["component_deployed"] = bundle.card.calibration.threshold
    for key, threshold in thresholds.items():
        found = []
        if threshold == threshold:
            deployed = key == "component_deployed"
            rule, maps = (bundle.card.calibration.objects, own) if deployed else (None, store)
            found = measure_components(names, maps, threshold, track, workers, key == "component_smiyc", rule)
        metrics[key] = {"threshold": threshold, "track": track, **summarize_components(found)}
        if found:
            metrics[key]["recall_by_size"] = by_size(found)
        if found and mount is not None:
            sizes = [(row["height"], row["width"]) for row in figures.rows]
            metrics[key]["recall_by_distance"] = by_distance(found, sizes, mount)
        if key == "component":
            components = found
    for row, single in zip(figures.rows, components, strict=False):
        row["truth_components"], row["predicted_components"] = int(single.siou.size), int(single.ppv.size)
        row["sIoU"] = float(single.siou.mean()) if single.siou.size else float("nan")
    return curves, components


def notes(metrics: dict[str, Any], figures: Figures) -> list[str]:
    """Sentences that a reader of the figures must know."""
    lines = []
    if figures.skipped:
        lines.append(f"{len(figures.skipped)} of {metrics['frames_in_dataset']} frames are not in the figures.")
    if "pixel" not in metrics:
        return lines
    negatives, positives = figures.pixel.totals
    if not positives:
        lines.append("No evaluated pixel is an anomaly: AP, AUROC, FPR95 and F1 are not defined.")
    if not negatives:
        lines.append("No evaluated pixel is normal: AUROC and FPR95 are not defined.")
    pixel = metrics["pixel"]
    if pixel["unjudged"]:
        lines.append(f"{pixel['unjudged']:,} labelled pixels have no score (NaN) and are not in the pixel metrics.")
    if not figures.pixel.exact:
        lines.append(
            f"Scores were binned; AP is exact to {pixel['AP_error']:.1e}, AUROC to {pixel['AUROC_error']:.1e}."
        )
    return lines
