"""A training plan as a table."""

from __future__ import annotations

from datetime import timedelta

from rich.console import Console
from rich.table import Table

from ..training.plan import TrainingPlan
from ..training.recipe import Recipe


def show_plan(console: Console, recipe: Recipe, planned: TrainingPlan) -> None:
    """Print what `planned` would train, how long and in how much memory."""
    console.print(f"recipe {recipe.name}: {planned.frames} frames, crop {recipe.crop[1]}x{recipe.crop[0]}")
    console.print(planned.start)
    table = Table(caption="times: one process on this machine as busy as it is now, without loading data")
    for name in ("stage", "steps", "trained", "frozen", "s/step", "time", "GiB"):
        table.add_column(name, justify="left" if name == "stage" else "right", no_wrap=True)
    for stage in planned.stages:
        seconds = round(stage.steps * stage.step.seconds)
        table.add_row(
            stage.method,
            f"{stage.steps:,}",
            _short(stage.trained),
            _short(stage.frozen),
            f"{stage.step.seconds:.2f}",
            str(timedelta(seconds=seconds)),
            f"{stage.step.memory / 2**30:.2f}",
        )
    console.print(table)
    for stage in planned.stages:
        console.print(
            f"{stage.method}: {stage.images:,} images, {stage.trained:,} parameters trained, step {stage.step.how}"
        )


def _short(count: int) -> str:
    """1234567 → 1.23M."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return str(count)
