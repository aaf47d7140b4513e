"""Run a bundle over a source of frames without ROS and leave overlays, an alert table and, if asked, the scores."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ConfigError, why
from ..frame import AlertState, Frame
from ..inference.runner import Runner
from ..overlay import draw_overlay
from ..parameters.params_file import settings_for
from ..pipeline.geometry.ground import CameraGeometry
from ..sources.bag_messages import ReplayBag
from ..sources.image_files import write_image
from ..sources.source import Source
from .alert_table import AlertTable
from .recorded import Judged, RecordedBag, begun, from_source, judge, settings_of

STAGES = ("inference", "judgement", "overlay")
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
        geometry: camera geometry of a frame; None = that of the bag, elsewhere no ranges.
        ego_mask: image file for all cameras, before those of the parameters.
        topics: image topics of a bag; None = those of the cameras in `params`, else one per camera.
        params: the node's parameters, full name → value.
    """

    out: Path
    limit: int | None = None
    save_scores: bool = False
    image_format: str = "jpg"
    sequence: bool | None = None
    overwrite: bool = False
    geometry: Callable[[Frame], CameraGeometry | None] | None = None
    ego_mask: Path | None = None
    topics: list[str] | None = None
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class RunSummary:
    """What a run came to.

    Attributes:
        states: number of frames per camera and alert state.
        changes: (camera, stamp_ns, state, reason, file) whenever a camera's state changed; file "" where
            the source has times.
        skipped: frames that could not be judged, counted by reason.
        damage: what of the source could not be read, or None.
        missing: frames that it promises and that did not come.
        notes: what a person should know of source and parameters.
        seconds: per stage, one figure per frame.
    """

    name: str = ""
    frames: int = 0
    states: dict[str, Counter[AlertState]] = field(default_factory=dict)
    changes: list[tuple[str, int, AlertState, str, str]] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    damage: str | None = None
    missing: int = 0
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, list[float]] = field(default_factory=lambda: {stage: [] for stage in STAGES})
    wall_s: float = 0.0


def run_source(
    runner: Runner,
    source: Source | ReplayBag,
    options: RunOptions,
    progress: Callable[[int], None] = lambda done: None,
) -> RunSummary:
    """Judge every frame of `source`; `progress` gets the number of frames read so far.

    Raises:
        ConfigError: `out` holds the results of an earlier run, or cannot be written, or a parameter is wrong.
        EngineError: the engine cannot run on pictures of this size (then nothing is replaced).
        EngineGivenUp: it failed again and again.
    """
    settings_for(options.params, ["camera"])  # a wrong parameter is said before anything is opened or deleted
    timed = isinstance(source, ReplayBag) or source.sequential
    sequence = timed if options.sequence is None else options.sequence
    params = options.params if sequence else {**options.params, **BY_ITSELF}
    summary = RunSummary(source.path.name if isinstance(source, ReplayBag) else source.name)
    bag = RecordedBag(source, options.topics, params) if isinstance(source, ReplayBag) else None
    recorded = bag.recorded(options.geometry) if bag is not None else from_source(source, options.geometry)
    settings, notes = settings_of(params, list(recorded.cameras), options.ego_mask)
    started = time.perf_counter()
    _check_out(options)
    frames = begun(judge(runner, recorded, settings, options.limit, sequence))
    try:
        _clear(options)
        with AlertTable(options.out / "alerts.csv") as table:
            for judged in frames:
                table.write(judged)
                _count(summary, judged, timed)
                _write_pictures(runner, judged, options, summary)
                progress(judged.number + 1)
    except OSError as error:
        raise ConfigError(f"the results cannot be written to {options.out}: {why(error)}") from error
    summary.skipped.update(bag.skipped if bag is not None else source.skipped)
    summary.damage = source.damage
    summary.missing = source.missing(set(bag.cameras)) if bag is not None else source.missing
    summary.notes = notes + recorded.notes
    summary.wall_s = time.perf_counter() - started
    return summary


def _check_out(options: RunOptions) -> None:
    out = options.out
    if (out / "alerts.csv").exists() and not options.overwrite:
        raise ConfigError(f"{out} holds the results of an earlier run; give another folder, or --overwrite")
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is no folder")


def _clear(options: RunOptions) -> None:
    out = options.out
    # Frames of a longer, earlier run must not stand beside the new ones.
    for pattern in ("overlays/*/[0-9]*.jpg", "overlays/*/[0-9]*.png", "scores/*/[0-9]*.npz"):
        for file in out.glob(pattern):
            file.unlink()
    out.mkdir(parents=True, exist_ok=True)


def _write_pictures(runner: Runner, judged: Judged, options: RunOptions, summary: RunSummary) -> None:
    frame, judgement = judged.step.frame, judged.step.judgement
    if frame is None or judgement is None:
        return
    begin = time.perf_counter()
    overlay = draw_overlay(frame.image, judgement, runner.bundle.labels)
    summary.seconds["overlay"].append(time.perf_counter() - begin)
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


def _count(summary: RunSummary, judged: Judged, timed: bool) -> None:
    step, camera, alert = judged.step, judged.step.arrival.camera, judged.step.alert
    if step.judgement is not None:
        summary.frames += 1
        summary.seconds["inference"].append(step.network_s)
        summary.seconds["judgement"].append(step.judging_s)
    if judged.trouble is not None:
        summary.skipped[judged.trouble] += 1
    summary.states.setdefault(camera, Counter())[alert.state] += 1
    last = next((state for name, _, state, *_ in reversed(summary.changes) if name == camera), None)
    if alert.state is not last:
        file = "" if timed or step.frame is None else step.frame.file
        summary.changes.append((camera, step.arrival.stamp_ns, alert.state, alert.reason, file))
