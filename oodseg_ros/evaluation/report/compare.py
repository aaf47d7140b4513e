"""Several evaluations of one dataset in one table and one page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..evaluate import Evaluation
from ..results import write_json
from . import figures as report_figures
from . import html
from .page import percent

ANOMALY = {
    "AP": ("pixel", "AP"),
    "AUROC": ("pixel", "AUROC"),
    "FPR95": ("pixel", "FPR95"),
    "best F1": ("pixel", "best_F1"),
    "sIoU": ("component", "sIoU"),
    "PPV": ("component", "PPV"),
    "mean F1": ("component", "F1"),
}
SEMANTIC = {name: ("semantic", name) for name in ("mIoU", "mAcc", "pixel_accuracy")}


def columns(metrics: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Column title → where the figure stands in `metrics.json`."""
    return ANOMALY if "pixel" in metrics else SEMANTIC


def table_rows(runs: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Text of the comparison: bundle, figures in %, median latency in ms, frames."""
    return [
        [
            run["bundle"].split(":")[0],
            run["score"],
            *(percent(run[part][key]) for part, key in columns(run).values()),
            f"{run['latency_ms']['p50']:.0f}",
            str(run["frames"]),
        ]
        for run in runs
    ]


def table_columns(runs: Sequence[dict[str, Any]]) -> list[str]:
    """Titles of `table_rows`."""
    return ["bundle", "score", *columns(runs[0]), "ms", "frames"]


def folder_name(run: str) -> str:
    """A plain folder name for a bundle's id, which may hold `@` and `:`."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", run)


def write_comparison(evaluations: Sequence[Evaluation], out: Path) -> None:
    """`metrics.json` with the list `runs`, and `report.html` with the table, common curves and links to the reports."""
    runs = [evaluation.metrics for evaluation in evaluations]
    write_json(out / "metrics.json", {"dataset": runs[0]["dataset"], "runs": runs})
    titles, rows = table_columns(runs), table_rows(runs)
    for row, run in zip(rows, runs, strict=True):
        link = f'<a href="{folder_name(run["bundle"])}/report.html">{html.text(row[0])}</a>'
        row[0] = html.Html(link)
    parts = [html.section("Comparison in %", html.table(titles, rows))]
    curves = {
        f"{run['bundle'].split('@')[0]} {run['score']}": evaluation.curves.curve
        for run, evaluation in zip(runs, evaluations, strict=True)
        if evaluation.curves is not None and len(evaluation.curves.curve)
    }
    if curves:
        figures = [
            html.figure(report_figures.pr_plot(curves), "Precision and recall"),
            html.figure(report_figures.roc_plot(curves), "Recall and false-positive rate"),
        ]
        parts.append(html.section("Curves", html.gallery(figures, 380)))
    parts.append(html.section("Provenance", html.pairs(runs[0]["provenance"].items())))
    page = html.page(f"{len(runs)} runs on {runs[0]['dataset']['name']}", parts, f"{runs[0]['frames']} frames")
    (out / "report.html").write_text(page)
