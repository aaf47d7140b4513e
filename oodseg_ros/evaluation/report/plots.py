"""Plots of an evaluation as SVG data URIs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from ..metrics.components import DETECTED
from ..metrics.paired_histogram import PairedHistogram
from .html import plot_uri

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


def pr_plot(curves: Mapping[str, np.ndarray], prevalence: float | None = None) -> str:
    """Precision over recall; `curves` name → rows of `CurveFigures.curve`."""

    def draw(axes: Figure) -> None:
        for name, curve in curves.items():
            axes.plot(curve[1:, 1], curve[1:, 2], lw=1.5, label=name)
        if prevalence is not None:
            axes.axhline(prevalence, color="gray", lw=1, ls=":", label=f"chance {prevalence:.3f}")
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
        axes.legend(fontsize=8)

    return _plot(draw)


def roc_plot(curves: Mapping[str, np.ndarray]) -> str:
    """Recall over false-positive rate, on a logarithmic axis: what matters lies below one percent."""

    def draw(axes: Figure) -> None:
        for name, curve in curves.items():
            some = curve[:, 3] > 0
            axes.plot(curve[some, 3], curve[some, 1], lw=1.5, label=name)
        axes.axhline(0.95, color="gray", lw=1, ls=":")
        axes.set(xscale="log", ylim=(0, 1.02), xlabel="false-positive rate", ylabel="recall")
        axes.legend(fontsize=8)

    return _plot(draw)


def score_plot(histogram: PairedHistogram, thresholds: Mapping[str, float], bins: int = 90) -> str:
    """Shares of normal and of anomalous pixels over the raw score, with thresholds; outermost 0.1 % at the margins."""
    edges, shares = score_shares(histogram, bins)

    def draw(axes: Figure) -> None:
        for share, name, color in zip(shares, ("normal", "anomaly"), (INLIER, ANOMALY), strict=True):
            if share.any():
                axes.stairs(share, edges, fill=True, alpha=0.45, color=color, label=name)
        for style, (name, value) in zip(("-", "--", ":"), thresholds.items(), strict=False):
            if np.isfinite(value):
                axes.axvline(value, color="black", lw=1, ls=style, label=f"{name} {value:.3g}")
        axes.set(xlabel="raw score", ylabel="share of its pixels")
        axes.legend(fontsize=8)

    return _plot(draw)


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


def size_plot(rows: Sequence[tuple[str, int, float, float]], label: str = "size in pixels") -> str:
    """Bars of `by_size` or `by_foot`."""

    def draw(axes: Figure) -> None:
        place = np.arange(len(rows))
        axes.bar(place - 0.2, [row[2] for row in rows], 0.38, color=INLIER, label=f"found (sIoU ≥ {DETECTED})")
        axes.bar(place + 0.2, [row[3] for row in rows], 0.38, color=ANOMALY, label="pixels covered")
        axes.set_xticks(place, [f"{row[0]}\n{row[1]} objects" for row in rows], fontsize=7)
        axes.set(ylim=(0, 1.05), xlabel=label, ylabel="share")
        axes.legend(fontsize=8)

    return _plot(draw)


def latency_plot(milliseconds: Sequence[float]) -> str:
    """Histogram of the time per frame."""

    def draw(axes: Figure) -> None:
        axes.hist(milliseconds, bins=min(40, max(5, len(milliseconds) // 2)), color=INLIER)
        axes.set(xlabel="milliseconds from image to prediction", ylabel="frames", xlim=(0, None))

    return _plot(draw)


def confusion_plot(matrix: np.ndarray, names: Sequence[str]) -> str:
    """Confusion matrix `[K, K + 1]`, rows normalised."""

    def draw(axes: Figure) -> None:
        share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        axes.set_xticks(range(len(names) + 1), [*names, "none"], rotation=90, fontsize=7)
        axes.set_yticks(range(len(names)), names, fontsize=7)
        axes.set(xlabel="predicted", ylabel="truth")
        axes.grid(False)

    return _plot(draw, size=(5.2, 4.6))


def _plot(draw: object, size: tuple[float, float] = (5.2, 3.3)) -> str:
    with rc_context(STYLE):
        figure = Figure(figsize=size)
        draw(figure.subplots())  # type: ignore[operator]
        return plot_uri(figure)
