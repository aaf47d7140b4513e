"""This commit's training step against an earlier commit's in one run; see `training_step.py --against`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from inference_against import ROOT, EngineProcess, checkout

from oodseg_ros.labels import load_labels
from oodseg_ros.training.frames import load_frames
from oodseg_ros.training.recipe import load_recipe
from oodseg_ros.training.run_stage import seen_by
from oodseg_ros.training.samples import Samples

WARM = 3
"""First steps of a process, which are not timed."""


def same_recipe(path: Path, start: Path, folder: Path) -> Path:
    """The earlier commit's recipe as both can take the same steps of it.

    It starts from that commit's bundle; in float32, because a processor without bf16 imitates it; and without warm-up,
    whose first rate was 1 / warmup and is 0 now, as in the papers' code.
    """
    told = yaml.safe_load(path.read_text())
    stages = [stage | {"warmup": 0} for stage in told["stages"]]
    written = folder / path.name
    written.write_text(yaml.safe_dump(told | {"start": str(start), "precision": "fp32", "stages": stages}))
    return written


def write_batches(path: Path, steps: int, file: Path) -> int:
    """The recipe's first batches as this commit makes them, uint8 `[steps, batch, …]`; returns the batch."""
    recipe = load_recipe(path)
    labels, spec = load_labels(recipe.label_set), recipe.stages[0]
    frames = load_frames(recipe.data, labels)
    samples = Samples.of(seen_by(recipe, spec), frames, labels, recipe.seed, 0, steps * spec.batch)
    images, targets = (
        torch.stack(values) for values in zip(*map(samples.__getitem__, range(len(samples))), strict=True)
    )
    shape = (steps, spec.batch)
    np.savez(file, images=images.unflatten(0, shape).numpy(), targets=targets.unflatten(0, shape).numpy())
    return spec.batch


def compare(commit: str, names: list[str], bundle: str, steps: int, pairs: int, folder: Path) -> list[dict[str, Any]]:
    """One row per recipe of the earlier commit.

    Args:
        commit: the earlier one.
        names: of its recipes under `config/train`, each of one stage.
        bundle: of its bundle under `models/`, from which they start.
        steps: taken by every process, from the same weights on the same batches.
        pairs: runs of each commit, every one in a process of its own.
        folder: for the worktree and what is passed on.
    """
    with checkout(commit, folder) as old_root:
        return [_row(old_root, old_root / "config" / "train" / name, bundle, steps, pairs, folder) for name in names]


def _row(old_root: Path, path: Path, bundle: str, steps: int, pairs: int, folder: Path) -> dict[str, Any]:
    recipe = same_recipe(path, old_root / "models" / bundle, folder)
    batches, start = folder / "batches.npz", folder / "start.pt"
    batch = write_batches(recipe, steps, batches)
    start.unlink(missing_ok=True)
    roots = {"old": old_root, "new": ROOT}
    wall: dict[str, list[float]] = {name: [] for name in roots}
    cpu: dict[str, list[float]] = {name: [] for name in roots}
    trained: list[str] = []
    for index in range(pairs):
        for name in ("old", "new") if index % 2 == 0 else ("new", "old"):
            task = {"way": f"{name} {path.stem}", "recipe": str(recipe), "threads": os.cpu_count()}
            task["start"] = str(start) if start.exists() else ""
            script = str(ROOT / "benchmarks" / "training_step_process.py")
            process = EngineProcess(roots[name], folder / f"cache-{name}", task, script)
            try:
                if not Path(process.started["package"]).is_relative_to(roots[name]):
                    raise RuntimeError(f"{name} ran {process.started['package']}")
                if not task["start"]:
                    process.ask(save=str(start))
                taken = process.ask(batches=str(batches))
                trained = process.ask(save=str(folder / f"{name}.pt"))["trained"]
            finally:
                process.close()
            wall[name].append(float(np.median(taken["wall"][WARM:])))
            cpu[name].append(float(np.median(taken["cpu"][WARM:])))
    return {
        "recipe": path.stem,
        "batch": batch,
        "steps": steps,
        "pairs": pairs,
        "images_per_second": {name: batch / float(np.median(found)) for name, found in wall.items()},
        "ratio": float(np.median(np.divide(wall["old"], wall["new"]))),
        "ratios": np.divide(wall["old"], wall["new"]).tolist(),
        "cpu_seconds": {name: float(np.median(found)) for name, found in cpu.items()},
        "cpu_ratio": float(np.median(np.divide(cpu["old"], cpu["new"]))),
        "weights": differences(*(torch.load(folder / f"{n}.pt") for n in ("start", "old", "new")), trained),
        "load_at_end": os.getloadavg()[0],
    }


def differences(start: dict, old: dict, new: dict, trained: list[str]) -> dict[str, float]:
    """How far apart two trainings from `start` ended, over the tensors `trained`.

    Returns:
        `largest`: largest difference of a weight, as a share of the largest change of one; `rms`: the same of the
        roots of the mean squares; `change`: that largest change.
    """
    apart, moved = (
        torch.cat([(one[k] - two[k]).flatten() for k in trained]) for one, two in ((new, old), (old, start))
    )
    change = float(moved.abs().max())
    return {
        "largest": float(apart.abs().max()) / change,
        "rms": float(apart.norm() / moved.norm()),
        "change": change,
    }
