"""What a training step costs per method, and how many loader processes keep up with it, in one run.

    python benchmarks/training_step.py [RECIPE ...] [--steps N] [--samples N]
    python benchmarks/training_step.py --against 65dd7b9 [NAME ...] [--steps N] [--pairs N]

For every stage of every recipe (default: the comparison recipes on road_lite): seconds of one optimiser step on real
samples on this machine's device, bytes it needs, images/s of the step and samples/s of one loader process, and from
both the smallest `workers:` with which the loader is not the bottleneck. Recipes need their data ($OODSEG_DATA).

With `--against`, the steps of recipes of that commit (default: RPL and UEM on its road_lite) by its code and by this
one, in turns, and how far apart the weights are after them.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import tempfile
import time
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from training_step_against import WARM, compare

from oodseg_ros.evaluation.results import provenance
from oodseg_ros.labels import load_labels
from oodseg_ros.paths import config_dir
from oodseg_ros.training.frames import load_frames
from oodseg_ros.training.methods import stage_class
from oodseg_ros.training.plan import measure_step
from oodseg_ros.training.recipe import load_recipe
from oodseg_ros.training.run_stage import seen_by
from oodseg_ros.training.samples import Samples
from oodseg_ros.training.start import load_start
from oodseg_ros.training.train import segmentor_of


def measure(path: Path, steps: int, count: int) -> list[dict]:
    """One row per stage of a recipe."""
    recipe = load_recipe(path)
    labels = load_labels(recipe.label_set)
    segmentor = segmentor_of(recipe, labels)
    load_start(segmentor, recipe)
    frames = load_frames(recipe.data, labels)
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


def against(options: argparse.Namespace) -> dict:
    """The part of the report that compares with an earlier commit."""
    names = [str(path) for path in options.recipes] or ["compare/road_lite_rpl.yaml", "compare/road_lite_uem.yaml"]
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        rows = compare(options.against, names, options.old_bundle, options.steps or 10, options.pairs, Path(folder))
    print(json.dumps(rows, indent=1))
    return {"provenance": provenance(), "commit": options.against, "load_at_start": load, "rows": rows}


def alone(options: argparse.Namespace) -> dict:
    """The other part: this commit's steps of every recipe, with a table for people."""
    recipes = options.recipes or sorted((config_dir() / "train" / "compare").glob("road_lite_*.yaml"))
    rows = [row for path in recipes for row in measure(path, options.steps or 3, options.samples)]
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
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    return {"device": device, "torch": torch.__version__, "rows": rows}


def main() -> None:
    """Measure, print, and write one of the two parts of the JSON; the other stays."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", type=Path, help="with --against: under that commit's config/train")
    parser.add_argument("--steps", type=int, help="default: 3, with --against 10")
    parser.add_argument("--samples", type=int, default=12)
    parser.add_argument("--against", help="an earlier commit")
    parser.add_argument("--old-bundle", default="road_lite", help="of its models/, from which both start")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "training_step.json")
    options = parser.parse_args()
    if options.against and options.steps is not None and options.steps <= WARM:
        parser.error(f"--steps: the first {WARM} are not timed, so --against needs more")
    found = {"against": against(options)} if options.against else alone(options)
    there = json.loads(options.out.read_text()) if options.out.exists() else {}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(there | found, indent=1) + "\n")


if __name__ == "__main__":
    main()
