"""`oodseg run`: a bundle over a bag, video or images, without ROS."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from . import options
from .output import Output, refuse_overwriting, stages, table

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..frame import Frame
    from ..inference.runner import Runner
    from ..pipeline.geometry.ground import CameraGeometry
    from ..replay.drive import Drive

ENGINE = ("engine", "device", "precision", "threads", "hint", "score_type")
"""Parameters of the node that say where the network runs."""
STYLES = {"CLEAR": "green", "OBSTACLE": "yellow", "UNKNOWN": "red"}


def command(
    bundle: options.BundleName,
    input: options.Input,
    out: Annotated[Path, typer.Option(help="Folder for overlays/, alerts.csv and scores/.")],
    params: options.Params = None,
    engine: options.EngineName = None,
    device: options.OwnDevice = None,
    precision: options.OwnPrecision = None,
    threads: options.OwnThreads = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Read at most this many frames.")] = None,
    topic: options.Topics = None,
    threshold: options.Threshold = None,
    min_area: options.OwnMinArea = None,
    save_scores: Annotated[bool, typer.Option("--save-scores", help="Write scores and labels as npz.")] = False,
    png: Annotated[bool, typer.Option("--png", help="Overlays as PNG instead of JPEG.")] = False,
    sequence: Annotated[
        bool | None,
        typer.Option("--sequence/--stills", help="Folder of images: consecutive frames, or (default) each by itself."),
    ] = None,
    ego_mask: options.EgoMask = None,
    camera_height: options.CameraHeight = None,
    camera_pitch: options.CameraPitch = 0.0,
    fov: options.FieldOfView = 60.0,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Run a bundle over frames as the node judges them; leaves overlays and alerts.csv."""
    from ..replay.offline_run import run_source
    from ..replay.recorded import open_recorded
    from ..replay.summary import refuse_unjudged

    refuse_overwriting(out, ("alerts.csv",), overwrite)
    given = given_params(params, threshold, min_area)
    recorded = open_recorded(input, topic, given, given_geometry(camera_height, camera_pitch, fov))
    shown = Output(json, quiet)
    (runner,) = shown.load(bundle, **engine_options(given, engine, device, threads, precision))
    total = recorded.count if limit is None else min(limit, recorded.count or limit)
    started = time.perf_counter()
    done = 0

    def progress(count: int) -> None:
        nonlocal done
        done = count
        bar.update(task, completed=count)

    def left() -> str:
        if not done:
            return "no frame was done"
        of = "" if total is None else f" of {total}"
        return f"the results in {out} are incomplete: {done}{of} frames; --overwrite begins anew"

    with shown.interruptible(left, problem=True), shown.progress() as bar:
        runner.preparing = stages(bar)
        task = bar.add_task(escape(Path(input).name), total=total)
        drive = run_source(
            *(runner, recorded, out, given),
            limit=limit,
            sequence=sequence,
            ego_mask=ego_mask,
            image_format="png" if png else "jpg",
            save_scores=save_scores,
            progress=progress,
        )
    print_summary(shown, runner, recorded.name, drive, time.perf_counter() - started, out)
    refuse_unjudged(input, drive.judged, drive.skipped)


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
    first = {"obstacles.threshold": threshold, "obstacles.min_area": min_area}
    return given | {name: value for name, value in first.items() if value is not None}


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


def print_summary(shown: Output, runner: Runner, name: str, drive: Drive, wall_s: float, out: Path) -> None:
    """States per camera, changes, timing, and what could not be read."""
    import numpy as np

    from ..frame import AlertState

    # Frames that are refused are rows as well: UNKNOWN.
    judged = f"{len(drive.rows)} frames of {escape(name)}, {drive.judged} judged"
    shown.say(f"{runner.bundle.id} on {runner.engine_identity}: {judged}")
    states = {camera: {s.value: counted[s.value] for s in AlertState} for camera, counted in drive.states().items()}
    counts = table("camera", *STYLES, title="frames per state", numbers=True)
    for camera, counted in states.items():
        counts.add_row(escape(camera), *(f"[{style}]{counted[state]}[/]" for state, style in STYLES.items()))
    shown.say(counts)
    changes = [row for row in drive.rows if row["changed"]]
    began = min((row["stamp_ns"] for row in changes), default=0)  # the first frame is a change
    for row in changes[:20]:
        # Pictures in a folder have no time.
        where = escape(row["file"]) or f"{(row['stamp_ns'] - began) / 1e9:.2f} s"
        shown.say(f"  {where}  {escape(row['camera'])}  [{STYLES[row['state']]}]{row['state']}[/] ({row['reason']})")
    if len(changes) > 20:
        shown.say(f"  … {len(changes) - 20} more changes in alerts.csv")
    timing = table("stage", "p50 ms", "p95 ms", "max ms", title=f"{wall_s:.1f} s in all", numbers=True)
    milliseconds = {stage: 1e3 * np.array(taken) for stage, taken in drive.seconds.items() if taken}
    for stage, taken in milliseconds.items():
        timing.add_row(stage, *(f"{value:.1f}" for value in (*np.percentile(taken, (50, 95)), taken.max())))
    shown.say(timing)
    if drive.looked_again is not None:
        shown.say(f"a second look at {drive.looked_again} of {drive.judged} frames")
    shown.warn_losses(drive.skipped, drive.notes, [drive.damage] if drive.damage else [], drive.missing)
    shown.say(f"overlays and alerts.csv are in {escape(str(out))}")
    shown.result(
        {
            "bundle": runner.bundle.id,
            "engine": runner.engine_identity,
            "source": name,
            "frames": len(drive.rows),
            "judged": drive.judged,
            "states": states,
            "changes": [
                {key: row[key] or None for key in ("camera", "stamp_ns", "state", "reason", "file")} for row in changes
            ],
            "looked_again": drive.looked_again,
            "median_ms": {stage: float(np.median(taken)) for stage, taken in milliseconds.items()},
            "seconds": wall_s,
            "skipped": dict(drive.skipped),
            "notes": drive.notes,
            "missing": drive.missing,
            "damage": drive.damage,
            "out": str(out),
        }
    )
