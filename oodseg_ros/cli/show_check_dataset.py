"""What `oodseg check-dataset` shows."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from ..datasets.check import CheckReport, check_dataset
from ..datasets.registry import open_dataset

MAX_PROBLEMS = 20


def check_and_show(
    name: str,
    root: Path,
    split: str | None,
    labels: str | None,
    limit: int | None,
    workers: int,
    report_file: Path | None,
) -> bool:
    """Check and print; returns whether all is well."""
    dataset = open_dataset(name, root, split, labels)
    console = Console()
    steps = iter(track(range(len(dataset.items[:limit])), "reading", console=console, transient=True))
    report = check_dataset(dataset, limit, workers, lambda done, total: next(steps, None))
    for _ in steps:
        pass
    show(report, console)
    if report_file:
        report_file.parent.mkdir(parents=True, exist_ok=True)
        report_file.write_text(json.dumps(report.to_dict(), indent=2) + "\n")
    return report.ok


def show(report: CheckReport, console: Console) -> None:
    """Print a report."""
    table = Table(title=f"{report.name} {report.split}".strip(), show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(overflow="fold")
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
    for title, text in rows:
        table.add_row(title, escape(text))
    console.print(table)
    for note in report.notes:
        console.print(f"[yellow]note:[/] {escape(note)}", highlight=False)
    for problem in report.problems[:MAX_PROBLEMS]:
        console.print(f"[red]problem:[/] {escape(problem)}", highlight=False)
    if len(report.problems) > MAX_PROBLEMS:
        console.print(f"[red]and {len(report.problems) - MAX_PROBLEMS} more problems[/]")
    if report.ok:
        console.print("[green]all is as it should be[/]")
