"""`oodseg check-dataset`: is this dataset laid out and labeled as it should be?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from . import options
from .output import Output

if TYPE_CHECKING:
    from ..datasets.check import CheckReport

MAX_PROBLEMS = 20


def command(
    name: Annotated[str, typer.Argument(help="Dataset, e.g. road_anomaly_21, fishyscapes_laf, cityscapes, folder.")],
    root: Annotated[Path, typer.Option(help="Folder that holds it.")],
    split: Annotated[str | None, typer.Option(help="Which part; `all` joins them. Default: the evaluated one.")] = None,
    labels: options.Labels = None,
    unknown: options.Unknown = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Read only the first frames.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Threads.")] = 2,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Read every frame of a dataset; report counts, sizes, label values, classes and everything that is wrong."""
    from ..datasets.check import check_dataset
    from ..datasets.registry import open_dataset

    dataset = open_dataset(name, root, split, labels, unknown)
    shown = Output(json, quiet)
    with shown.progress() as bar:
        task = bar.add_task("reading", total=len(dataset.items[:limit]))
        report = check_dataset(dataset, limit, workers, lambda done, total: bar.update(task, completed=done))
    show(report, shown)
    for problem in report.problems[:MAX_PROBLEMS]:
        shown.warn(f"problem: {problem}")
    if len(report.problems) > MAX_PROBLEMS:
        shown.warn(f"and {len(report.problems) - MAX_PROBLEMS} more problems")
    shown.result(report.to_dict())
    if not report.ok:
        raise typer.Exit(1)


def show(report: CheckReport, shown: Output) -> None:
    """Print a report."""
    read = "" if report.checked == report.frames else f", {report.checked} of them read"
    rows = [
        ("folder", report.root),
        ("layout", report.layout),
        ("frames", f"{report.frames}, {report.scored} with ground truth{read}"),
        ("sizes", ", ".join(f"{w}x{h}: {count}" for (w, h), count in report.sizes.items())),
        ("label values", ", ".join(f"{value}: {count:,}" for value, count in report.values.items())),
        ("share of pixels", ", ".join(f"{label} {share:.2%}" for label, share in report.shares.items())),
        ("ignored pixels", f"{report.ignored:.2%}" + (f", {report.void} frames wholly" if report.void else "")),
    ]
    if report.kind == "anomaly":
        rows.append(("frames without anomaly", str(report.without_anomaly)))
    shown.facts(dict(rows), f"{report.name} {report.split}".strip())
    for note in report.notes:
        shown.say(f"[yellow]note:[/] {escape(note)}")
    if report.ok:
        shown.say("[green]all is as it should be[/]")
