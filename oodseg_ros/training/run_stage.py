"""One stage of a recipe: data, Lightning's loop, checkpoints, resume; one process, or several as `torchrun` starts
them.
"""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import LearningRateMonitor
from lightning.pytorch.loggers import TensorBoardLogger
from rich.console import Console
from torch.utils.data import DataLoader, Dataset

from ..errors import ConfigError
from ..labels import LabelSet, load_labels
from ..networks.heads.ensemble import with_member
from ..networks.segmentor import Segmentor
from ..process import keep_freed_memory
from .data_recipe import OutlierSpec
from .features import FeatureSamples, Recorded, record_features
from .frames import TrainingFrame
from .methods import StageSpec, stage_class
from .recipe import Recipe
from .resume import AtomicCheckpoints, SaveCheckpoint, StopSignals, finished_steps, undamaged, write_atomically
from .samples import Samples
from .stage_log import ShowSteps, StageLog
from .stages.stage import Stage


@dataclass(frozen=True)
class Processes:
    """This process among all: `rank` of `world`, `local` of them on this machine."""

    rank: int = 0
    world: int = 1
    local: int = 1

    @property
    def first(self) -> bool:
        """Whether this one writes files and prints."""
        return self.rank == 0

    @property
    def machines(self) -> int:
        return self.world // self.local


