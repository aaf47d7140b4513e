"""One stage of a recipe: data, Lightning's loop, checkpoints, resume."""

from __future__ import annotations

import json
import time
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import LearningRateMonitor, RichProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch.utils.data import DataLoader

from ..errors import ConfigError
from ..labels import LabelSet
from ..networks.segmentor import Segmentor
from .checkpoints import AtomicCheckpoints, SaveCheckpoint, write_atomically
from .data_recipe import OutlierSpec
from .frames import TrainingFrame
from .methods import stage_class
from .processes import Processes, batches_of
from .recipe import Recipe
from .samples import Samples
from .stage_recipe import StageSpec

SAVE_EVERY = 100
"""Steps between checkpoints."""


def run_stage(
    recipe: Recipe,
    index: int,
    segmentor: Segmentor,
    labels: LabelSet,
    frames: list[TrainingFrame],
    folder: Path,
    resume: bool,
    processes: Processes,
) -> float:
    """Train one stage in place and return its seconds; of a stage that was done before, those it took then.

    Raises:
        KeyboardInterrupt: interrupted; the checkpoint is on the disk.
    """
    stage = recipe.stages[index]
    name = f"stage{index + 1}_{stage.method}"
    done = folder / f"{name}.pt"
    if resume and done.is_file():
        segmentor.load_state_dict(torch.load(done, map_location="cpu", weights_only=True))
        return json.loads(done.with_suffix(".json").read_text())["seconds"]
    checkpoint = folder / name / "last.ckpt"
    finished = _finished_steps(checkpoint) if resume and checkpoint.is_file() else 0
    # Samples are functions of their index: a resumed run goes on with the very samples it would have seen.
    samples = Samples.of(
        seen_by(recipe, stage), frames, labels, recipe.seed + index, start=0, stop=stage.steps * stage.batch
    )
    loader = DataLoader(
        samples,
        batch_sampler=batches_of(processes, stage.batch, finished, stage.steps),
        num_workers=recipe.workers,
        persistent_workers=False,
        pin_memory=torch.cuda.is_available(),
    )
    module = stage_class(stage.method)(segmentor, recipe.input, stage, recipe.seed + index)
    module = module.to(memory_format=torch.channels_last)
    saving = SaveCheckpoint(checkpoint, min(SAVE_EVERY, stage.steps))
    trainer = lightning.Trainer(
        max_steps=stage.steps,
        min_epochs=0,
        accelerator="auto",
        devices=processes.local,
        num_nodes=processes.machines,
        strategy=_strategy(processes, module.may_skip_parameters),
        sync_batchnorm=processes.world > 1 and torch.cuda.is_available(),
        use_distributed_sampler=False,
        precision="bf16-mixed" if recipe.precision == "bf16" else "32-true",
        gradient_clip_val=stage.clip or None,
        logger=[CSVLogger(folder, name=name, version=""), TensorBoardLogger(folder, name=name, version="")],
        callbacks=[saving, RichProgressBar(), LearningRateMonitor("step")],
        plugins=[AtomicCheckpoints()],
        enable_checkpointing=False,
        log_every_n_steps=min(20, stage.steps),
        enable_model_summary=False,
    )
    began = time.monotonic()
    try:
        trainer.fit(module, loader, ckpt_path=str(checkpoint) if finished else None, weights_only=True)
    except SystemExit:  # what Lightning makes of an interrupt inside of a step
        if not trainer.interrupted:
            raise
    finally:
        saving.teardown()  # Lightning does not call it after an exception, and leaves Ctrl-C ignored
    if saving.stopped or trainer.interrupted:
        raise KeyboardInterrupt
    seconds = time.monotonic() - began
    state = segmentor.state_dict()
    if not all(torch.isfinite(value).all() for value in state.values() if value.is_floating_point()):
        raise ConfigError(
            f"stage {index + 1} ({stage.method}): weights became NaN or infinite; lower `lr`, or set `clip`"
        )
    if processes.first:
        # The weights last: where they are, the stage is done.
        done.with_suffix(".json").write_text(json.dumps({"seconds": seconds}))
        write_atomically(state, done)
    return seconds


def seen_by(recipe: Recipe, stage: StageSpec) -> Recipe:
    """The recipe as a stage sees it: without unknowns where it asks for none."""
    return recipe if stage.unknowns else recipe.model_copy(update={"outliers": OutlierSpec(method="none")})


def _strategy(processes: Processes, may_skip_parameters: bool) -> str:
    if processes.world == 1:
        return "auto"
    return "ddp_find_unused_parameters_true" if may_skip_parameters else "ddp"


def _finished_steps(checkpoint: Path) -> int:
    return int(torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)["global_step"])
