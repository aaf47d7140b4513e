"""`oodseg replay`: evaluate bags without ROS."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from . import options
from .output import Output, refuse_overwriting, stages

SHOWN = 20
"""Alerts that are listed on the terminal."""


def command(
    bundle: options.BundleName,
    bag: Annotated[list[Path], typer.Argument(help="One or more rosbag2 folders, or mcap or db3 files.")],
    out: Annotated[Path, typer.Option(help="Folder for alerts.csv, metrics.json and report.html.")],
    params: options.Params = None,
    topic: options.Topics = None,
    truth: Annotated[Path | None, typer.Option(help="Folder of masks <stamp in ns>.png with 0, 1, 255.")] = None,
    truth_topic: Annotated[str | None, typer.Option(help="mono8 topic of such masks in the bag.")] = None,
    tolerance: Annotated[float, typer.Option(min=0, help="Seconds between a frame's and its mask's stamp.")] = 0.001,
    track: Annotated[str, typer.Option(help="Component rule with ground truth: obstacle or anomaly.")] = "obstacle",
    threshold: options.Threshold = None,
    min_area: options.OwnMinArea = None,
    camera_height: options.CameraHeight = None,
    camera_pitch: options.CameraPitch = 0.0,
    fov: options.FieldOfView = 60.0,
    ego_mask: options.EgoMask = None,
    gates: Annotated[bool, typer.Option(help="Refuse pictures and answers as the node does.")] = True,
    write_bag: Annotated[bool, typer.Option("--write-bag", help="Leave a bag with outputs beside inputs.")] = False,
    engine: options.EngineName = None,
    device: options.OwnDevice = None,
    precision: options.OwnPrecision = None,
    threads: options.OwnThreads = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first frames of each bag.")] = None,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Replay bags through a bundle on the bags' own clock: same bag, same alerts; under torchrun bags are shared."""
    from ..errors import BagError
    from ..evaluation.frame_pass import this_shard
    from ..replay.report import number
    from ..replay.run import ReplayOptions, replay_bags
    from ..replay.summary import MIN_RATE_S, refuse_unjudged
    from .run import engine_options, given_geometry, given_params

    shard = this_shard()
    refuse_overwriting(out, ("alerts.csv", "metrics.json"), overwrite or shard.rank > 0)
    given = given_params(params, threshold, min_area)
    if not gates:
        given |= {"health.input": [], "health.output": []}
    chosen = ReplayOptions(
        params=given,
        geometry=given_geometry(camera_height, camera_pitch, fov),
        ego_mask=ego_mask,
        shard=shard,
        topics=topic,
        truth=truth,
        truth_topic=truth_topic,
        tolerance_s=tolerance,
        track=track,
        limit=limit,
        write_bag=write_bag,
    )
    shown = Output(json and not shard.rank, quiet or shard.rank > 0)
    if missing := [path for path in bag if not path.exists()]:
        raise BagError(f"bag {missing[0]} does not exist")
    (loaded,) = shown.load(bundle, **engine_options(given, engine, device, threads, precision))
    left = f"the results in {out} are incomplete; --overwrite begins anew"
    with shown.interruptible(lambda: left, problem=True), shown.frame_count() as bar:
        loaded.preparing = stages(bar)
        task = bar.add_task("", total=None)
        metrics = replay_bags(
            loaded, bag, out, chosen, lambda name, done: bar.update(task, description=escape(name), completed=done)
        )
    if metrics is None:
        return
    alerts = metrics["alerts"]
    shown.say(f"{escape(metrics['bundle'])}: {metrics['frames']} frames, {metrics['duration_s']:.1f} s of driving")
    rates = f"no rates below {MIN_RATE_S / 60:.0f} minutes of driving"
    if metrics["duration_s"] >= MIN_RATE_S:
        rates = f"{number(alerts['per_hour'])} per hour, {number(alerts['per_kilometre'])} per kilometre"
    shown.say(f"alerts that began: {alerts['onsets']}; {rates}")
    drives = metrics.get("bags", [metrics])
    began = [(drive["bag"], entry) for drive in drives for entry in drive["alerts"]["began"]]
    for name, entry in began[:SHOWN]:
        place = f"{name}, " if len(drives) > 1 else ""
        shown.say(
            f"  after {entry['at_s']:.2f} s, {escape(place + entry['camera'])}, score {entry['score']:.2f} "
            f"(stamp {entry['stamp_ns']})"
        )
    if len(began) > SHOWN:
        shown.say(f"  … {len(began) - SHOWN} more in metrics.json")
    if "pixel" in metrics:
        pixel = metrics["pixel"]
        figures = ", ".join(f"{key} {100 * pixel[key]:.2f} %" for key in ("AP", "AUROC", "FPR95"))
        shown.say(f"{figures} on {pixel['frames']} frames with ground truth")
    for run in drives:
        damage = [f"{run['bag']}: {run['damage']}"] if run["damage"] else []
        shown.warn_losses(run["skipped"], run["notes"], damage, run["missing"])
        for topic, why in run["left_out"].items():
            shown.say(f"not in the new bag: {escape(topic)} ({escape(why)})")
    if len(bag) == 1:
        shown.say(f"alerts.csv, metrics.json and report.html are in {escape(str(out))}")
    else:
        shown.say(f"metrics.json, and a folder for each bag, are in {escape(str(out))}")
    shown.result(metrics | {"out": str(out)})
    refuse_unjudged(", ".join(each.name for each in bag), metrics["judged"], metrics["skipped"])