def from_environment() -> Processes:
    """What `torchrun` says in RANK, WORLD_SIZE and LOCAL_WORLD_SIZE; one process without it."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return Processes()
    rank, world, local = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    return Processes(rank, world, local)


def batches_of(processes: Processes, batch: int, start: int, stop: int) -> list[list[int]]:
    """Sample indices per step, from step `start` to `stop`, of one process; together they are those of one process.

    The last entry is repeated up to `stop` entries: a resumed Lightning loop counts the steps before `start` as taken
    from this list, and would begin it anew where it seems to end too early. The repetitions are never trained on.

    Raises:
        ConfigError: the batch cannot be shared out equally.
    """
    if batch % processes.world:
        raise ConfigError(f"a batch of {batch} cannot be shared out to {processes.world} processes; change `batch`")
    own = batch // processes.world
    first = processes.rank * own
    steps = [list(range(step * batch + first, step * batch + first + own)) for step in range(start, stop)]
    return steps + steps[-1:] * start


SAVE_EVERY = 100
"""Steps between checkpoints."""
NOT_TRUE_HERE = (
    r".*module\(s\) in eval mode at the start of training",  # frozen parts are, on purpose
    r".*resuming from a checkpoint that ended before the epoch ended",  # samples are functions of their index
    r".*does not have many workers",  # `workers` is in the recipe, and docs say how many are enough
    r".*isinstance\(treespec, LeafSpec\).* is deprecated",  # Lightning's own affair
)
"""Warnings of Lightning that do not hold for these runs."""


def run_stage(
    recipe: Recipe,
    index: int,
    segmentor: Segmentor,
    labels: LabelSet,
    frames: list[TrainingFrame],
    folder: Path,
    resume: bool,
    processes: Processes,
    signals: StopSignals,
    console: Console,
) -> float:
    """Train one stage in place and return its seconds, all its parts before a resume included.

    Raises:
        KeyboardInterrupt: interrupted; the checkpoint is on the disk.
        ConfigError: what a resume would go on with is damaged.
    """
    stage = recipe.stages[index]
    name = f"stage{index + 1}_{stage.method}"
    done = folder / f"{name}.pt"
    if resume and done.is_file():
        segmentor.load_state_dict(torch.load(undamaged(done), map_location="cpu", weights_only=True))
        return json.loads(done.with_suffix(".json").read_text())["seconds"]
    checkpoint = folder / name / "last.ckpt"
    finished = finished_steps(undamaged(checkpoint)) if resume and checkpoint.is_file() else 0
    # Samples are functions of their index: a resumed run goes on with the very samples it would have seen.
    seen, count = seen_by(recipe, stage), stage.steps * stage.batch
    before = {key: value.clone() for key, value in segmentor.state_dict().items()} if stage.keep else {}
    backbone = segmentor.backbone
    module = make_stage(recipe, index, segmentor)
    if stage.cached:
        views = seen, unpainted(seen)
        fixed, bare = (Samples.of(one, frames, labels, recipe.seed, start=0, stop=stage.cached) for one in views)
        kept = record_features(fixed, bare if seen.outliers.markings else None, module, recipe)
        samples: Dataset = FeatureSamples(kept, recipe.seed + index, count)
        module.segmentor.backbone = Recorded(backbone, kept)
    else:
        samples = Samples.of(seen, frames, labels, recipe.seed + index, start=0, stop=count)
    loader = DataLoader(
        samples,
        batch_sampler=batches_of(processes, stage.batch, finished, stage.steps),
        num_workers=recipe.workers,
        persistent_workers=False,
        pin_memory=torch.cuda.is_available(),
    )
    _quiet()
    if finished:
        console.print(f"stage {index + 1} ({stage.method}) goes on at step {finished} of {stage.steps}")
    module = module.to(memory_format=torch.channels_last)
    saving = SaveCheckpoint(checkpoint, min(SAVE_EVERY, stage.steps), signals)
    monitor = LearningRateMonitor("step")
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
        logger=[
            StageLog(folder / name, finished),
            TensorBoardLogger(folder, name=name, version="", purge_step=finished or None),
        ],
        callbacks=[saving, ShowSteps(console, f"stage {index + 1} {stage.method}", stage.steps), monitor],
        enable_progress_bar=False,
        plugins=[AtomicCheckpoints()],
        enable_checkpointing=False,
        log_every_n_steps=max(1, min(20, stage.steps // 20)),
        enable_model_summary=False,
    )
    keep_freed_memory()  # a step's maps come from the last one's memory
    try:
        trainer.fit(module, loader, ckpt_path=str(checkpoint) if finished else None, weights_only=True)
    except SystemExit:  # what Lightning makes of an interrupt inside of a step
        if not trainer.interrupted:
            raise
    finally:
        signals.stepping = False
        signals.listen()  # Lightning leaves Ctrl-C ignored
        module.segmentor.backbone = backbone
    if saving.stopped or trainer.interrupted:
        raise KeyboardInterrupt
    seconds = saving.seconds
    mix_in(segmentor, before, stage.keep)
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


def mix_in(segmentor: Segmentor, before: Mapping[str, torch.Tensor], share: float) -> None:
    """Weights become `share` times those of `before` and the rest themselves, in place (WiSE-FT, arXiv 2109.01903).

    Between the two ends of a short fine-tuning there is often a network with most of what either is good at.
    """
    with torch.no_grad():
        for key, value in segmentor.state_dict().items():
            if key in before and value.is_floating_point() and not torch.equal(value.cpu(), before[key].cpu()):
                value.lerp_(before[key].to(value.device), share)


def make_stage(recipe: Recipe, index: int, segmentor: Segmentor) -> Stage:
    """The training module of a stage, on the network or on a member of its ensemble.

    Raises:
        ConfigError: the method does not fit the network.
    """
    stage = recipe.stages[index]
    if stage.member is not None:
        try:
            own = with_member(segmentor, stage.member)
        except ValueError as error:
            raise ConfigError(f"stage {index + 1} ({stage.method}): {error}") from error
        if stage.method == "distil" and own.decoder is not segmentor.decoder:
            _refuse_classes(index, stage)
        segmentor = own
    module = stage_class(stage.method)(segmentor, recipe.input, stage, recipe.seed + index)
    module.name_classes(load_labels(recipe.label_set))
    return module


def _refuse_classes(index: int, stage: StageSpec) -> None:
    """Refuse classes that would be learnt on a decoder that the classifier does not read."""
    asked = stage.settings
    if asked.class_weight or asked.label_weight or any(part.startswith("classifier") for part in asked.trained):
        raise ConfigError(
            f"stage {index + 1} (distil): member {stage.member} has a decoder of its own, which the classes do not "
            "read; leave out class_weight, label_weight and the classifier, and train classes with stage `inlier`"
        )


def seen_by(recipe: Recipe, stage: StageSpec) -> Recipe:
    """The recipe as a stage sees it: without unknowns where it asks for none."""
    return recipe if stage.unknowns else recipe.model_copy(update={"outliers": OutlierSpec(method="none")})


def unpainted(recipe: Recipe) -> Recipe:
    """The recipe whose samples are the same but for the paint on their ground."""
    if not recipe.outliers.markings:
        return recipe
    # Not 0, which would not draw whether there is paint, and so all else otherwise.
    return recipe.model_copy(update={"outliers": recipe.outliers.model_copy(update={"markings": 1e-12})})


def _quiet() -> None:
    """Lightning without its advert, its hints about devices and the warnings that do not hold."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for text in NOT_TRUE_HERE:
        warnings.filterwarnings("ignore", message=text)


def _strategy(processes: Processes, may_skip_parameters: bool) -> str:
    if processes.world == 1:
        return "auto"
    return "ddp_find_unused_parameters_true" if may_skip_parameters else "ddp"
