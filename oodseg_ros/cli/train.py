"""`oodseg train RECIPE --out DIR`: from a recipe to a bundle."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from . import options
from .output import Output, table

if TYPE_CHECKING:
    from ..training.plan import TrainingPlan
    from ..training.recipe import Recipe


def command(
    recipe: Annotated[Path, typer.Argument(help="A recipe, e.g. config/train/road_lite.yaml.")],
    out: Annotated[Path, typer.Option(help="Folder for the bundle, logs, curves and checkpoints.")] = Path("out/train"),
    resume: Annotated[bool, typer.Option(help="Go on from the newest checkpoint in OUT.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Delete an earlier training in OUT and begin anew.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option(help="Show data, parameters, steps, time and memory; train nothing.")
    ] = False,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 = all.")] = 0,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Train every stage of a recipe and write the bundle. Ctrl-C leaves a checkpoint that --resume goes on from."""
    from ..training.plan import plan
    from ..training.recipe import load_recipe
    from ..training.train import train

    shown = Output(json, quiet)
    loaded = load_recipe(recipe)
    if dry_run:
        with shown.console.status("taking a few steps of each stage, to know how long they take"):
            planned = plan(loaded)
        show_plan(shown, loaded, planned)
        shown.result(asdict(planned) | {"seconds": planned.seconds})
        return
    again = f"`oodseg train {recipe} --out {out} --resume` goes on from the last checkpoint"
    with shown.interruptible(lambda: again):
        bundle = train(loaded, out, resume, threads, overwrite, shown.console)
    if bundle is None:  # another process of a distributed run wrote it
        return
    curves = str(out / "run" / "curves.png") if loaded.stages else None
    shown.say(f"bundle {bundle.id} in {bundle.path}" + (f"; curves in {curves}" if curves else ""))
    shown.result({"bundle": bundle.id, "path": str(bundle.path), "curves": curves})


def show_plan(shown: Output, recipe: Recipe, planned: TrainingPlan) -> None:
    """Print what `planned` would train, how long and in how much memory."""
    shown.say(f"recipe {recipe.name}: {planned.frames} frames, crop {recipe.crop[1]}x{recipe.crop[0]}")
    shown.say(planned.start)
    for note in planned.notes:
        shown.say(escape(note))
    steps = table("stage", "steps", "trained", "frozen", "s/step", "time", "GiB", numbers=True)
    for stage in planned.stages:
        seconds = round(stage.steps * stage.step.seconds)
        steps.add_row(
            stage.method,
            f"{stage.steps:,}",
            _short(stage.trained),
            _short(stage.frozen),
            f"{stage.step.seconds:.2f}",
            str(timedelta(seconds=seconds)),
            f"{stage.step.memory / 2**30:.2f}",
        )
    shown.say(steps if planned.stages else "no stages: nothing is trained")
    shown.say("times: one process on this machine as busy as it is now, without loading data")
    whole = timedelta(seconds=round(planned.seconds))
    start, calibration = planned.start_seconds, planned.calibration_seconds
    shown.say(f"about {whole} in all, with {start:.0f} s of start and {calibration:.0f} s of calibration")
    for stage in planned.stages:
        shown.say(
            f"{stage.method}: {stage.images:,} images, {stage.trained:,} parameters trained, step {stage.step.how}"
        )


def _short(count: int) -> str:
    """1234567 → 1.23M."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return str(count)
