"""Run a bundle over a source of frames without ROS and leave overlays, an alert table and, if asked, the scores."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ConfigError, why
from ..inference.runner import Runner
from ..overlay import draw_overlay
from ..parameters.params_file import settings_for
from ..sources.image_files import write_image
from .drive import Drive, replay
from .recorded import Judged, Recorded, settings_of

BY_ITSELF = {"obstacles.trigger_hits": 1, "obstacles.trigger_window": 1, "obstacles.release_frames": 1}
"""Parameters under which one frame decides."""


@dataclass(frozen=True)
class RunOptions:
    """What a run does besides judging.

    Attributes:
        out: folder for the results, made if absent.
        limit: frames to read at most; None = all.
        save_scores: write `scores/<camera>/<number>.npz` with `score` float32 and `labels` uint8.
        image_format: `jpg` or `png` for the overlays.
        sequence: frames of a camera follow each other; False = each frame is judged by itself, without tracks or
            N-of-M; None = as the source's kind suggests.
        overwrite: replace the results of an earlier run in `out`.
        ego_mask: image file for all cameras, before those of the parameters.
        params: the node's parameters, full name → value.
    """

    out: Path
    limit: int | None = None
    save_scores: bool = False
    image_format: str = "jpg"
    sequence: bool | None = None
    overwrite: bool = False
    ego_mask: Path | None = None
    params: Mapping[str, Any] = field(default_factory=dict)


def run_source(
    runner: Runner,
    recorded: Recorded,
    options: RunOptions,
    progress: Callable[[int], None] = lambda done: None,
) -> Drive:
    """Judge every frame of a source; `progress` gets the number of frames read so far.

    Raises:
        ConfigError: `out` holds the results of an earlier run, or cannot be written, or a parameter is wrong.
        EngineError: the engine cannot run on pictures of this size (then nothing is replaced).
        EngineGivenUp: it failed again and again.
    """
    settings_for(options.params, ["camera"])  # a wrong parameter is said before anything is deleted
    sequence = recorded.sequential if options.sequence is None else options.sequence
    params = options.params if sequence else {**options.params, **BY_ITSELF}
    settings, notes = settings_of(params, recorded.cameras, options.ego_mask)
    _check_out(options)
    overlay_seconds: list[float] = []

    def watch(judged: Judged) -> None:
        if judged.number == 0:
            _clear(options.out)
        if taken := _write_pictures(runner, judged, options):
            overlay_seconds.append(taken)

    try:
        drive = replay(
            runner,
            recorded,
            settings,
            options.out,
            limit=options.limit,
            together=sequence,
            watch=watch,
            progress=progress,
        )
    except OSError as error:
        raise ConfigError(f"the results cannot be written to {options.out}: {why(error)}") from error
    drive.seconds["overlay"] = overlay_seconds
    drive.notes = notes + drive.notes
    return drive


def _check_out(options: RunOptions) -> None:
    out = options.out
    if (out / "alerts.csv").exists() and not options.overwrite:
        raise ConfigError(f"{out} holds the results of an earlier run; give another folder, or --overwrite")
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is no folder")


def _clear(out: Path) -> None:
    """Frames of a longer, earlier run must not stand beside the new ones."""
    for pattern in ("overlays/*/[0-9]*.jpg", "overlays/*/[0-9]*.png", "scores/*/[0-9]*.npz"):
        for file in out.glob(pattern):
            file.unlink()


def _write_pictures(runner: Runner, judged: Judged, options: RunOptions) -> float | None:
    """Seconds that drawing took, None where there is no answer to draw."""
    frame, judgement = judged.step.frame, judged.step.judgement
    if frame is None or judgement is None:
        return None
    begin = time.perf_counter()
    overlay = draw_overlay(frame.image, judgement, runner.bundle.labels)
    taken = time.perf_counter() - begin
    stem = Path(frame.file).stem
    name = f"{judged.number:06d}_{stem}" if stem else f"{judged.number:06d}"
    folder = options.out / "overlays" / frame.camera
    folder.mkdir(parents=True, exist_ok=True)
    write_image(folder / f"{name}.{options.image_format}", overlay)
    if options.save_scores:
        folder = options.out / "scores" / frame.camera
        folder.mkdir(parents=True, exist_ok=True)
        prediction = judgement.prediction
        np.savez_compressed(folder / f"{judged.number:06d}.npz", score=prediction.score, labels=prediction.labels)
    return taken
