"""From pooled figures to the entries of `metrics.json`."""

from __future__ import annotations

from typing import Any

from ..bundle import Bundle
from .metric_pass import Figures, measure_components
from .metrics.components import FrameComponents, summarize_components
from .metrics.curves import CurveFigures
from .metrics.pixels import just_below, summarize
from .metrics.recall import CameraMount, by_distance, by_size
from .score_store import ScoreStore
from .score_variant import ScoreVariant


def anomaly_metrics(
    metrics: dict[str, Any],
    figures: Figures,
    bundle: Bundle,
    store: ScoreStore,
    track: str,
    workers: int,
    mount: CameraMount | None = None,
) -> tuple[CurveFigures, list[FrameComponents]]:
    """Fill in `pixel`, `pixel_rules`, `component`, `component_smiyc`, `component_deployed`, and the rows' figures.

    `component` is at the threshold of the best pixel F1 on these very frames, as the benchmark wants it;
    `component_smiyc` is the benchmark's to the last digit: threshold from its binned curve, float16 comparison;
    `component_deployed` is at the bundle's threshold, by its object rule, and missing for another score than its own.
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
            rule = bundle.card.calibration.objects if key == "component_deployed" else None
            found = measure_components(names, store, threshold, track, workers, key == "component_smiyc", rule)
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
    if figures.pixel.unjudged:
        lines.append(
            f"{figures.pixel.unjudged:,} labelled pixels have no score (NaN) and are not in the pixel metrics."
        )
    if not figures.pixel.exact:
        pixel = metrics["pixel"]
        lines.append(
            f"Scores were binned; AP is exact to {pixel['AP_error']:.1e}, AUROC to {pixel['AUROC_error']:.1e}."
        )
    return lines
