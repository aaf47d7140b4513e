"""Run a bundle over a source of frames without ROS and leave overlays, an alert table and, if asked, the scores."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ConfigError, why
from ..inference.runner import Runner
from ..overlay import draw_overlay
from ..parameters.params_file import settings_for
from ..sources.image_files import write_image
from .drive import Drive, replay
from .judge import Judged, settings_of
from .recorded import Recorded

BY_ITSELF = {"obstacles.trigger_hits": 1, "obstacles.trigger_window": 1, "obstacles.release_frames": 1}
"""Parameters under which one frame decides."""


def run_source(
    runner: Runner,
    recorded: Recorded,
    out: Path,
    params: Mapping[str, Any],
    *,
    limit: int | None = None,
    sequence: bool | None = None,
    ego_mask: Path | None = None,
    image_format: str = "jpg",
    save_scores: bool = False,
    progress: Callable[[int], None] = lambda done: None,
) -> Drive:
    """Judge every frame of a source, and replace what an earlier run left in `out`.

    Args:
        out: folder for `alerts.csv` and `overlays/<camera>/<number>…`, made if absent.
        params: the node's parameters, full name → value.
        limit: frames to read at most; None = all.
        sequence: frames of a camera follow each other; False = each frame is judged by itself, without tracks or
            N-of-M; None = as the source's kind suggests.
        ego_mask: image file for all cameras, before those of the parameters.
        image_format: `jpg` or `png` for the overlays.
        save_scores: write `scores/<camera>/<number>.npz` with `score` float32, as the node publishes it, and `labels`
            uint8.
        progress: called with the number of frames so far.

    Raises:
        ConfigError: `out` cannot be written, or a parameter is wrong.
        EngineError: the engine cannot run on pictures of this size (then nothing is replaced).
        EngineGivenUp: it failed again and again.
    """
    settings_for(params, ["camera"])  # a wrong parameter is said before anything is deleted
    sequence = recorded.sequential if sequence is None else sequence
    settings, notes = settings_of(params if sequence else {**params, **BY_ITSELF}, recorded.cameras, ego_mask)
    overlay_seconds: list[float] = []

    def watch(judged: Judged) -> None:
        if judged.number == 0:
            _clear(out)
        frame, judgement = judged.step.frame, judged.step.judgement
        if frame is None or judgement is None:
            return
        begin = time.perf_counter()
        overlay = draw_overlay(frame.image, judgement, runner.bundle.labels)
        overlay_seconds.append(time.perf_counter() - begin)
        number, stem = f"{judged.number:06d}", Path(frame.file).stem
        name = f"{number}_{stem}" if stem else number
        write_image(_made(out / "overlays" / frame.camera) / f"{name}.{image_format}", overlay)
        if save_scores:
            file = _made(out / "scores" / frame.camera) / f"{number}.npz"
            np.savez_compressed(file, score=judgement.score, labels=judgement.prediction.labels)

    try:
        drive = replay(runner, recorded, settings, out, limit=limit, together=sequence, watch=watch, progress=progress)
    except OSError as error:
        raise ConfigError(f"the results cannot be written to {out}: {why(error)}") from error
    drive.seconds["overlay"] = overlay_seconds
    drive.notes = notes + drive.notes
    return drive


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _clear(out: Path) -> None:
    """Frames of a longer, earlier run must not stand beside the new ones."""
    for pattern in ("overlays/*/[0-9]*.jpg", "overlays/*/[0-9]*.png", "scores/*/[0-9]*.npz"):
        for file in out.glob(pattern):
            file.unlink()
