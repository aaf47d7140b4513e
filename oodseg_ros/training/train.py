"""Run a recipe: load frames, train its stages with Lightning, then hand over to `finish` for the bundle."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch.utils.data import DataLoader

from ..bundle import Bundle
from ..errors import ConfigError
from ..labels import LabelSet, load_labels
from ..networks.backbones.efficientnet_lite import imagenet_weights
from ..networks.build import build_segmentor
from ..networks.segmentor import Segmentor
from .curves import plot_curves
from .finish import write_bundle
from .frames import TrainingFrame, load_frames
from .recipe import Recipe
from .samples import Samples
from .stages import STAGES

SAVE_EVERY = 100
"""Steps between checkpoints."""


@dataclass(frozen=True)
class StagePlan:
    """One stage of a plan: optimiser steps, images seen, parameters that get gradients."""

    method: str
    steps: int
    images: int
    trained: int


@dataclass(frozen=True)
class TrainingPlan:
    """What a run would do: number of frames and parameters, and its stages."""

    frames: int
    parameters: int
    stages: list[StagePlan]


def plan(recipe: Recipe) -> TrainingPlan:
    """The run that `recipe` describes, without running it; its datasets are read, so their errors show here."""
    labels = load_labels(recipe.label_set)
    segmentor = _segmentor(recipe, labels)
    stages = []
    for stage in recipe.stages:
        module = STAGES[stage.method](segmentor, recipe.input, stage)
        trained = sum(p.numel() for p in module.parameters() if p.requires_grad)
        stages.append(StagePlan(stage.method, stage.steps, stage.steps * stage.batch, trained))
    return TrainingPlan(len(load_frames(recipe.data, labels)), sum(p.numel() for p in segmentor.parameters()), stages)


def train(recipe: Recipe, out: Path, resume: bool = False, threads: int = 0) -> Bundle:
    """Train and write `out/<name>` as a bundle; logs, curves and checkpoints go to `out/run`.

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
    labels = load_labels(recipe.label_set)
    segmentor = _segmentor(recipe, labels)
    _load_pretrained(segmentor, recipe)
    frames = load_frames(recipe.data, labels)
    run = out / "run"
    seconds = [_run_stage(recipe, index, segmentor, labels, frames, run, resume) for index in range(len(recipe.stages))]
    plot_curves(run)
    return write_bundle(recipe, segmentor, labels, out / recipe.name, seconds, len(frames))


def _segmentor(recipe: Recipe, labels: LabelSet) -> Segmentor:
    segmentor = build_segmentor(recipe.network)
    if segmentor.classes != len(labels):
        raise ConfigError(
            f"recipe {recipe.name}: the classifier has {segmentor.classes} classes, "
            f"label set {labels.name} has {len(labels)}"
        )
    return segmentor


def _load_pretrained(segmentor: Segmentor, recipe: Recipe) -> None:
    if recipe.network["backbone"]["name"] == "efficientnet_lite":
        segmentor.backbone.load_imagenet(imagenet_weights(recipe.network["backbone"].get("variant", 0)))


def _run_stage(
    recipe: Recipe,
    index: int,
    segmentor: Segmentor,
    labels: LabelSet,
    frames: list[TrainingFrame],
    folder: Path,
    resume: bool,
) -> float:
    """Train one stage in place and return its seconds; of a stage that was done before, those it took then."""
    stage = recipe.stages[index]
    name = f"stage{index + 1}_{stage.method}"
    done = folder / f"{name}.pt"
    if resume and done.is_file():
        segmentor.load_state_dict(torch.load(done, weights_only=True))
        return json.loads(done.with_suffix(".json").read_text())["seconds"]
    checkpoint = folder / name / "last.ckpt"
    finished = _finished_steps(checkpoint) if resume and checkpoint.is_file() else 0
    every = min(SAVE_EVERY, stage.steps)
    # Samples are functions of their index: a resumed run goes on with the very samples it would have seen.
    samples = Samples.of(
        recipe, frames, labels, recipe.seed + index, start=finished * stage.batch, stop=stage.steps * stage.batch
    )
    loader = DataLoader(samples, stage.batch, num_workers=recipe.workers)
    module = STAGES[stage.method](segmentor, recipe.input, stage).to(memory_format=torch.channels_last)
    trainer = lightning.Trainer(
        max_steps=stage.steps,
        accelerator="auto",
        devices=1,
        precision="bf16-mixed" if recipe.precision == "bf16" else "32-true",
        logger=[CSVLogger(folder, name=name, version=""), TensorBoardLogger(folder, name=name, version="")],
        callbacks=[
            ModelCheckpoint(folder / name, filename="step", every_n_train_steps=every, save_last=True),
            RichProgressBar(),
        ],
        log_every_n_steps=min(20, stage.steps),
        enable_model_summary=False,
    )
    began = time.monotonic()
    trainer.fit(module, loader, ckpt_path=str(checkpoint) if finished else None, weights_only=True)
    if trainer.interrupted:
        trainer.save_checkpoint(checkpoint)
        raise KeyboardInterrupt
    part = done.with_suffix(".part")
    torch.save(segmentor.state_dict(), part)
    seconds = time.monotonic() - began
    done.with_suffix(".json").write_text(json.dumps({"seconds": seconds}))
    part.replace(done)
    return seconds


def _finished_steps(checkpoint: Path) -> int:
    return int(torch.load(checkpoint, map_location="cpu", weights_only=True)["global_step"])
