"""`oodseg run`: a bundle over a bag, video or images, without ROS."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from .output import (
    BundleName,
    CameraHeight,
    CameraPitch,
    EngineName,
    FieldOfView,
    Json,
    Output,
    Overwrite,
    Quiet,
    Threshold,
    stages,
    table,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..frame import Frame
    from ..inference.runner import Runner
    from ..pipeline.geometry.ground import CameraGeometry
    from ..replay.offline_run import RunSummary

ENGINE = ("engine", "device", "precision", "threads", "hint", "score_type")
"""Parameters of the node that say where the network runs."""
STYLES = {"CLEAR": "green", "OBSTACLE": "yellow", "UNKNOWN": "red"}


def command(
    bundle: BundleName,
    input: Annotated[str, typer.Argument(help="Bag, video, image, folder of images, or scenes[:SEED].")],
    out: Annotated[Path, typer.Option(help="Folder for overlays/, alerts.csv and scores/.")],
    params: Annotated[Path | None, typer.Option(help="Parameter file of the node; options below go before it.")] = None,
    engine: EngineName = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda[:N]; default: cpu.")] = None,
    precision: Annotated[str | None, typer.Option(help="fp32, or one that was built: fp16, bf16, int8.")] = None,
    threads: Annotated[int | None, typer.Option(min=0, help="CPU threads; 0 = the engine's default.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Read at most this many frames.")] = None,
    topic: Annotated[list[str] | None, typer.Option(help="Image topic of a bag; repeat for several.")] = None,
    threshold: Threshold = None,
    min_area: Annotated[int | None, typer.Option(min=1, help="Least area of an obstacle in pixels.")] = None,
    save_scores: Annotated[bool, typer.Option("--save-scores", help="Write scores and labels as npz.")] = False,
    png: Annotated[bool, typer.Option("--png", help="Overlays as PNG instead of JPEG.")] = False,
    sequence: Annotated[
        bool | None,
        typer.Option("--sequence/--stills", help="Folder of images: consecutive frames, or (default) each by itself."),
    ] = None,
    ego_mask: Annotated[Path | None, typer.Option(help="Image, white on the own vehicle: not judged.")] = None,
    camera_height: CameraHeight = None,
    camera_pitch: CameraPitch = 0.0,
    fov: FieldOfView = 60.0,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run a bundle over frames as the node judges them; leaves overlays and alerts.csv."""
    from ..pipeline.geometry.source import NO_POSITION
    from ..replay.offline_run import RunOptions, run_source
    from ..replay.summary import refuse_unjudged
    from ..sources.bag_messages import ReplayBag, is_bag
    from ..sources.open_source import open_source

    given = given_params(params, threshold, min_area)
    bag = ReplayBag(Path(input)) if not input.startswith("scenes") and is_bag(Path(input)) else None
    source = open_source(input, topic) if bag is None else bag
    shown = Output(json, quiet)
    (runner,) = shown.load(bundle, **engine_options(given, engine, device, threads, precision))
    geometry = given_geometry(camera_height, camera_pitch, fov)
    options = RunOptions(
        out=out,
        limit=limit,
        geometry=geometry,
        ego_mask=ego_mask,
        save_scores=save_scores,
        image_format="png" if png else "jpg",
        sequence=sequence,
        overwrite=overwrite,
        topics=topic,
        params=given,
    )
    count = source.count if bag is None else None
    total = count if limit is None else min(limit, count or limit)
    with shown.progress() as bar:
        runner.preparing = stages(bar)
        task = bar.add_task(escape(Path(input).name), total=total)
        summary = run_source(runner, source, options, lambda done: bar.update(task, completed=done))
    if geometry is None and any(NO_POSITION in note for note in summary.notes):
        summary.notes.append("--camera-height METRES, --camera-pitch and --fov give them one, where the ground is flat")
    print_summary(shown, runner, summary, out)
    refuse_unjudged(input, summary.frames, summary.skipped)


def given_geometry(
    height: float | None, pitch: float, field_of_view: float
) -> Callable[[Frame], CameraGeometry | None] | None:
    """Of cameras without a calibration, for pictures of any size; None where no height is given. Angles in degrees."""
    from ..pipeline.geometry.ground import pinhole

    if height is None:
        return None
    view, down = math.radians(field_of_view), math.radians(pitch)
    pinhole(640, 480, view, height, down)  # a height that means nothing is said now
    return lambda frame: pinhole(frame.image.shape[1], frame.image.shape[0], view, height, down)


