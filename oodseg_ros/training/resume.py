"""No run starts again silently: the recipe of a run, its checkpoints, and a stop that leaves one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins import TorchCheckpointIO

from ..errors import CheckpointError, ConfigError, listed
from ..importing.checkpoint import check_archive
from ..paths import completed, write_json
from .recipe import Recipe

FILE = "recipe.json"
MAY_CHANGE = ("name", "description", "workers", "calibration", "licence")
"""Keys that change no weight."""


def store_recipe(recipe: Recipe, folder: Path, resume: bool, write: bool, overwrite: bool = False) -> bool:
    """Write the recipe into the folder of a new run; on `resume` check that it is still the same.

    Args:
        resume: go on with what is there.
        write: this process writes files.

    Returns:
        Whether there is a run to go on with.

    Raises:
        ConfigError: `resume` and `overwrite` were both asked for; an earlier run is there and neither was; or keys
            that decide about the weights were changed since it began.
    """
    if resume and overwrite:
        raise ConfigError(
            "--resume goes on with the training in --out, --overwrite deletes it: give one of them, not both"
        )
    file = folder / FILE
    now = json.loads(recipe.model_dump_json(exclude=set(MAY_CHANGE)))
    # A run that was refused before its first step holds nothing, and must not stand in the way of the mended recipe.
    begun = file.is_file() and any(any(folder.glob(left)) for left in ("*.pt", "*/last.ckpt", "*/metrics.csv"))
    if resume and begun:
        before = json.loads(file.read_text())
        if before != now:
            changes = listed(_changes(before, now), 4, "; ")
            raise ConfigError(
                f"--resume: the run in {folder} was begun with another recipe: {changes}. "
                "Undo the change, or train into another --out"
            )
        return True
    if not write:
        return False
    if begun and not overwrite:
        raise ConfigError(
            f"{folder} holds a training, {state_of_run(folder)}. Go on with --resume, delete it and begin anew with "
            "--overwrite, or give another --out"
        )
    if overwrite and folder.is_dir():
        shutil.rmtree(folder)
    write_json(file, now)
    return False


def state_of_run(folder: Path) -> str:
    """How far the run in `folder` has come, for people."""
    try:
        stages = json.loads((folder / FILE).read_text())["stages"]
    except (OSError, ValueError, KeyError):
        return "whose recipe cannot be read"
    for index, stage in enumerate(stages):
        name = f"stage{index + 1}_{stage['method']}"
        if not (folder / f"{name}.pt").is_file():
            checkpoint = folder / name / "last.ckpt"
            steps = finished_steps(checkpoint) if checkpoint.is_file() else 0
            return (
                f"interrupted in stage {index + 1} of {len(stages)} ({stage['method']}) with a checkpoint at step "
                f"{steps} of {stage['steps']}"
            )
    return f"finished, {len(stages)} of {len(stages)} stages"


def finished_steps(checkpoint: Path) -> int:
    """Steps that were taken before the checkpoint was written."""
    return int(torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)["global_step"])


def undamaged(path: Path) -> Path:
    """The same path of what a run has written; torch reads damaged tensors without a word.

    Raises:
        ConfigError: a checksum in it is wrong; says what to do.
    """
    try:
        check_archive(path)
    except CheckpointError as error:
        raise ConfigError(
            f"--resume: {path} is damaged. Delete it: the run then goes on from what it has written before, or begins "
            "this stage anew"
        ) from error
    return path


def _changes(before: Any, now: Any, where: str = "") -> list[str]:
    """`stages[0].lr was 0.001, is 0.002` for every value that differs, however deep it lies."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = sorted(before.keys() | now.keys())
        return [
            change
            for key in keys
            for change in _changes(before.get(key), now.get(key), f"{where}.{key}" if where else key)
        ]
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = enumerate(zip(before, now, strict=True))
        return [change for index, pair in pairs for change in _changes(*pair, f"{where}[{index}]")]

    def short(value: Any) -> str:
        text = json.dumps(value)
        return text if len(text) <= 40 else f"{text[:37]}..."

    return [] if before == now else [f"{where} was {short(before)}, is {short(now)}"]


class AtomicCheckpoints(TorchCheckpointIO):
    """A checkpoint gets its name when it is complete and on the disk; until then the older one stays."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        write_atomically(checkpoint, Path(path))


def write_atomically(content: Any, path: Path) -> None:
    """`torch.save` under a temporary name, flushed to the disk, then renamed."""
    with completed(path) as part, part.open("wb") as stream:
        torch.save(content, stream)
        stream.flush()
        os.fsync(stream.fileno())


class StopSignals:
    """Ctrl-C and SIGTERM of a whole training, as a context; every signal is heard once, in any of its phases.

    Within Lightning's loop the first one asks for a stop after the step and the second does not wait for it; anywhere
    else the first one raises. What comes while the training is already ending changes nothing.

    Attributes:
        asked: a stop was asked for.
        stepping: Lightning's loop runs, so that a stop can wait for the end of a step.
    """

    def __init__(self) -> None:
        self.asked = False
        self.stepping = False
        self._raised = False
        self._former: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            self._former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
            self.listen()
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def listen(self) -> None:
        """Take the signals back: Lightning puts its own handlers in when its loop starts, and leaves Ctrl-C ignored."""
        for number in self._former:
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: Any) -> None:
        again, self.asked = self.asked, True
        if (again or not self.stepping) and not self._raised:
            self._raised = True
            raise KeyboardInterrupt


class SaveCheckpoint(lightning.Callback):
    """Saves every `every` steps, and at the end of the step in which a stop was asked for; `stopped` says so.

    Attributes:
        seconds: that the stage has taken, those before a resume included; part of the checkpoint.
    """

    def __init__(self, path: Path, every: int, signals: StopSignals) -> None:
        self._path = path
        self._every = every
        self._signals = signals
        self._before = 0.0
        self._began = time.monotonic()
        self.stopped = False

    @property
    def seconds(self) -> float:
        return self._before + time.monotonic() - self._began

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._before = float(state_dict["seconds"])

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """From here on a stop can wait for the end of a step."""
        self._signals.listen()
        self._signals.stepping = True

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        # Processes get the signal at different times; they must stop at the same step.
        self.stopped = trainer.strategy.reduce_boolean_decision(self._signals.asked, all=False)
        if self.stopped or trainer.global_step % self._every == 0:
            trainer.save_checkpoint(self._path)
        trainer.should_stop = trainer.should_stop or self.stopped

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """A stop no longer waits for the end of a step."""
        self._signals.stepping = False

    def on_exception(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: Any) -> None:
        """An interrupt inside of a step: what the last complete step left is saved."""
        self._signals.stepping = False
        if isinstance(exception, KeyboardInterrupt) and trainer.world_size == 1 and trainer.global_step:
            trainer.save_checkpoint(self._path)
