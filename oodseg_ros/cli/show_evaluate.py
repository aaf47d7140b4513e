"""What `oodseg evaluate` shows: progress while it works, a table at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from ..datasets.registry import open_dataset
from ..errors import ConfigError
from ..evaluation.evaluate import EvaluationOptions
from ..evaluation.evaluate_many import evaluate_many
from ..evaluation.metrics.recall import CameraMount
from ..evaluation.record import record_metrics
from ..evaluation.report.compare import table_columns, table_rows
from ..evaluation.shards import this_shard


def evaluate_and_show(
    bundles: list[str],
    scores: list[str],
    dataset: str,
    root: Path,
    out: Path,
    *,
    split: str | None,
    labels: str | None,
    runner: dict[str, Any],
    submission: bool,
    check: bool,
    record: bool,
    mount: tuple[float, float, float] | None,
    **options: Any,
) -> None:
    """Evaluate every bundle with every score and print the comparison."""
    shard = this_shard()
    opened = open_dataset(dataset, root, split, labels)
    console = Console(quiet=shard.rank > 0)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        tasks: dict[str, TaskID] = {}

        def progress(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(escape(stage))
            bar.update(tasks[stage], completed=done, total=total)

        evaluations = evaluate_many(
            bundles,
            scores,
            opened,
            out,
            EvaluationOptions(shard=shard, mount=None if mount is None else CameraMount(*mount), **options),
            runner=runner,
            submission=submission,
            check=check,
            progress=progress,
        )
    runs = [evaluation.metrics for evaluation in evaluations]
    if not runs:
        return
    table = Table(padding=(0, 0), title=f"{escape(opened.name)}, {runs[0]['frames']} frames, in %")
    for column in table_columns(runs):
        if column in ("bundle", "score"):
            table.add_column(column, overflow="fold")
        else:
            table.add_column(column, justify="right", no_wrap=True)
    for row in table_rows(runs):
        table.add_row(*map(escape, row))
    console.print(table)
    for run in runs:
        for note in run["notes"]:
            console.print(f"[yellow]{escape(run['bundle'])}:[/] {escape(note)}", highlight=False)
        for name, why in list(run["skipped"].items())[:5]:
            console.print(f"  [yellow]{escape(name)}:[/] {escape(why)}", highlight=False)
        if run.get("check"):
            difference, pixels = run["check"]["largest_difference"], run["check"]["pixels"]
            console.print(f"scikit-learn on {pixels:,} of the pixels: largest difference {difference:.1e}")
    if record:
        if len(runs) > 1:
            raise ConfigError("--record is for one bundle with its own score; leave out --also and --score")
        console.print(f"figures recorded in the card of {record_metrics(bundles[0], opened.name, runs[0]).path}")
    console.print(f"metrics.json, frames.csv and report.html are in {escape(str(out))}")
