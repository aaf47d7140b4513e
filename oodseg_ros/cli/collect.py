"""`oodseg collect`: the unknown objects of drives, without near repeats, as COCO and on one page."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from . import options
from .output import Output, stages


def command(
    bundle: options.BundleName,
    inputs: Annotated[list[Path], typer.Argument(help="Bags, folders of `replay --write-bag`, videos, folders.")],
    out: Annotated[Path, typer.Option(help="Folder for images/, annotations/instances.json and index.html.")],
    similar: Annotated[
        float, typer.Option(min=-1, max=1, help="Cosine of features from which objects are near repeats; 1 = keep all.")
    ] = 0.6,
    per_track: Annotated[int, typer.Option(min=1, help="Objects that are looked at per track.")] = 3,
    most: Annotated[int, typer.Option(min=1, help="Objects that are kept.")] = 500,
    topic: options.Topics = None,
    threshold: options.Threshold = None,
    min_area: options.OwnMinArea = None,
    params: Annotated[Path | None, typer.Option(help="Parameter file of the node.")] = None,
    camera_height: options.CameraHeight = None,
    camera_pitch: options.CameraPitch = 0.0,
    fov: options.FieldOfView = 60.0,
    engine: options.EngineName = None,
    device: options.Device = "cpu",
    precision: options.Precision = "fp32",
    threads: options.Threads = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first frames of each input.")] = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Gather unknown objects from drives: picture, mask, track, place, time; CVAT and Label Studio open the result."""
    from ..collecting.collect import collect
    from ..collecting.export import INSTANCES, PAGE, write_collection
    from ..errors import ConfigError
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
    shown.warn_losses(gathered.skipped, gathered.notes, gathered.damage)
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
