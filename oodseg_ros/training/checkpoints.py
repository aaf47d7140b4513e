"""Checkpoints that survive a crash while they are written, and a Ctrl-C that ends between two steps."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins import TorchCheckpointIO


class AtomicCheckpoints(TorchCheckpointIO):
    """A checkpoint gets its name when it is complete and on the disk; until then the older one stays."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write to `path` by way of `path.part`."""
        write_atomically(checkpoint, Path(path))


def write_atomically(content: Any, path: Path) -> None:
    """`torch.save` under a temporary name, flushed to the disk, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with part.open("wb") as stream:
        torch.save(content, stream)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(part, path)


class SaveCheckpoint(lightning.Callback):
    """Saves every `every` steps, and at the end of the step in which Ctrl-C or SIGTERM came; `stopped` says so.

    A second Ctrl-C does not wait for the step.
    """

    def __init__(self, path: Path, every: int) -> None:
        self._path = path
        self._every = every
        self._former: dict[int, Any] = {}
        self.stopped = False

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Listen to signals, where that is possible (the main thread)."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._former[number] = signal.signal(number, self._stop)

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Save and stop where it is time."""
        # Processes get the signal at different times; they must stop at the same step.
        self.stopped = trainer.strategy.reduce_boolean_decision(self.stopped, all=False)
        if self.stopped or trainer.global_step % self._every == 0:
            trainer.save_checkpoint(self._path)
        trainer.should_stop = trainer.should_stop or self.stopped

    def on_exception(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: Any) -> None:
        """An interrupt inside of a step: what the last complete step left is saved."""
        if isinstance(exception, KeyboardInterrupt) and trainer.world_size == 1:
            trainer.save_checkpoint(self._path)

    def teardown(self, *_: Any, **__: Any) -> None:
        """Signals as before."""
        for number, handler in self._former.items():
            signal.signal(number, handler)
        self._former.clear()

    def _stop(self, number: int, frame: Any) -> None:
        if self.stopped:
            raise KeyboardInterrupt
        self.stopped = True
