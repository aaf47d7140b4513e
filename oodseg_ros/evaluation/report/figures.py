"""Which frames a report shows and how, and its plots as SVG data URIs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

import cv2
import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..metrics.components import DETECTED
from ..metrics.paired_histogram import PairedHistogram
from .html import plot_uri

TRUTH, FOUND, OBJECT = (60, 255, 120), (0, 230, 255), (255, 70, 200)
"""RGB of the outlines of true and of predicted anomalies, and of the objects that a vehicle gets."""


def choose(rows: Sequence[dict[str, Any]], key: str, best: int, worst: int) -> tuple[list[int], list[int]]:
    """Indices of the frames with the highest and the lowest `key`; frames without one left out, none in both."""
    ranked = [i for i, row in enumerate(rows) if not math.isnan(row.get(key, math.nan))]
    ranked.sort(key=lambda i: (rows[i][key], i))
    low = ranked[: min(worst, math.ceil(len(ranked) / 2))]
    high = [i for i in ranked[::-1] if i not in low][:best]
    return high, low


def draw_frame(
    image: np.ndarray,
    score: np.ndarray,
    label: np.ndarray,
    threshold: float,
    limits: tuple[float, float],
    objects: np.ndarray | None = None,
) -> np.ndarray:
    """Image with outlines of truth and prediction, and beside it the score as heat.

    Args:
        image: RGB uint8 `[H, W, 3]`.
        score: float32 `[H, W]`; NaN is drawn gray.
        label: uint8 `[H, W]`, 0, 1, 255; void is darkened.
        threshold: on the raw score; not drawn if nan.
        limits: raw scores of the coldest and the hottest color, equal for all frames of a report.
        objects: uint8 `[H, W]`, 255 = objects at the bundle's own threshold; None = not drawn.

    Returns:
        RGB uint8 `[H, 2 W, 3]`, or `[2 H, W, 3]` for images wider than 3:2.
    """
    left = image.copy()
    left[label == 255] = left[label == 255] // 3
    width = max(1, image.shape[0] // 300)
    if not math.isnan(threshold):
        _outline(left, score > threshold, FOUND, width)
    _outline(left, label == 1, TRUTH, width)
    if objects is not None:
        _outline(left, objects > 0, OBJECT, width)
    low, high = limits
    scaled = np.clip((score - low) / max(high - low, 1e-12), 0, 1)
    heat = cv2.applyColorMap((np.nan_to_num(scaled) * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    heat = cv2.cvtColor(heat, cv2.COLOR_BGR2RGB)
    heat[np.isnan(score)] = 128
    _outline(heat, label == 1, TRUTH, width)
    return np.concatenate([left, heat], axis=0 if image.shape[1] > 1.5 * image.shape[0] else 1)


def draw_classes(image: np.ndarray, labels: np.ndarray, truth: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Predicted classes over the image, and beside it where they are wrong (red) or right (dimmed); void is black."""
    left = cv2.addWeighted(palette[labels], 0.5, image, 0.5, 0)
    right = image // 3
    right[(labels != truth) & (truth != 255)] = (230, 40, 40)
    right[truth == 255] = 0
    return np.concatenate([left, right], axis=0 if image.shape[1] > 1.5 * image.shape[0] else 1)


def _outline(image: np.ndarray, mask: np.ndarray, color: tuple[int, int, int], width: int) -> None:
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    cv2.drawContours(image, contours, -1, color, width)


STYLE = {
    "svg.fonttype": "path",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
}
INLIER, ANOMALY = "#3b6fb6", "#d1495b"


def _plot(size: tuple[float, float] = (5.2, 3.3)) -> Callable[[Callable[..., None]], Callable[..., str]]:
    """Of a function that draws into the axes that it is given first, one that returns the SVG data URI."""

    def decorated(draw: Callable[..., None]) -> Callable[..., str]:
        @wraps(draw)
        def plot(*arguments: Any, **options: Any) -> str:
            with rc_context(STYLE):
                figure = Figure(figsize=size)
                draw(figure.subplots(), *arguments, **options)
                return plot_uri(figure)

        return plot

    return decorated


@_plot()
def pr_plot(axes: Axes, curves: Mapping[str, np.ndarray], prevalence: float | None = None) -> None:
    """Precision over recall; `curves` name → rows of `CurveFigures.curve`."""
    for name, curve in curves.items():
        axes.plot(curve[1:, 1], curve[1:, 2], lw=1.5, label=name)
    if prevalence is not None:
        axes.axhline(prevalence, color="gray", lw=1, ls=":", label=f"chance {prevalence:.3f}")
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
    axes.legend(fontsize=8)


