"""What `oodseg replay` shows."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ..evaluation.shards import this_shard
from ..inference.runner import Runner
from ..pipeline.obstacles.ego_mask import load_ego_mask
from ..pipeline.obstacles.settings import ObstacleSettings
from ..replay.run import ReplayOptions, replay_bags


def replay_and_show(
    bundle: str,
    bags: list[Path],
    out: Path,
    *,
    runner: dict[str, Any],
    threshold: float | None,
    min_area: int,
    ego_mask: Path | None,
    **options: Any,
) -> None:
    """Replay and print the headline."""
    shard = this_shard()
    settings = ObstacleSettings(threshold=threshold, min_area=min_area)
    mask = None if ego_mask is None else load_ego_mask(ego_mask)
    chosen = ReplayOptions(settings=settings, ego_mask=mask, shard=shard, **options)
    loaded = Runner.load(bundle, **runner)
    console = Console(quiet=shard.rank > 0)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.completed} frames"))
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        metrics = replay_bags(
            loaded, bags, out, chosen, lambda bag, done: bar.update(task, description=escape(bag), completed=done)
        )
    if metrics is None:
        return
    alerts = metrics["alerts"]
    console.print(f"{escape(metrics['bundle'])}: {metrics['frames']} frames, {metrics['duration_s']:.1f} s of driving")
    rates = [f"{_number(alerts['per_hour'])} per hour", f"{_number(alerts['per_kilometre'])} per kilometre"]
    console.print(f"alerts began {alerts['onsets']} times: {', '.join(rates)}", highlight=False)
    if "pixel" in metrics:
        pixel = metrics["pixel"]
        figures = ", ".join(f"{key} {100 * pixel[key]:.2f} %" for key in ("AP", "AUROC", "FPR95"))
        console.print(f"{figures} on {pixel['frames']} frames with ground truth", highlight=False)
    for run in metrics.get("bags", [metrics]):
        if run["damage"]:
            console.print(f"[yellow]{escape(run['bag'])}, damage:[/] {escape(run['damage'])}", highlight=False)
        for reason, count in list(run["skipped"].items())[:5]:
            console.print(f"[yellow]{count} frames skipped:[/] {escape(reason)}", highlight=False)
    console.print(f"alerts.csv, metrics.json and report.html are in {escape(str(out))}")


def _number(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.3g}"
