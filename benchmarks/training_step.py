"""What a training step costs per method, and how many loader processes keep up with it, in one run.

    python benchmarks/training_step.py [RECIPE ...] [--steps N] [--samples N]

For every stage of every recipe (default: the comparison recipes on road_lite): seconds of one optimiser step on real
samples on this machine's device, bytes it needs, images/s of the step and samples/s of one loader process, and from
both the smallest `workers:` with which the loader is not the bottleneck. Recipes need their data ($OODSEG_DATA).

    python benchmarks/training_step.py --against COMMIT [RECIPE ...] [--precision fp32] [--steps N] [--pairs N]

The same trainings by this commit and by an earlier one, in turns: the earlier one's recipes (default: RPL, UEM and both
stages of the two-stage method on road_lite) with its network and its bundle. Images/s of the whole loop as `oodseg
train` runs it, loader and logs included, processor seconds per step, their ratios, and how far the weights after ten
steps on the same samples are apart.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from inference_against import ROOT, EngineProcess, checkout
from rich.console import Console
from rich.table import Table

from oodseg_ros.labels import load_labels
from oodseg_ros.paths import config_dir
from oodseg_ros.training.frames import load_frames
from oodseg_ros.training.methods import stage_class
from oodseg_ros.training.plan import measure_step
from oodseg_ros.training.recipe import load_recipe
from oodseg_ros.training.run_stage import seen_by
from oodseg_ros.training.samples import Samples
from oodseg_ros.training.start import first_pictures, load_start
from oodseg_ros.training.train import segmentor_of


def device() -> str:
    """What is measured on."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"


def measure(path: Path, steps: int, count: int) -> list[dict]:
    """One row per stage of a recipe."""
    recipe = load_recipe(path)
    labels = load_labels(recipe.label_set)
    segmentor = segmentor_of(recipe, labels)
    frames = load_frames(recipe.data, labels)
    load_start(segmentor, recipe, lambda: first_pictures(recipe, frames, labels))
    rows = []
    for spec in recipe.stages:
        samples = Samples.of(seen_by(recipe, spec), frames, labels, recipe.seed, 0, 2 * max(count, spec.batch))
        made = [samples[index] for index in range(max(count, spec.batch))]  # frames are decoded now
        began = time.perf_counter()
        for index in range(count):
            samples[index]
        rate = count / (time.perf_counter() - began)
        batch = [torch.stack(values) for values in zip(*made[: spec.batch], strict=True)]
        module = stage_class(spec.method)(segmentor, recipe.input, spec)
        seconds, memory = measure_step(module, batch, steps, recipe.precision)
        consumed = spec.batch / seconds
        rows.append(
            {
                "recipe": recipe.name,
                "method": spec.method,
                "batch": spec.batch,
                "precision": recipe.precision,
                "crop": list(recipe.crop),
                "trained": sum(p.numel() for p in module.parameters() if p.requires_grad),
                "step_seconds": seconds,
                "memory_bytes": memory,
                "step_images_per_second": consumed,
                "samples_per_second_per_worker": rate,
                "workers_needed": math.ceil(consumed / rate),
            }
        )
    return rows


AGAINST = ("road_lite_rpl", "road_lite_uem", "road_lite_two_stage")
TAKEN = 10
"""Steps after which weights are compared."""


def against(commit: str, names: list[str], precision: str, threads: int, steps: int, pairs: int) -> list[dict]:
    """One row per stage of the earlier commit's comparison recipes."""
    rows = []
    with tempfile.TemporaryDirectory() as place, checkout(commit, Path(place)) as old_root:
        for name in names:
            # Network and start are those of the earlier commit for both; so is its bundle.
            recipe = yaml.safe_load((old_root / "config" / "train" / "compare" / f"{name}.yaml").read_text())
            recipe |= {"start": str(old_root / "models" / recipe["start"]), "precision": precision}
            for index, stage in enumerate(recipe["stages"]):
                folder = Path(place) / f"{name}_{index}"
                folder.mkdir()
                file = folder / "recipe.yaml"
                file.write_text(yaml.safe_dump(recipe | {"stages": [stage]}))
                found = in_turns({"old": old_root, "new": ROOT}, file, folder, threads, steps, pairs)
                rows.append({"recipe": name, "method": stage["method"], "batch": stage["batch"], **found})
    return rows


