"""One PNG with the loss curve of every stage, from the CSV logs."""

from __future__ import annotations

import csv
from pathlib import Path


def plot_curves(folder: Path) -> Path:
    """Draw `folder/curves.png` from `folder/*/metrics.csv` (columns `step`, `loss`) and return its path."""
    from matplotlib.figure import Figure

    logs = sorted(folder.glob("*/metrics.csv"))
    figure = Figure(figsize=(6 * max(1, len(logs)), 4), layout="constrained")
    for index, log in enumerate(logs):
        with log.open(newline="") as stream:
            rows = [(int(row["step"]), float(row["loss"])) for row in csv.DictReader(stream) if row.get("loss")]
        axes = figure.add_subplot(1, len(logs), index + 1)
        axes.plot(*zip(*rows, strict=True) if rows else ([], []))
        axes.set(title=log.parent.name, xlabel="step", ylabel="loss")
        axes.grid(alpha=0.3)
    path = folder / "curves.png"
    figure.savefig(path, dpi=100)
    return path
