"""`oodseg replay`: evaluate bags without ROS."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    bundle: Annotated[str, typer.Argument(help="Bundle: a folder, or the name of a shipped one.")],
    bag: Annotated[list[Path], typer.Argument(help="One or more rosbag2 folders, or mcap or db3 files.")],
    out: Annotated[Path, typer.Option(help="Folder for alerts.csv, metrics.json and report.html.")],
    topic: Annotated[list[str] | None, typer.Option(help="Image topic; repeat for several.")] = None,
    truth: Annotated[Path | None, typer.Option(help="Folder of masks <stamp in ns>.png with 0, 1, 255.")] = None,
    truth_topic: Annotated[str | None, typer.Option(help="mono8 topic of such masks in the bag.")] = None,
    tolerance: Annotated[float, typer.Option(min=0, help="Seconds between a frame's and its mask's stamp.")] = 0.001,
    track: Annotated[str, typer.Option(help="Component rule with ground truth: obstacle or anomaly.")] = "obstacle",
    threshold: Annotated[float | None, typer.Option(help="Raw score threshold; default: the bundle's.")] = None,
    min_area: Annotated[int, typer.Option(min=1, help="Least area of an obstacle in pixels.")] = 100,
    ego_mask: Annotated[Path | None, typer.Option(help="Image, white on the own vehicle: not judged.")] = None,
    gates: Annotated[bool, typer.Option(help="Refuse pictures and answers as the node does by default.")] = True,
    write_bag: Annotated[bool, typer.Option("--write-bag", help="Leave a bag with outputs beside inputs.")] = False,
    engine: Annotated[str | None, typer.Option(help="openvino or torch; default: the device's own.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda[:N].")] = "cpu",
    threads: Annotated[int, typer.Option(min=0, help="CPU threads of the network; 0 = the engine's default.")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first frames of each bag.")] = None,
) -> None:
    """Replay bags through a bundle on the bags' own clock: same bag, same alerts; under torchrun bags are shared."""
    # Not at the top: `oodseg --help` reads this file and needs no OpenCV.
    from .show_replay import replay_and_show

    replay_and_show(
        bundle,
        bag,
        out,
        runner={"engine": engine, "device": device, "threads": threads},
        threshold=threshold,
        min_area=min_area,
        ego_mask=ego_mask,
        topics=topic,
        truth=truth,
        truth_topic=truth_topic,
        tolerance_s=tolerance,
        track=track,
        limit=limit,
        gates=gates,
        write_bag=write_bag,
    )
