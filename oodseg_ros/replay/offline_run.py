"""Run a bundle over a source of frames without ROS and leave overlays, an alert table and, if asked, the scores."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ..errors import ConfigError, ImageError
from ..frame import AlertState, Frame
from ..inference.runner import Runner
from ..overlay import draw_overlay
from ..parameters.settings import ObstacleSettings
from ..pipeline.camera import CameraPipeline, Judgement
from ..pipeline.geometry.ground import CameraGeometry
from ..sources.image_files import write_image
from ..sources.source import Source
from .alert_table import AlertTable

STAGES = ("inference", "judgement", "overlay")


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
        geometry: camera geometry for an image size (height, width), or None: no ranges.
        ego_mask: see `CameraPipeline`.
    """

    out: Path
    limit: int | None = None
    save_scores: bool = False
    image_format: str = "jpg"
    sequence: bool | None = None
    overwrite: bool = False
    geometry: Callable[[int, int], CameraGeometry] | None = None
    ego_mask: np.ndarray | None = None


@dataclass
class RunSummary:
    """What a run came to.

    Attributes:
        frames: judged frames.
        states: number of frames per camera and alert state.
        changes: (camera, stamp_ns, state, reason) whenever a camera's state changed.
        skipped: frames that could not be judged, counted by reason.
        damage: what of the source could not be read, or None.
        missing: frames that it promises and that did not come.
        seconds: per stage, one figure per frame.
        wall_s: duration of the whole run.
    """

    frames: int = 0
    states: dict[str, Counter[AlertState]] = field(default_factory=dict)
    changes: list[tuple[str, int, AlertState, str]] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    damage: str | None = None
    missing: int = 0
    seconds: dict[str, list[float]] = field(default_factory=lambda: {stage: [] for stage in STAGES})
    wall_s: float = 0.0


def run_source(
    runner: Runner,
    source: Source,
    settings: ObstacleSettings,
    options: RunOptions,
    progress: Callable[[int], None] = lambda done: None,
) -> RunSummary:
    """Judge every frame of `source`; `progress` gets the number of frames read so far.

    Raises:
        ConfigError: `out` holds the results of an earlier run, or cannot be written.
    """
    sequence = source.sequential if options.sequence is None else options.sequence
    if not sequence:
        settings = replace(settings, trigger_hits=1, trigger_window=1, release_frames=1)
    summary = RunSummary()
    pipelines: dict[str, CameraPipeline] = {}
    started = time.perf_counter()
    try:
        _prepare(options)
        with AlertTable(options.out / "alerts.csv") as table:
            for index, frame in enumerate(source):
                if options.limit is not None and index >= options.limit:
                    break
                if frame.camera not in pipelines:
                    calibration = runner.bundle.card.calibration
                    pipelines[frame.camera] = CameraPipeline(calibration, settings, options.ego_mask)
                pipeline = pipelines[frame.camera]
                if not sequence:
                    pipeline.reset()
                judgement = _judge(runner, pipeline, frame, options, summary)
                if judgement is not None:
                    _write_pictures(runner, frame, judgement, options, summary, f"{index:06d}")
                    table.write(index, frame, judgement.alert)
                    _count(summary, frame, judgement)
                progress(index + 1)
    except OSError as error:
        raise ConfigError(f"the results cannot be written to {options.out}: {error}") from error
    summary.skipped.update(source.skipped)
    summary.damage, summary.missing = source.damage, source.missing
    summary.wall_s = time.perf_counter() - started
    return summary


def _prepare(options: RunOptions) -> None:
    out = options.out
    if (out / "alerts.csv").exists() and not options.overwrite:
        raise ConfigError(f"{out} holds the results of an earlier run; give another folder, or --overwrite")
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is no folder")
    # Frames of a longer, earlier run must not stand beside the new ones.
    for pattern in ("overlays/*/[0-9]*.jpg", "overlays/*/[0-9]*.png", "scores/*/[0-9]*.npz"):
        for file in out.glob(pattern):
            file.unlink()
    out.mkdir(parents=True, exist_ok=True)


def _judge(
    runner: Runner, pipeline: CameraPipeline, frame: Frame, options: RunOptions, summary: RunSummary
) -> Judgement | None:
    try:
        # Compiling for a new size takes seconds and is no part of a frame's time.
        if not runner.is_warm(*frame.image.shape[:2]):
            runner.warm(*frame.image.shape[:2])
        begin = time.perf_counter()
        prediction = runner([frame.image])[0]
    except ImageError as error:
        pipeline.unknown("bad_image", frame.stamp_ns)
        summary.skipped[f"{frame.camera}: {error}"] += 1
        return None
    middle = time.perf_counter()
    geometry = options.geometry(*frame.image.shape[:2]) if options.geometry else None
    judgement = pipeline.judge(frame, prediction, frame.stamp_ns, geometry)
    summary.seconds["inference"].append(middle - begin)
    summary.seconds["judgement"].append(time.perf_counter() - middle)
    return judgement


def _write_pictures(
    runner: Runner, frame: Frame, judgement: Judgement, options: RunOptions, summary: RunSummary, number: str
) -> None:
    begin = time.perf_counter()
    overlay = draw_overlay(frame.image, judgement, runner.bundle.labels)
    summary.seconds["overlay"].append(time.perf_counter() - begin)
    folder = options.out / "overlays" / frame.camera
    folder.mkdir(parents=True, exist_ok=True)
    write_image(folder / f"{number}.{options.image_format}", overlay)
    if options.save_scores:
        folder = options.out / "scores" / frame.camera
        folder.mkdir(parents=True, exist_ok=True)
        prediction = judgement.prediction
        np.savez_compressed(folder / f"{number}.npz", score=prediction.score, labels=prediction.labels)


def _count(summary: RunSummary, frame: Frame, judgement: Judgement) -> None:
    alert = judgement.alert
    summary.frames += 1
    summary.states.setdefault(frame.camera, Counter())[alert.state] += 1
    last = next((state for camera, _, state, _ in reversed(summary.changes) if camera == frame.camera), None)
    if alert.state is not last:
        summary.changes.append((frame.camera, frame.stamp_ns, alert.state, alert.reason))
