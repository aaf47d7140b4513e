"""What a stage leaves to be looked at: `metrics.csv` over all its steps, resumes included, curves, and progress."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import lightning
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers.logger import Logger
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from ..paths import completed


class StageLog(Logger):
    """`metrics.csv`: one row per logged step; the union of all columns.

    Lightning's own CSV logger deletes what an earlier part of the same stage has written.
    """

    def __init__(self, folder: Path, finished: int) -> None:
        """Keep the rows of the first `finished` steps; later ones are of steps that are taken again."""
        super().__init__()
        self._file = folder / "metrics.csv"
        self._rows: dict[int, dict[str, Any]] = {}
        if finished and self._file.is_file():
            with self._file.open(newline="") as stream:
                self._rows = {int(row["step"]): row for row in csv.DictReader(stream) if int(row["step"]) < finished}

    @property
    def name(self) -> str:
        return self._file.parent.name

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """Nothing: the recipe is stored beside the log."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        new = step not in self._rows
        self._rows.setdefault(int(step or 0), {"step": step}).update(metrics)
        if new:
            self.save()

    @rank_zero_only
    def save(self) -> None:
        """Write all rows; the older file stays until the new one is complete."""
        columns = list(dict.fromkeys(key for row in self._rows.values() for key in row))
        with completed(self._file) as part, part.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, columns)
            writer.writeheader()
            writer.writerows(self._rows[step] for step in sorted(self._rows))

    def finalize(self, status: str) -> None:
        if self._rows:
            self.save()


class ShowSteps(lightning.Callback):
    """Steps of the whole stage, those before a resume included: a bar on a terminal, else a line for every tenth."""

    def __init__(self, console: Console, title: str, steps: int) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[loss]}"),
        )
        self._bar = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console)
        self._console, self._title, self._steps = console, title, steps
        self._task: TaskID | None = None

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if self._console.is_terminal:
            self._task = self._bar.add_task(self._title, total=self._steps, completed=trainer.global_step, loss="")
            self._bar.start()

    def on_train_batch_end(self, trainer: lightning.Trainer, pl_module: Any, outputs: Any, *_: Any) -> None:
        done = trainer.global_step
        tenth = max(1, self._steps // 10)
        if self._task is None and done % tenth and done < self._steps:
            return
        loss = f"loss {float(outputs['loss'] if isinstance(outputs, dict) else outputs):.4g}"
        if self._task is None:
            self._console.print(f"{self._title}: {done} of {self._steps} steps, {loss}", highlight=False)
        else:
            self._bar.update(self._task, completed=done, loss=loss)

    def on_train_end(self, *_: Any) -> None:
        if self._task is not None:
            self._bar.stop()

    def on_exception(self, *_: Any) -> None:
        self.on_train_end()


def plot_curves(folder: Path) -> Path:
    """Draw `folder/curves.png` from `folder/*/metrics.csv` (columns `step`, `loss`) and return its path."""
    from matplotlib.figure import Figure

    logs = sorted(folder.glob("*/metrics.csv"))
    figure = Figure(figsize=(6 * max(1, len(logs)), 4), layout="constrained")
    for index, log in enumerate(logs):
        with log.open(newline="") as stream:
            rows = [(int(row["step"]), float(row["loss"])) for row in csv.DictReader(stream) if row.get("loss")]
        axes = figure.add_subplot(1, len(logs), index + 1)
        axes.plot(*zip(*rows, strict=True) if rows else ([], []))
        axes.set(title=log.parent.name, xlabel="step", ylabel="loss")
        axes.grid(alpha=0.3)
    path = folder / "curves.png"
    figure.savefig(path, dpi=100)
    return path
