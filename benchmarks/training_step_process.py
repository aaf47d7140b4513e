"""Training steps of this commit or of an earlier one, in a process of its own; see `training_step.py --against`.

Only what both commits have is used here. Talks JSON lines: a command in, an answer out.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import oodseg_ros
from oodseg_ros.labels import load_labels
from oodseg_ros.training.recipe import load_recipe
from oodseg_ros.training.start import load_start
from oodseg_ros.training.train import segmentor_of

try:
    from oodseg_ros.training.methods import stage_class
except ImportError:
    from oodseg_ros.training.stages import STAGES

    stage_class = STAGES.__getitem__

try:
    from oodseg_ros.training.run_stage import keep_freed_memory
except ImportError:  # training did not call it then
    keep_freed_memory = bool


def train(module: Any, batches: list[list[torch.Tensor]]) -> tuple[list[float], list[float]]:
    """Wall and CPU seconds of one optimiser step per batch, as Lightning's loop takes it on a processor."""
    made = module.configure_optimizers()
    optimizer, schedule = made["optimizer"], made["lr_scheduler"]["scheduler"]
    wall, cpu = [], []
    for images, target in batches:
        began, used = time.perf_counter(), time.process_time()
        loss = sum(module.terms(module.normalize(images), target, None).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        wall.append(time.perf_counter() - began)
        cpu.append(time.process_time() - used)
    return wall, cpu


def main() -> None:
    """Load the recipe's first stage, then answer commands until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is not an answer
    task = json.loads(sys.argv[1])
    torch.set_num_threads(task["threads"])
    recipe = load_recipe(Path(task["recipe"]))
    torch.manual_seed(recipe.seed)
    segmentor = segmentor_of(recipe, load_labels(recipe.label_set))
    load_start(segmentor, recipe)
    if task["start"]:
        segmentor.load_state_dict(torch.load(task["start"], weights_only=True))
    spec = recipe.stages[0]
    module = stage_class(spec.method)(segmentor, recipe.input, spec, recipe.seed)
    module = module.to(memory_format=torch.channels_last)  # as `run_stage` does, in either commit
    keep_freed_memory()

    def say(**answer: Any) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    say(package=oodseg_ros.__file__, threads=torch.get_num_threads())
    for line in sys.stdin:
        command = json.loads(line)
        if "batches" in command:
            kept = np.load(command["batches"])
            pairs = zip(kept["images"], kept["targets"], strict=True)
            wall, cpu = train(module, [[torch.from_numpy(values) for values in pair] for pair in pairs])
            say(wall=wall, cpu=cpu)
        else:
            torch.save(segmentor.state_dict(), command["save"])
            say(trained=[name for name, values in segmentor.named_parameters() if values.requires_grad])


if __name__ == "__main__":
    main()