@_plot()
def roc_plot(axes: Axes, curves: Mapping[str, np.ndarray]) -> None:
    """Recall over false-positive rate, on a logarithmic axis: what matters lies below one percent."""
    for name, curve in curves.items():
        some = curve[:, 3] > 0
        axes.plot(curve[some, 3], curve[some, 1], lw=1.5, label=name)
    axes.axhline(0.95, color="gray", lw=1, ls=":")
    axes.set(xscale="log", ylim=(0, 1.02), xlabel="false-positive rate", ylabel="recall")
    axes.legend(fontsize=8)


@_plot()
def score_plot(axes: Axes, histogram: PairedHistogram, thresholds: Mapping[str, float], bins: int = 90) -> None:
    """Shares of normal and of anomalous pixels over the raw score, with thresholds; outermost 0.1 % at the margins."""
    edges, shares = score_shares(histogram, bins)
    for share, name, color in zip(shares, ("normal", "anomaly"), (INLIER, ANOMALY), strict=True):
        if share.any():
            axes.stairs(share, edges, fill=True, alpha=0.45, color=color, label=name)
    for style, (name, value) in zip(("-", "--", ":"), thresholds.items(), strict=False):
        if np.isfinite(value):
            axes.axvline(value, color="black", lw=1, ls=style, label=f"{name} {value:.3g}")
    axes.set(xlabel="raw score", ylabel="share of its pixels")
    axes.legend(fontsize=8)


def score_shares(histogram: PairedHistogram, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Edges `[bins + 1]` and shares `[2, bins]` of (normal, anomalous) pixels; a row sums to 1, or to 0 without any."""
    chunks = list(histogram.descending())
    scores = np.concatenate([chunk[0] for chunk in chunks])
    planes = np.stack([np.concatenate([chunk[i] for chunk in chunks]) for i in (1, 2)]).astype(np.float64)
    low, high = np.inf, -np.inf
    for plane in planes:
        if plane.sum():
            share = np.cumsum(plane) / plane.sum()  # from the highest score down
            high = max(high, scores[np.searchsorted(share, 0.001)])
            low = min(low, scores[min(np.searchsorted(share, 0.999), scores.size - 1)])
    low, high = np.nan_to_num([low, high], posinf=np.finfo(np.float32).max, neginf=np.finfo(np.float32).min)
    edges = np.linspace(low, high if high > low else low + 1, bins + 1)
    place = np.clip(np.searchsorted(edges, scores, side="right") - 1, 0, bins - 1)
    shares = np.stack([np.bincount(place, weights=plane, minlength=bins) for plane in planes])
    return edges, shares / np.maximum(shares.sum(axis=1, keepdims=True), 1)


@_plot()
def size_plot(axes: Axes, rows: Sequence[tuple[str, int, float, float]], label: str = "size in pixels") -> None:
    """Bars of `by_size` or `by_foot`."""
    place = np.arange(len(rows))
    axes.bar(place - 0.2, [row[2] for row in rows], 0.38, color=INLIER, label=f"found (sIoU ≥ {DETECTED})")
    axes.bar(place + 0.2, [row[3] for row in rows], 0.38, color=ANOMALY, label="pixels covered")
    axes.set_xticks(place, [f"{row[0]}\n{row[1]} objects" for row in rows], fontsize=7)
    axes.set(ylim=(0, 1.05), xlabel=label, ylabel="share")
    axes.legend(fontsize=8)


@_plot()
def latency_plot(axes: Axes, milliseconds: Sequence[float]) -> None:
    """Histogram of the time per frame."""
    axes.hist(milliseconds, bins=min(40, max(5, len(milliseconds) // 2)), color=INLIER)
    axes.set(xlabel="milliseconds from image to prediction", ylabel="frames", xlim=(0, None))


@_plot(size=(5.2, 4.6))
def confusion_plot(axes: Axes, matrix: np.ndarray, names: Sequence[str]) -> None:
    """Confusion matrix `[K, K + 1]`, rows normalised."""
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names) + 1), [*names, "none"], rotation=90, fontsize=7)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.set(xlabel="predicted", ylabel="truth")
    axes.grid(False)
