"""A training as a process for `training_step.py --against`, of this checkout or of an earlier one (PYTHONPATH).

Argument: {"recipe": FILE, "out": folder, "threads": n, "batches": FILE or null, "weights": FILE, "after": n}. `train`
runs as `oodseg train` does, and waits at first and after every {"steps": n} from standard input, which it answers with
what these steps took: {"seconds": …, "cpu": …}, processor seconds with those of the loader. With `batches` these stand
for the loader. What learns is stored in `weights` as it is at first and after the step `after`. Ends with its input.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
from pathlib import Path
from typing import Any

import lightning
import torch


class Turns(lightning.Callback):
    """Takes steps when it is told to."""

    def __init__(self, answers: Any, task: dict[str, Any]) -> None:
        self._answers, self._task = answers, task
        self._left, self._began, self._cpu = 0, 0.0, 0.0
        self._weights: list[dict[str, torch.Tensor]] = []

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._note(pl_module)
        self._cpu = processor_seconds()
        self._answer({"ready": True})

    def on_train_batch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: Any) -> None:
        if trainer.global_step == self._task["after"]:
            self._note(pl_module)
            torch.save(self._weights, self._task["weights"])
        self._left -= 1
        if not self._left:
            cpu = processor_seconds()
            # From one answer to the next: what a loader did while nobody asked was for these steps too.
            took, self._cpu = cpu - self._cpu, cpu
            self._answer({"seconds": time.perf_counter() - self._began, "cpu": took})

    def _answer(self, answer: dict[str, Any]) -> None:
        print(json.dumps(answer), file=self._answers, flush=True)
        line = sys.stdin.readline()
        if not line:
            for child in multiprocessing.active_children():
                child.kill()
            os._exit(0)
        self._left, self._began = json.loads(line)["steps"], time.perf_counter()

    def _note(self, module: lightning.LightningModule) -> None:
        self._weights.append({n: p.detach().clone() for n, p in module.named_parameters() if p.requires_grad})


def processor_seconds() -> float:
    """Of this process and of those that it started."""
    total = time.process_time()
    for child in multiprocessing.active_children():
        fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def main() -> None:
    """Train."""
    from oodseg_ros.training.recipe import load_recipe
    from oodseg_ros.training.train import train

    task = json.loads(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # progress bars are no answers
    batches = torch.load(task["batches"], weights_only=True) if task["batches"] else None
    fit = lightning.Trainer.fit

    def fit_in_turns(trainer: lightning.Trainer, module: Any, loader: Any, **named: Any) -> None:
        trainer.callbacks.append(Turns(answers, task))
        given = loader if batches is None else torch.utils.data.DataLoader(batches, batch_size=None)
        fit(trainer, module, given, **named)

    lightning.Trainer.fit = fit_in_turns
    train(load_recipe(task["recipe"]), Path(task["out"]), threads=task["threads"])


if __name__ == "__main__":
    main()
