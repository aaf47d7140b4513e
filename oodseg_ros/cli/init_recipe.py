"""`oodseg init-recipe`: a recipe for your own images and masks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from . import options
from .output import Output


def command(
    folder: Annotated[Path, typer.Argument(help="images/ and labels/ (or masks/) of equal names, or train/ and val/.")],
    out: Annotated[Path, typer.Option(help="The recipe to write; its label set is written beside it.")],
    labels: Annotated[str, typer.Option(help="Label set of the ids: a known name or a YAML file.")] = "",
    classes: Annotated[str, typer.Option(help="Or the class names in the order of the ids, with commas.")] = "",
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Write a recipe and a label set from a folder of images and masks; say what was counted and what was guessed."""
    from ..errors import ConfigError
    from ..training.init_recipe import first_recipe

    names = [name.strip() for name in classes.split(",") if name.strip()]
    if labels and names:
        raise ConfigError("give --labels or --classes, not both")
    label_file = out.with_name(f"{out.stem}_labels.yaml")
    if there := [file for file in (out, label_file) if file.exists()]:
        raise ConfigError(f"{there[0]} exists; delete it or give another --out")
    made = first_recipe(folder, out.stem, label_file.name, labels, names)
    out.parent.mkdir(parents=True, exist_ok=True)
    if made.labels:
        label_file.write_text(made.labels)
    out.write_text(made.recipe)
    shown = Output(json, quiet)
    for note in made.notes:
        shown.say(f"- {escape(note)}")
    shown.say(f"recipe in {escape(str(out))}" + (f", classes in {escape(str(label_file))}" if made.labels else ""))
    shown.say(f"next: oodseg train {escape(str(out))} --dry-run")
    files = {"recipe": str(out), "labels": str(label_file) if made.labels else None}
    shown.result(files | made.facts | {"notes": made.notes})
