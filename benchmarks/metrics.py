"""Pooled pixel metrics: ours against scikit-learn on frames of 2048x1024. Prints a table and writes JSON.

    python benchmarks/metrics.py [--frames 100] [--sklearn-frames N] [--out benchmarks/results/metrics.json]

Each side runs in a process of its own, so that its peak memory is its own. Frames are made on the fly and their making
is not timed. scikit-learn needs all pixels at once, about 60 bytes for each; where that does not fit into the free
memory it gets as many frames as fit, and the table says so. Then ours runs on the same number of frames too, for the
comparison.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from oodseg_ros.evaluation.metrics.pixels import PixelMetrics

HEIGHT, WIDTH = 1024, 2048
KEYS = ("AP", "AUROC", "FPR95", "best_F1")
SKLEARN_BYTES = 60


def frames(count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Scores as a network gives them: a smooth map at quarter size, enlarged; 2 % anomalies, 10 % void."""
    for seed in range(count):
        rng = np.random.default_rng(seed)
        label = np.zeros((HEIGHT, WIDTH), np.uint8)
        for _ in range(6):
            center = (int(rng.integers(0, WIDTH)), int(rng.integers(HEIGHT // 3, HEIGHT)))
            axes = (int(rng.integers(10, 120)), int(rng.integers(10, 100)))
            cv2.ellipse(label, center, axes, float(rng.integers(0, 180)), 0, 360, 1, -1)
        small = rng.normal(-9, 3, (HEIGHT // 4, WIDTH // 4)).astype(np.float32)
        small += 5 * cv2.resize(label, (WIDTH // 4, HEIGHT // 4), interpolation=cv2.INTER_AREA)
        score = cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
        label[int(HEIGHT * 0.9) :] = 255
        yield score, label


def clock() -> np.ndarray:
    """Seconds on the wall and of this process on the CPU; the latter do not grow when other programs are running."""
    return np.asarray([time.perf_counter(), time.process_time()])


def timing(seconds: np.ndarray) -> dict[str, float]:
    """A difference of `clock()` by name."""
    return {"seconds": float(seconds[0]), "cpu_seconds": float(seconds[1])}


def run_ours(count: int) -> dict:
    """AP, AUROC, FPR95 and best F1 by `PixelMetrics`, with seconds and peak memory."""
    metrics, seconds = PixelMetrics(), np.zeros(2)
    for score, label in frames(count):
        start = clock()
        metrics.update(score, label)
        seconds += clock() - start
    start = clock()
    found = metrics.compute()
    seconds += clock() - start
    figures = {key: found[key] for key in (*KEYS, "AP_error", "AUROC_error")}
    return {**timing(seconds), "shift": metrics.histogram.shift, **figures}


def run_sklearn(count: int) -> dict:
    """The same by scikit-learn's functions on all pixels at once."""
    from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

    size = sum(int((label != 255).sum()) for _, label in frames(1)) * count
    scores, labels, end = np.empty(size, np.float32), np.empty(size, np.uint8), 0
    for score, label in frames(count):
        valid = label != 255
        begin, end = end, end + int(valid.sum())
        scores[begin:end], labels[begin:end] = score[valid], label[valid]
    start = clock()
    found = {"AP": average_precision_score(labels, scores), "AUROC": roc_auc_score(labels, scores)}
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    found["FPR95"] = fpr[np.argmax(tpr >= 0.95)]
    del fpr, tpr
    precision, recall, _ = precision_recall_curve(labels, scores)
    found["best_F1"] = np.nanmax(2 * precision * recall / (precision + recall))
    return {**timing(clock() - start), **{key: float(value) for key, value in found.items()}}


def measured(side: str, count: int) -> dict:
    """A side in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return {"side": side, "frames": count, **pool.apply(_child, (side, count))}


def _child(side: str, count: int) -> dict:
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    result = {"ours": run_ours, "sklearn": run_sklearn}[side](count)
    return {**result, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "imports_mib": base}


def main() -> None:
    """Run both sides, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--sklearn-frames", type=int, default=None, help="default: as many as the free memory holds")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "metrics.json")
    arguments = parser.parse_args()
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    fitting = int(0.8 * free / (HEIGHT * WIDTH * SKLEARN_BYTES))
    reference_frames = min(arguments.frames, arguments.sklearn_frames or max(1, fitting))

    rows = [measured("ours", arguments.frames)]
    if reference_frames != arguments.frames:
        rows.append(measured("ours", reference_frames))
    rows.append(measured("sklearn", reference_frames))
    ours, reference = rows[-2:]
    summary = {
        "speed_up": reference["cpu_seconds"] / ours["cpu_seconds"],
        "largest_difference": max(abs(ours[key] - reference[key]) for key in KEYS),
        "compared_on_frames": reference_frames,
    }
    table = Table(title=f"pooled pixel metrics, {HEIGHT}x{WIDTH}, {platform.machine()}, {os.cpu_count()} cores")
    for column in ("side", "frames", "wall s", "CPU s", "CPU ms/frame", "peak MiB", *KEYS, "AP bound"):
        table.add_column(column, justify="left" if column == "side" else "right")
    for row in rows:
        values = [f"{row[key]:.6f}" for key in KEYS] + [f"{row['AP_error']:.1e}" if "AP_error" in row else ""]
        per_frame = row["cpu_seconds"] / row["frames"] * 1e3
        numbers = [f"{row['seconds']:.2f}", f"{row['cpu_seconds']:.2f}", f"{per_frame:.1f}", f"{row['peak_mib']:.0f}"]
        table.add_row(row["side"], str(row["frames"]), *numbers, *values)
    console = Console(width=140)
    console.print(table)
    console.print(
        f"{summary['speed_up']:.1f} times as fast as scikit-learn on {reference_frames} frames by CPU time; "
        f"largest difference of a figure {summary['largest_difference']:.1e}"
    )
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps({"rows": rows, **summary}, indent=1) + "\n")
    console.print(f"written {arguments.out}")


if __name__ == "__main__":
    main()
