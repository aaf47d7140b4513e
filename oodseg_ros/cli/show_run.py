"""What `oodseg run` shows: progress while it works, a table at the end."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from ..frame import AlertState
from ..inference.runner import Runner
from ..pipeline.obstacles.ego_mask import load_ego_mask
from ..pipeline.obstacles.ground import pinhole
from ..pipeline.obstacles.settings import ObstacleSettings
from ..replay.offline_run import STAGES, RunOptions, RunSummary, run_source
from ..sources.open_source import open_source
from ..sources.source import Source

STYLES = {AlertState.CLEAR: "green", AlertState.OBSTACLE: "yellow", AlertState.UNKNOWN: "red"}


def run_and_show(
    bundle: str,
    path: str,
    out: Path,
    *,
    engine: str | None,
    device: str,
    threads: int,
    limit: int | None,
    topics: list[str] | None,
    threshold: float | None,
    min_area: int,
    ego_mask: Path | None,
    mount: tuple[float, float, float] | None,
    **options: Any,
) -> RunSummary:
    """Run and print; `mount` = (height in metres, pitch in degrees, horizontal field of view in degrees)."""
    settings = ObstacleSettings(threshold=threshold, min_area=min_area)
    source = open_source(path, topics)
    mask = None if ego_mask is None else load_ego_mask(ego_mask)
    runner = Runner.load(bundle, engine=engine, device=device, threads=threads)
    geometry = None
    if mount is not None:
        height, pitch, fov = mount
        geometry = lambda h, w: pinhole(w, h, math.radians(fov), height, math.radians(pitch))  # noqa: E731
    console = Console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    total = source.count if limit is None else min(limit, source.count or limit)
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(escape(source.name), total=total)
        summary = run_source(
            runner,
            source,
            settings,
            RunOptions(out=out, limit=limit, geometry=geometry, ego_mask=mask, **options),
            lambda done: bar.update(task, completed=done),
        )
    print_summary(console, runner, source, summary, out)
    return summary


def print_summary(console: Console, runner: Runner, source: Source, summary: RunSummary, out: Path) -> None:
    """States per camera, changes, timing, and what could not be read."""
    console.print(f"{runner.bundle.id} on {runner.engine_identity}: {summary.frames} frames of {escape(source.name)}")
    table = Table("camera", *(state.value for state in AlertState), title="frames per state")
    for camera, states in summary.states.items():
        table.add_row(escape(camera), *(f"[{STYLES[state]}]{states[state]}[/]" for state in AlertState))
    console.print(table)
    for camera, stamp, state, reason in summary.changes[:20]:
        console.print(
            f"  {stamp / 1e9:.2f} s  {escape(camera)}  [{STYLES[state]}]{state.value}[/] ({reason})", highlight=False
        )
    if len(summary.changes) > 20:
        console.print(f"  … {len(summary.changes) - 20} more changes in alerts.csv")
    timing = Table("stage", "p50 ms", "p95 ms", "max ms", title=f"{summary.wall_s:.1f} s in all")
    for stage in STAGES:
        if summary.seconds[stage]:
            milliseconds = 1e3 * np.array(summary.seconds[stage])
            figures = (*np.percentile(milliseconds, (50, 95)), milliseconds.max())
            timing.add_row(stage, *(f"{value:.1f}" for value in figures))
    console.print(timing)
    for reason, count in summary.skipped.most_common(5):
        console.print(f"[yellow]{count} frames skipped:[/] {escape(reason)}", highlight=False)
    if summary.damage:
        console.print(f"[yellow]damage:[/] {escape(summary.damage)}", highlight=False)
    console.print(f"overlays and alerts.csv are in {escape(str(out))}")
