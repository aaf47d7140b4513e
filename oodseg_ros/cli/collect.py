"""`oodseg collect`: the unknown objects of drives, without near repeats, as COCO and on one page."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from .output import (
    BundleName,
    CameraHeight,
    CameraPitch,
    Device,
    EngineName,
    FieldOfView,
    Json,
    Output,
    Precision,
    Quiet,
    Threads,
    Threshold,
    stages,
)


def command(
    bundle: BundleName,
    inputs: Annotated[list[Path], typer.Argument(help="Bags, folders of `replay --write-bag`, videos, folders.")],
    out: Annotated[Path, typer.Option(help="Folder for images/, annotations/instances.json and index.html.")],
    similar: Annotated[
        float, typer.Option(min=-1, max=1, help="Cosine of features from which objects are near repeats; 1 = keep all.")
    ] = 0.6,
    per_track: Annotated[int, typer.Option(min=1, help="Objects that are looked at per track.")] = 3,
    most: Annotated[int, typer.Option(min=1, help="Objects that are kept.")] = 500,
    topic: Annotated[list[str] | None, typer.Option(help="Image topic of bags; repeat for several.")] = None,
    threshold: Threshold = None,
    min_area: Annotated[int | None, typer.Option(min=1, help="Least area of an object in pixels.")] = None,
    params: Annotated[Path | None, typer.Option(help="Parameter file of the node.")] = None,
    camera_height: CameraHeight = None,
    camera_pitch: CameraPitch = 0.0,
    fov: FieldOfView = 60.0,
    engine: EngineName = None,
    device: Device = "cpu",
    precision: Precision = "fp32",
    threads: Threads = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first frames of each input.")] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Gather unknown objects from drives: picture, mask, track, place, time; CVAT and Label Studio open the result."""
    from ..collecting.collect import collect
    from ..collecting.export import INSTANCES, PAGE, write_collection
    from ..errors import ConfigError
    from ..pipeline.geometry.source import NO_POSITION
    from .run import given_geometry, given_params

    if (out / INSTANCES).exists():
        raise ConfigError(f"{out} holds a collection already, perhaps a corrected one; give another --out")
    given, geometry = given_params(params, threshold, min_area), given_geometry(camera_height, camera_pitch, fov)
    shown = Output(json, quiet)
    (runner,) = shown.load(bundle, engine=engine, device=device, precision=precision, threads=threads)
    with shown.frame_count() as bar:
        runner.preparing = stages(bar)
        task = bar.add_task("", total=None)
        gathered = collect(
            runner,
            inputs,
            params=given,
            topics=topic,
            similar=similar,
            per_track=per_track,
            most=most,
            limit=limit,
            geometry=geometry,
            progress=lambda name, done: bar.update(task, description=escape(name), completed=done),
        )
        content = write_collection(gathered, runner.bundle, out, shlex.join(["oodseg", *sys.argv[1:]]))
    shown.say(
        f"{gathered.frames} frames, {gathered.seen} objects; {len(gathered.kept)} kept in {len(content['images'])} "
        f"pictures ({len(content['annotations'])} objects are marked in them)"
    )
    if not gathered.seen:
        now = runner.bundle.card.calibration.threshold if threshold is None else threshold
        shown.warn(f"no object was found; a --threshold below {now:.4g} finds more")
    for reason, count in gathered.skipped.most_common(5):
        shown.warn(f"{count} frames without a judgement: {reason}")
    for damage in gathered.damage:
        shown.warn(f"not read: {damage}")
    for note in gathered.notes[:10]:
        shown.warn(f"note: {note}")
    if geometry is None and any(NO_POSITION in note for note in gathered.notes):
        shown.warn("note: --camera-height METRES, --camera-pitch and --fov give them one, where the ground is flat")
    shown.say(f"look through {escape(str(out / PAGE))}, correct {escape(str(out / INSTANCES))}")
    shown.result(
        {
            "frames": gathered.frames,
            "objects": gathered.seen,
            "kept": len(gathered.kept),
            "pictures": len(content["images"]),
            "annotations": len(content["annotations"]),
            "instances": str(out / INSTANCES),
            "page": str(out / PAGE),
            "skipped": dict(gathered.skipped),
            "damage": gathered.damage,
            "notes": gathered.notes,
        }
    )
