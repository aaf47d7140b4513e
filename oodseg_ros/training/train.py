"""Run a recipe: load frames, train its stages with Lightning, then hand over to `finish` for the bundle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import lightning
import torch
from rich.console import Console
from rich.markup import escape

from ..bundle import MODEL_FILE, Bundle, load_bundle
from ..errors import ConfigError
from ..labels import LabelSet, load_labels
from ..networks.build import build_segmentor
from ..networks.segmentor import Segmentor
from .augment import widest
from .finish import check_held_out, recipe_for_card, write_bundle
from .frames import TrainingFrame, load_frames, reviewed_notes
from .recipe import Recipe
from .resume import StopSignals, store_recipe
from .run_stage import from_environment, run_stage
from .stage_log import plot_curves
from .start import load_start


def train(
    recipe: Recipe,
    out: Path,
    resume: bool = False,
    threads: int = 0,
    overwrite: bool = False,
    console: Console | None = None,
) -> Bundle | None:
    """Train and write `out/<name>` as a bundle; logs, curves and checkpoints go to `out/run`.

    Under `torchrun` every process calls this; the first one writes and returns the bundle, the others None.

    Args:
        resume: go on from the newest checkpoints in `out/run`, or begin where there are none; stages that are done
            are not run again.
        threads: CPU threads, 0 = torch's default.
        overwrite: delete an earlier run in `out/run`.
        console: where progress is shown; None = nowhere.

    Raises:
        ConfigError, DatasetError: the recipe asks for what is not there, `out` holds an earlier run, or `resume` and
            `overwrite` are both asked for.
        KeyboardInterrupt: after a checkpoint that `resume` goes on from.
    """
    processes = from_environment()
    console = console if console is not None and processes.first else Console(quiet=True)
    if threads:
        torch.set_num_threads(threads)
    lightning.seed_everything(recipe.seed, verbose=False)
    if torch.cuda.is_available():
        torch.set_float32_matmul_precision("high")
    run, path = out / "run", out / recipe.name
    with StopSignals() as signals:
        goes_on = store_recipe(recipe, run, resume, write=processes.first, overwrite=overwrite)
        if resume and not goes_on:
            console.print(f"--resume: {escape(str(run))} holds no training yet; it begins anew", soft_wrap=True)
        if (path / MODEL_FILE).exists() and not (resume or overwrite):
            raise ConfigError(f"{path} is a bundle already; give another --out, or --overwrite to replace it")
        labels = load_labels(recipe.label_set)
        segmentor = segmentor_of(recipe, labels)
        console.print(load_start(segmentor, recipe), highlight=False, soft_wrap=True)
        frames = load_frames(recipe.data, labels, recipe.seed)
        check_held_out(recipe, labels)
        for note in notes_on(recipe, labels, frames):
            console.print(escape(note), highlight=False, soft_wrap=True)
        seconds = [
            run_stage(recipe, index, segmentor, labels, frames, run, resume, processes, signals, console)
            for index in range(len(recipe.stages))
        ]
        if not processes.first:
            return None
        if recipe.stages:
            plot_curves(run)
        if resume and (path / MODEL_FILE).exists():
            there = load_bundle(path)
            # It may have been calibrated, measured and signed since: as long as it is the same, it stays.
            if there.card.training.get("recipe") == recipe_for_card(recipe):
                console.print("all stages were done and the bundle was written; nothing is changed")
                return there
        console.print("calibrating on held-out frames and writing the bundle", highlight=False)
        return write_bundle(recipe, segmentor, labels, path, seconds, len(frames))


def notes_on(recipe: Recipe, labels: LabelSet, frames: Sequence[TrainingFrame]) -> list[str]:
    """What a person should know before training starts: what corrected collections came to, a crop that the first of
    `frames` never fills, and a slow precision.
    """
    notes = reviewed_notes(recipe.data, labels)
    # patch_paste scales in its own way, without the bound of `enlarge`.
    if frames and recipe.stages and recipe.outliers.method != "patch_paste":
        height, width = frames[0].read()[0].shape[:2]
        largest = widest((height, width), recipe.augment, recipe.widths)
        most = round(largest * height / width), round(largest)
        if recipe.crop[0] > most[0] or recipe.crop[1] > most[1]:
            notes.append(
                f"the crop of {recipe.crop[1]}x{recipe.crop[0]} is larger than pictures of {width}x{height} ever get "
                f"here ({most[1]}x{most[0]}): the rest is black, teaches nothing, and costs time and memory"
            )
    if recipe.precision == "bf16" and not torch.cuda.is_available():
        able = torch.cpu.get_capabilities()
        if able["architecture"] == "x86_64" and not (able["avx512_bf16"] or able["amx_bf16"]):
            notes.append("this processor has no bf16 instructions, and imitates them: `precision: fp32` is faster here")
    return notes


def segmentor_of(recipe: Recipe, labels: LabelSet) -> Segmentor:
    """The recipe's network with random weights.

    Raises:
        ConfigError: its number of classes is not that of the label set.
    """
    segmentor = build_segmentor(recipe.network, recipe.input)
    if segmentor.classes != len(labels):
        raise ConfigError(
            f"recipe {recipe.name}: the classifier has {segmentor.classes} classes, "
            f"label set {labels.name} has {len(labels)}"
        )
    return segmentor
