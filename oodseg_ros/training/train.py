"""Run a recipe: load frames, train its stages with Lightning, then hand over to `finish` for the bundle."""

from __future__ import annotations

from pathlib import Path

import lightning
import torch
from lightning.fabric.utilities.rank_zero import rank_zero_info

from ..bundle import Bundle
from ..errors import ConfigError
from ..labels import LabelSet, load_labels
from ..networks.build import build_segmentor
from ..networks.segmentor import Segmentor
from .curves import plot_curves
from .finish import write_bundle
from .frames import load_frames
from .processes import from_environment
from .recipe import Recipe
from .run_stage import run_stage
from .same_recipe import keep_recipe
from .start import load_start


def train(recipe: Recipe, out: Path, resume: bool = False, threads: int = 0) -> Bundle | None:
    """Train and write `out/<name>` as a bundle; logs, curves and checkpoints go to `out/run`.

    Under `torchrun` every process calls this; the first one writes and returns the bundle, the others None.

    Args:
        resume: go on from the newest checkpoints in `out/run`; stages that are done are not run again.
        threads: CPU threads, 0 = torch's default.

    Raises:
        ConfigError, DatasetError: the recipe asks for what is not there.
        KeyboardInterrupt: after a checkpoint that `resume` goes on from.
    """
    if threads:
        torch.set_num_threads(threads)
    lightning.seed_everything(recipe.seed, verbose=False)
    if torch.cuda.is_available():
        torch.set_float32_matmul_precision("high")
    processes = from_environment()
    run = out / "run"
    keep_recipe(recipe, run, resume, write=processes.first)
    labels = load_labels(recipe.label_set)
    segmentor = segmentor_of(recipe, labels)
    rank_zero_info(load_start(segmentor, recipe))
    frames = load_frames(recipe.data, labels, recipe.seed)
    seconds = [
        run_stage(recipe, index, segmentor, labels, frames, run, resume, processes)
        for index in range(len(recipe.stages))
    ]
    if not processes.first:
        return None
    plot_curves(run)
    return write_bundle(recipe, segmentor, labels, out / recipe.name, seconds, len(frames))


def segmentor_of(recipe: Recipe, labels: LabelSet) -> Segmentor:
    """The recipe's network with random weights.

    Raises:
        ConfigError: its number of classes is not that of the label set.
    """
    segmentor = build_segmentor(recipe.network)
    if segmentor.classes != len(labels):
        raise ConfigError(
            f"recipe {recipe.name}: the classifier has {segmentor.classes} classes, "
            f"label set {labels.name} has {len(labels)}"
        )
    return segmentor
