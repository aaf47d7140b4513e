"""A training plan as a table."""

from __future__ import annotations

from datetime import timedelta

from rich.console import Console
from rich.table import Table

from ..training.plan import TrainingPlan
from ..training.recipe import Recipe


def show_plan(console: Console, recipe: Recipe, planned: TrainingPlan) -> None:
    """Print what `planned` would train, how long and in how much memory."""
    title = f"recipe {recipe.name}: {planned.frames} frames, crop {recipe.crop[1]}x{recipe.crop[0]}"
    table = Table(
        title=title, caption=f"{planned.start}; time of one process without its data loading, on this machine"
    )
    for name in ("stage", "steps", "images", "trained", "frozen", "s/step", "time", "memory"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    table.add_column("how")
    for stage in planned.stages:
        seconds = round(stage.steps * stage.step.seconds)
        table.add_row(
            stage.method,
            f"{stage.steps:,}",
            f"{stage.images:,}",
            f"{stage.trained:,}",
            f"{stage.frozen:,}",
            f"{stage.step.seconds:.2f}",
            str(timedelta(seconds=seconds)),
            f"{stage.step.memory / 2**30:.2f} GiB",
            stage.step.how,
        )
    console.print(table)
