"""Several bundles and several scores on one dataset; a single run is the case of one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..bundle import load_bundle
from ..datasets.dataset import Dataset
from ..inference.runner import Runner
from .evaluate import Evaluation, EvaluationOptions, Progress, evaluate
from .metrics.sklearn_check import compare_with_sklearn
from .report.compare import folder_name, write_comparison
from .report.page import write_report
from .results import write_json, write_submission
from .score_variant import with_score


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
    """Evaluate every bundle with every score.

    One run writes into `out` itself; of several each has a folder of its own there, beside a common `metrics.json` and
    `report.html`.

    Args:
        bundles: paths, or names of shipped bundles.
        scores: score kinds; `own` = the one that the bundle ships.
        dataset: as `evaluate` wants it.
        out: made if absent.
        options: for each run.
        runner: keyword arguments of `Runner.load`.
        submission: also write `submission/*.hdf5`.
        check: also compare with scikit-learn.
        progress: called with (stage, done, total).
        preparing: see `Runner`; loading is told there, too.

    Returns:
        One evaluation per run; none in processes of rank above 0.
    """
    variants = {}
    for bundle in map(load_bundle, bundles):
        for score in scores:
            variant = with_score(bundle, None if score == "own" else score)
            variants[variant.id] = variant
    found = []
    for name, variant in variants.items():
        folder = out if len(variants) == 1 else out / folder_name(name)

        def finish(evaluation: Evaluation, folder: Path = folder) -> None:
            if check and evaluation.curves is not None:
                names = [row["frame"] for row in evaluation.figures.rows]
                evaluation.metrics["check"] = compare_with_sklearn(evaluation.store, names)
                write_json(folder / "metrics.json", evaluation.metrics)
            write_report(evaluation, dataset, folder / "report.html")
            if submission:
                ids = {key: entry.item.id for key, entry in evaluation.work.items()}
                write_submission(evaluation.store, ids, folder / "submission")

        prefix = "" if len(variants) == 1 else f"{name} "
        with preparing(f"loading {name}"):
            loaded = Runner.load(variant, **runner)
        loaded.preparing = preparing
        evaluation = evaluate(
            loaded,
            dataset,
            folder,
            # Of several, none gives up its score maps before the last is done: so all of it can be resumed.
            options if len(variants) == 1 else replace(options, keep_scores=True),
            lambda stage, done, total, prefix=prefix: progress(prefix + stage, done, total),
            finish,
        )
        if evaluation is not None:
            found.append(evaluation)
    if len(found) > 1:
        write_comparison(found, out)
        if not options.keep_scores:
            for name in variants:
                shutil.rmtree(out / folder_name(name) / "state")
    return found