def in_turns(roots: dict[str, Path], file: Path, folder: Path, threads: int, steps: int, pairs: int) -> dict[str, Any]:
    """Images/s and processor seconds per step of both, medians of `pairs` turns of `steps` steps, ratios as medians of
    pairs, and the difference of the weights.
    """
    recipe = load_recipe(file)
    batch, labels = recipe.stages[0].batch, load_labels(recipe.label_set)
    samples = Samples.of(recipe, load_frames(recipe.data, labels), labels, recipe.seed, 0, TAKEN * batch)
    batches = [[samples[step * batch + one] for one in range(batch)] for step in range(TAKEN)]
    torch.save([[torch.stack(values) for values in zip(*made, strict=True)] for made in batches], folder / "batches.pt")
    running: dict[str, EngineProcess] = {}

    def start(name: str, kind: str, given: Path | None) -> EngineProcess:
        task = {"recipe": str(file), "out": str(folder / name / kind), "threads": threads, "after": TAKEN, "way": name}
        task |= {"weights": str(folder / f"{name}.pt"), "batches": None if given is None else str(given)}
        script = str(ROOT / "benchmarks" / "training_process.py")
        return EngineProcess(roots[name], folder / name / "cache", task, script)

    for name in roots:
        process = start(name, "weights", folder / "batches.pt")
        process.ask(steps=TAKEN)
        process.close()
    try:
        running |= {name: start(name, "speed", None) for name in roots}
        taken: dict[str, list[dict[str, float]]] = {name: [] for name in roots}
        for turn in range(pairs + 1):
            for name, process in running.items():
                answer = process.ask(steps=steps)
                if turn:  # the first turn warms up
                    taken[name].append(answer)
    finally:
        for process in running.values():
            process.close()
    seconds, cpu = (
        {name: np.array([each[key] for each in answers]) / steps for name, answers in taken.items()}
        for key in ("seconds", "cpu")
    )
    return {
        "images_per_second": {name: float(batch / np.median(values)) for name, values in seconds.items()},
        "cpu_seconds_per_step": {name: float(np.median(values)) for name, values in cpu.items()},
        "ratio": float(np.median(seconds["old"] / seconds["new"])),
        "cpu_ratio": float(np.median(cpu["old"] / cpu["new"])),
        "weights": apart(*(torch.load(folder / f"{name}.pt", weights_only=True) for name in ("old", "new"))),
        "load_at_end": os.getloadavg()[0],
    }


def apart(old: list[dict[str, torch.Tensor]], new: list[dict[str, torch.Tensor]]) -> dict[str, float]:
    """How two trainings differ, of weights by name at first and at last.

    `start`: largest difference at first. `update`: norm of what the old one changed. `difference`: norm of new less old
    at last. `largest`: largest difference of one weight, as a share of the largest change of one.
    """
    first, last, first_new, last_new = (
        torch.cat([weights[name].double().flatten() for name in old[0]]) for weights in (*old, *new)
    )
    update, difference = last - first, last_new - last
    return {
        "start": float((first_new - first).abs().max()),
        "update": float(update.norm()),
        "difference": float(difference.norm()),
        "largest": float(difference.abs().max() / update.abs().max()),
    }


def show_against(rows: list[dict], commit: str) -> None:
    """Print them."""
    table = Table(title=f"against {commit}, medians of pairs")
    for name in ("recipe", "stage", "images/s", "of old", "ratio", "CPU s/step", "of old", "ratio", "weights apart"):
        table.add_column(name, justify="left" if name in ("recipe", "stage") else "right")
    for row in rows:
        rate, cpu, weights = row["images_per_second"], row["cpu_seconds_per_step"], row["weights"]
        table.add_row(
            row["recipe"],
            row["method"],
            f"{rate['new']:.2f}",
            f"{rate['old']:.2f}",
            f"{row['ratio']:.2f}",
            f"{cpu['new']:.2f}",
            f"{cpu['old']:.2f}",
            f"{row['cpu_ratio']:.2f}",
            f"{weights['difference'] / weights['update']:.1e}",
        )
    Console(width=max(120, Console().width)).print(table)


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", type=Path)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--samples", type=int, default=12)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "training_step.json")
    parser.add_argument("--against", metavar="COMMIT", help="compare with this commit")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="with --against")
    parser.add_argument("--threads", type=int, default=0, help="with --against; 0 = torch's default")
    parser.add_argument("--pairs", type=int, default=5, help="with --against: turns of each, of `--steps` steps")
    options = parser.parse_args()
    if options.against:
        names = [path.stem for path in options.recipes] or list(AGAINST)
        more = options.precision, options.threads, options.steps, options.pairs
        rows = against(options.against, names, *more)
        show_against(rows, options.against)
        file = options.out.with_name("training_against.json")
        told = {"commit": options.against, "precision": options.precision, "device": device(), "rows": rows}
        file.write_text(json.dumps(told, indent=1) + "\n")
        return
    recipes = options.recipes or sorted((config_dir() / "train" / "compare").glob("road_lite_*.yaml"))
    rows = [row for path in recipes for row in measure(path, options.steps, options.samples)]
    table = Table(title="training steps")
    for name in ("recipe", "stage", "trained", "s/step", "GiB", "images/s", "samples/s/worker", "workers"):
        table.add_column(name, justify="left" if name in ("recipe", "stage") else "right")
    for row in rows:
        table.add_row(
            row["recipe"],
            row["method"],
            f"{row['trained']:,}",
            f"{row['step_seconds']:.2f}",
            f"{row['memory_bytes'] / 2**30:.2f}",
            f"{row['step_images_per_second']:.1f}",
            f"{row['samples_per_second_per_worker']:.1f}",
            str(row["workers_needed"]),
        )
    Console(width=max(110, Console().width)).print(table)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"device": device(), "torch": torch.__version__, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
