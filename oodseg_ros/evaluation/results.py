"""Files that an evaluation leaves: `metrics.json` and `frames.csv`."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np


def per_image_averages(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over frames of the frames' own figures - not the pooled ones, and named so everywhere.

    A frame without anomaly has no AP, AUROC, FPR95 and F1 and is left out of those means.
    """
    means: dict[str, Any] = {}
    for key in ("AP", "AUROC", "FPR95", "best_F1", "pixel_accuracy"):
        values = np.asarray([row[key] for row in rows if key in row], float)
        values = values[~np.isnan(values)]
        if values.size:
            means[key] = float(values.mean())
            means["frames"] = int(values.size)
    return means


def latency(milliseconds: Sequence[float]) -> dict[str, float]:
    """Distribution of the time from an image to its prediction, in milliseconds; nan without frames."""
    if not len(milliseconds):
        return dict.fromkeys(("p50", "p95", "p99", "max"), math.nan)
    p50, p95, p99 = np.percentile(milliseconds, [50, 95, 99]).tolist()
    return {"p50": p50, "p95": p95, "p99": p99, "max": float(max(milliseconds))}


def write_json(path: Path, data: Any) -> None:
    """Write as JSON, complete or not at all; nan and infinities become null, because JSON has none."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(finite(data), indent=1, allow_nan=False) + "\n")
    part.replace(path)


def finite(data: Any) -> Any:
    """The same with numpy numbers as Python's, and with nan and infinities as None."""
    if isinstance(data, dict):
        return {key: finite(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [finite(value) for value in data]
    if isinstance(data, np.generic):
        data = data.item()
    return None if isinstance(data, float) and not math.isfinite(data) else data


def write_frames(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """One line per frame; columns are the union of the rows' keys, in order of first appearance."""
    columns = list(dict.fromkeys(key for row in rows for key in row)) or ["frame"]
    part = path.with_name(f".{path.name}.part")
    with part.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        for row in rows:
            writer.writerow({key: f"{value:.6g}" if isinstance(value, float) else value for key, value in row.items()})
    part.replace(path)
