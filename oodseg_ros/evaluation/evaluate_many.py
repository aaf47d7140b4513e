"""Several bundles and several scores on one dataset, in one table and one page; a single run is the case of one."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..bundle import Bundle, load_bundle
from ..datasets.dataset import Dataset
from ..errors import ConfigError
from ..extras import advice
from ..inference.engine import ENGINES, chosen
from ..inference.runner import Runner
from ..paths import write_json
from .evaluate import Evaluation, EvaluationOptions, Progress, evaluate_scores
from .metrics.pixels import PixelMetrics, split
from .report import figures as report_figures
from .report import html
from .report.page import percent, score_name, write_report
from .results import write_submission
from .score_store import ScoreStore
from .score_variant import ScoreVariant, in_one_pass, with_score

MAX_PIXELS = 20_000_000
"""Pixels that scikit-learn is given at most, every n-th of all; it takes about 60 bytes for each."""


def compare_with_sklearn(store: ScoreStore, names: Sequence[str], most: int = MAX_PIXELS) -> dict[str, Any]:
    """Both sides' AP, AUROC, FPR95 and best F1 on every n-th judged pixel of the frames.

    Returns:
        `ours`, `scikit_learn`, `largest_difference`, `pixels`, `stride`; empty where a class is missing.

    Raises:
        ConfigError: scikit-learn is not installed.
    """
    try:
        from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve
    except ModuleNotFoundError as error:
        raise ConfigError(f"the check: {advice(error.name)}") from error
    total = sum(int((store.get(name)[1] != 255).sum()) for name in names)
    stride = max(1, -(-total // most))
    ours, scores, labels, offset = PixelMetrics(), [], [], 0
    for name in names:
        score, label, _ = store.get(name)
        # From frame to frame the choice goes on where it stopped, so that no column of the image is preferred.
        score, label = score.ravel()[offset::stride], label.ravel()[offset::stride]
        offset = (offset + 1) % stride
        negative, positive, _, _ = split(score, label)
        ours.update(score, label)
        scores += [negative, positive]
        labels += [np.zeros(negative.size, np.uint8), np.ones(positive.size, np.uint8)]
    if not all(ours.totals):
        return {}
    score, label = np.concatenate(scores), np.concatenate(labels)
    largest = np.finfo(np.float32)
    score = np.clip(score, largest.min, largest.max)  # scikit-learn refuses infinities
    fpr, tpr, _ = roc_curve(label, score, drop_intermediate=False)
    theirs = {
        "AP": average_precision_score(label, score),
        "AUROC": roc_auc_score(label, score),
        "FPR95": fpr[np.argmax(tpr >= 0.95)],
    }
    del fpr, tpr
    precision, recall, _ = precision_recall_curve(label, score)
    theirs["best_F1"] = np.nanmax(2 * precision * recall / np.maximum(precision + recall, 1e-300))
    found = ours.compute()
    return {
        "ours": {key: found[key] for key in theirs},
        "scikit_learn": {key: float(value) for key, value in theirs.items()},
        "largest_difference": max(abs(found[key] - float(value)) for key, value in theirs.items()),
        "pixels": int(score.size),
        "stride": stride,
    }


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
            score_name(run),
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
        f"{run['bundle'].split('@')[0]} {score_name(run)}": evaluation.curves.curve
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


def evaluate_many(
    bundles: Sequence[str],
    scores: Sequence[str],
    dataset: Dataset,
    out: Path,
    options: EvaluationOptions,
    *,
    runner: dict[str, Any],
    submission: bool = False,
    check: bool = False,
    progress: Progress = lambda stage, done, total: None,
    preparing: Callable[[str], AbstractContextManager[None]] = lambda text: nullcontext(),
) -> list[Evaluation]:
    """Evaluate every bundle with every score; each bundle's network runs once over the frames, whatever their number.

    One run writes into `out` itself; of several each has a folder of its own there, beside a common `metrics.json` and
    `report.html`.

    Args:
        bundles: paths, or names of shipped bundles.
        scores: score kinds; `own` = the one that the bundle ships.
        dataset: as `evaluate` wants it.
        out: made if absent.
        runner: keyword arguments of `Runner.load`.
        submission: also write `submission/*.hdf5`.
        check: also compare with scikit-learn.
        progress: called with (stage, done, total).
        preparing: see `Runner`; loading is told there, too.

    Returns:
        One evaluation per run; none in processes of rank above 0.

    Raises:
        ConfigError: another score than the bundle's own in a precision that must be built first, or with a coherence
            nothing but such scores; two bundles of the same name and weights.
    """
    variants: dict[str, Bundle] = {}
    for bundle in map(load_bundle, bundles):
        for score in scores:
            variant = with_score(bundle, None if score == "own" else score)
            other = variants.setdefault(variant.id, variant)
            if other.path.resolve() != variant.path.resolve():
                raise ConfigError(
                    f"{other.path} and {variant.path} have the same name and weights, so that their results could not "
                    "be told apart; evaluate each by itself, with an --out of its own"
                )
    if options.coherence is not None and all(isinstance(one, ScoreVariant) for one in variants.values()):
        raise ConfigError("--coherence is of a bundle's own score, and these are others: add --score own")
    precision = runner.get("precision", "fp32")
    engine, _ = chosen(runner.get("engine"), runner.get("device", "cpu"), precision)
    if precision not in ENGINES[engine].unbuilt and any(isinstance(one, ScoreVariant) for one in variants.values()):
        able = " or ".join(f"--engine {name}" for name, entry in ENGINES.items() if "fp32" in entry.unbuilt)
        raise ConfigError(
            "an engine that was built gives the bundle's own score only; for other scores take --precision fp32 and "
            f"{able}"
        )
    folders = {name: out if len(variants) == 1 else out / folder_name(name) for name in variants}

    def finish(evaluation: Evaluation) -> None:
        folder = folders[evaluation.metrics["bundle"]]
        if check and evaluation.curves is not None:
            names = [row["frame"] for row in evaluation.figures.rows]
            evaluation.metrics["check"] = compare_with_sklearn(evaluation.store, names)
            write_json(folder / "metrics.json", evaluation.metrics)
        write_report(evaluation, dataset, folder / "report.html")
        if submission:
            ids = {key: entry.item.id for key, entry in evaluation.work.items()}
            write_submission(evaluation.store, ids, folder / "submission")

    evaluations: dict[str, Evaluation] = {}
    for runs, answered in in_one_pass(list(variants.values())):
        prefix = "" if len(variants) == 1 else f"{runs.id} "
        with preparing(f"loading {runs.id}"):
            loaded = Runner.load(runs, **runner)
        loaded.preparing = preparing
        done = evaluate_scores(
            loaded,
            dataset,
            [(variant, folders[variant.id]) for variant in answered],
            # Of several, none gives up its score maps before the last is done: so all of it can be resumed.
            options if len(variants) == 1 else replace(options, keep_scores=True),
            lambda stage, done, total, prefix=prefix: progress(prefix + stage, done, total),
            finish,
        )
        evaluations |= {evaluation.metrics["bundle"]: evaluation for evaluation in done}
    found = [evaluations[name] for name in variants if name in evaluations]
    if len(found) > 1:
        write_comparison(found, out)
        if not options.keep_scores:
            for name in variants:
                shutil.rmtree(out / folder_name(name) / "state")
    return found
