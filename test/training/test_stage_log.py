"""The log of a stage covers all its parts, and steps that are taken again stand in it once."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from types import SimpleNamespace

from rich.console import Console

from oodseg_ros.training.stage_log import ShowSteps, StageLog


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_resumed_stage_keeps_the_rows_of_its_first_part(tmp_path: Path) -> None:
    first = StageLog(tmp_path, finished=0)
    for step in (19, 39, 59):
        first.log_metrics({"lr": 0.1}, step)
        first.log_metrics({"loss": float(step)}, step)
    first.finalize("failed")
    second = StageLog(tmp_path, finished=40)  # the checkpoint is older than the last row
    second.log_metrics({"loss": 1.0, "new": 2.0}, 59)
    second.finalize("success")
    assert [(row["step"], row["loss"], row["new"]) for row in rows(tmp_path)] == [
        ("19", "19.0", ""),
        ("39", "39.0", ""),
        ("59", "1.0", "2.0"),
    ]


def test_a_new_stage_begins_an_empty_log(tmp_path: Path) -> None:
    for loss in (1.0, 2.0):
        log = StageLog(tmp_path, finished=0)
        log.log_metrics({"loss": loss}, 0)
        log.finalize("success")
    assert [row["loss"] for row in rows(tmp_path)] == ["2.0"]


def test_progress_counts_the_whole_stage_without_a_terminal() -> None:
    console = Console(file=io.StringIO(), width=80)
    shown = ShowSteps(console, "stage 1 rpl", 20)
    trainer = SimpleNamespace(global_step=10)
    shown.on_train_start(trainer, None)
    for trainer.global_step in range(11, 21):
        shown.on_train_batch_end(trainer, None, {"loss": 0.5}, None, 0)
    shown.on_train_end()
    lines = console.file.getvalue().splitlines()
    assert lines[0] == "stage 1 rpl: 12 of 20 steps, loss 0.5"
    assert lines[-1] == "stage 1 rpl: 20 of 20 steps, loss 0.5"
    assert len(lines) == 5
