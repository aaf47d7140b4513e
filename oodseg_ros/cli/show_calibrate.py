"""What `oodseg calibrate` shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..datasets.registry import open_dataset
from ..evaluation.calibration.calibrate import CalibrationResult, calibrate, parse_target, write_calibration
from ..inference.runner import Runner


def calibrate_and_show(
    bundle: str,
    dataset: str,
    root: Path,
    target: str,
    out: Path | None,
    *,
    split: str | None,
    limit: int | None,
    rate: float | None,
    runner: dict[str, Any],
    **more: Any,
) -> CalibrationResult:
    """Calibrate, write, and print what is guaranteed."""
    wanted = parse_target(target, rate, **more)
    opened = open_dataset(dataset, root, split)
    loaded = Runner.load(bundle, **runner)
    console = Console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(escape(opened.name))
        result = calibrate(
            loaded, opened, wanted, limit, progress=lambda done, total: bar.update(task, completed=done, total=total)
        )
    before = loaded.bundle.card.calibration.threshold
    written = write_calibration(loaded.bundle, result.calibration, out)
    console.print(f"{escape(written.id)}: threshold {before:.6g} -> [bold]{result.choice.threshold:.6g}[/]")
    console.print(escape(result.calibration.source), highlight=False)
    if result.held_out is not None and result.held_out_risk > result.choice.bound:
        console.print(
            f"[yellow]The held-out half gave {result.held_out_risk:.4g}, above {result.choice.bound:g}:[/] "
            "within chance for few frames, or the frames are too unlike each other.",
        )
    for name, why in list(result.skipped.items())[:5]:
        console.print(f"[yellow]{escape(name)}:[/] {escape(why)}", highlight=False)
    console.print(f"written to {escape(str(written.path))}")
    return result
