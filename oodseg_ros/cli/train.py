"""`oodseg train RECIPE --out DIR`: from a recipe to a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def command(
    recipe: Annotated[Path, typer.Argument(help="A recipe, e.g. config/train/road_lite.yaml.")],
    out: Annotated[Path, typer.Option(help="Folder for the bundle, logs, curves and checkpoints.")] = Path("out/train"),
    resume: Annotated[bool, typer.Option(help="Go on from the newest checkpoint in OUT.")] = False,
    dry_run: Annotated[
        bool, typer.Option(help="Show data, parameters, steps, time and memory; train nothing.")
    ] = False,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 = all.")] = 0,
) -> None:
    """Train every stage of a recipe and write the bundle. Ctrl-C leaves a checkpoint that --resume goes on from."""
    from ..training.plan import plan
    from ..training.recipe import load_recipe
    from ..training.train import train
    from .show_plan import show_plan

    console = Console()
    loaded = load_recipe(recipe)
    if dry_run:
        show_plan(console, loaded, plan(loaded))
        return
    try:
        bundle = train(loaded, out, resume=resume, threads=threads)
    except KeyboardInterrupt:
        console.print(f"interrupted; `oodseg train {recipe} --out {out} --resume` goes on from the last checkpoint")
        raise typer.Exit(130) from None
    if bundle is None:  # another process of a distributed run wrote it
        return
    console.print(f"bundle {bundle.id} in {bundle.path}; curves in {out / 'run' / 'curves.png'}")