def given_params(file: Path | None, threshold: float | None, min_area: int | None) -> dict[str, Any]:
    """Parameters of a file, and the options that go before them."""
    from ..errors import ConfigError
    from ..parameters.params_file import read_params

    given = {} if file is None else read_params(file)
    if threshold is not None and math.isnan(threshold):
        raise ConfigError("--threshold must be a number; leave it out for the bundle's own")
    options = {"obstacles.threshold": threshold, "obstacles.min_area": min_area}
    return given | {name: value for name, value in options.items() if value is not None}


def engine_options(
    given: dict[str, Any], engine: str | None, device: str | None, threads: int | None, precision: str | None = None
) -> dict[str, Any]:
    """What `Runner.load` gets: the options, else the parameters."""
    from ..parameters.params_file import settings_for

    settings = settings_for({name: value for name, value in given.items() if name in ENGINE}, ["camera"])[0]
    return {
        "engine": engine or settings.engine,
        "device": device or settings.device,
        "precision": precision or settings.precision,
        "threads": settings.threads if threads is None else threads,
        "hint": settings.hint,
        "score_type": settings.score_type,
    }


def print_summary(shown: Output, runner: Runner, summary: RunSummary, out: Path) -> None:
    """States per camera, changes, timing, and what could not be read."""
    import numpy as np

    from ..frame import AlertState
    from ..replay.offline_run import STAGES

    shown.say(f"{runner.bundle.id} on {runner.engine_identity}: {summary.frames} frames of {escape(summary.name)}")
    counts = table("camera", *(state.value for state in AlertState), title="frames per state", numbers=True)
    for camera, states in summary.states.items():
        counts.add_row(escape(camera), *(f"[{STYLES[state.value]}]{states[state]}[/]" for state in AlertState))
    shown.say(counts)
    began = min((change[1] for change in summary.changes), default=0)  # the first frame is a change
    for camera, stamp, state, reason, file in summary.changes[:20]:
        where = escape(file) if file else f"{(stamp - began) / 1e9:.2f} s"  # pictures in a folder have no time
        shown.say(f"  {where}  {escape(camera)}  [{STYLES[state.value]}]{state.value}[/] ({reason})")
    if len(summary.changes) > 20:
        shown.say(f"  … {len(summary.changes) - 20} more changes in alerts.csv")
    timing = table("stage", "p50 ms", "p95 ms", "max ms", title=f"{summary.wall_s:.1f} s in all", numbers=True)
    for stage in STAGES:
        if summary.seconds[stage]:
            milliseconds = 1e3 * np.array(summary.seconds[stage])
            figures = (*np.percentile(milliseconds, (50, 95)), milliseconds.max())
            timing.add_row(stage, *(f"{value:.1f}" for value in figures))
    shown.say(timing)
    for reason, count in summary.skipped.most_common(5):
        shown.warn(f"{count} frames skipped: {reason}")
    for note in summary.notes[:10]:
        shown.warn(f"note: {note}")
    if summary.missing:
        shown.warn(f"{summary.missing} frames are missing")
    if summary.damage:
        shown.warn(f"damage: {summary.damage}")
    shown.say(f"overlays and alerts.csv are in {escape(str(out))}")
    shown.result(
        {
            "bundle": runner.bundle.id,
            "engine": runner.engine_identity,
            "source": summary.name,
            "frames": summary.frames,
            "states": {
                camera: {state.value: states[state] for state in AlertState}
                for camera, states in summary.states.items()
            },
            "changes": [
                {"camera": camera, "stamp_ns": stamp, "state": state.value, "reason": reason, "file": file or None}
                for camera, stamp, state, reason, file in summary.changes
            ],
            "median_ms": {
                stage: 1e3 * float(np.median(taken)) for stage, taken in summary.seconds.items() if len(taken)
            },
            "seconds": summary.wall_s,
            "skipped": dict(summary.skipped),
            "notes": list(summary.notes),
            "missing": summary.missing,
            "damage": summary.damage,
            "out": str(out),
        }
    )
