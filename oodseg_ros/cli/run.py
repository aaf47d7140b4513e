"""`oodseg run`: a bundle over a bag, video or images, without ROS."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    bundle: Annotated[str, typer.Argument(help="Bundle: a folder, or the name of a shipped one.")],
    input: Annotated[str, typer.Argument(help="Bag, video, image, folder of images, or scenes[:SEED].")],
    out: Annotated[Path, typer.Option(help="Folder for overlays/, alerts.csv and scores/.")],
    engine: Annotated[str | None, typer.Option(help="openvino or torch; default: the device's own.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda[:N].")] = "cpu",
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 = the engine's default.")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="Read at most this many frames.")] = None,
    topic: Annotated[list[str] | None, typer.Option(help="Image topic of a bag; repeat for several.")] = None,
    threshold: Annotated[float | None, typer.Option(help="Raw score threshold; default: the bundle's.")] = None,
    min_area: Annotated[int, typer.Option(min=1, help="Least area of an obstacle in pixels.")] = 100,
    save_scores: Annotated[bool, typer.Option("--save-scores", help="Write scores and labels as npz.")] = False,
    png: Annotated[bool, typer.Option("--png", help="Overlays as PNG instead of JPEG.")] = False,
    sequence: Annotated[
        bool | None,
        typer.Option("--sequence/--stills", help="Folder of images: consecutive frames, or (default) each by itself."),
    ] = None,
    ego_mask: Annotated[Path | None, typer.Option(help="Image, white on the own vehicle: not judged.")] = None,
    camera_height: Annotated[
        float | None, typer.Option(help="Metres above the road; with --camera-pitch and --fov gives ranges.")
    ] = None,
    camera_pitch: Annotated[float, typer.Option(help="Degrees, positive looks down.")] = 0.0,
    fov: Annotated[float, typer.Option(min=5, max=170, help="Horizontal field of view in degrees.")] = 60.0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run's results.")] = False,
) -> None:
    """Run a bundle over frames; leaves overlays and alerts.csv."""
    # Not at the top: `oodseg --help` reads this file and needs no OpenCV.
    from .show_run import run_and_show

    run_and_show(
        bundle,
        input,
        out,
        engine=engine,
        device=device,
        threads=threads,
        limit=limit,
        topics=topic,
        threshold=threshold,
        min_area=min_area,
        save_scores=save_scores,
        image_format="png" if png else "jpg",
        sequence=sequence,
        ego_mask=ego_mask,
        mount=None if camera_height is None else (camera_height, camera_pitch, fov),
        overwrite=overwrite,
    )
