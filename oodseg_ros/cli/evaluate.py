"""`oodseg evaluate`: figures of bundles on a dataset, with a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    bundle: Annotated[str, typer.Argument(help="Bundle: a folder, or the name of a shipped one.")],
    dataset: Annotated[str, typer.Argument(help="Name of a dataset, or `folder` for any images/ + labels/.")],
    root: Annotated[Path, typer.Option(help="The dataset's folder.")],
    out: Annotated[Path, typer.Option(help="Folder for metrics.json, frames.csv and report.html.")],
    also: Annotated[list[str] | None, typer.Option(help="Another bundle to compare with; may be repeated.")] = None,
    score: Annotated[
        list[str] | None,
        typer.Option(help="own (the bundle's), or e.g. max_softmax, max_logit, energy, entropy; may be repeated."),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Split of the dataset; default: the one with ground truth.")] = None,
    labels: Annotated[str | None, typer.Option(help="For `folder`: label set of class-id labels.")] = None,
    engine: Annotated[str | None, typer.Option(help="openvino or torch; default: the device's own.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda[:N].")] = "cpu",
    threads: Annotated[int, typer.Option(min=0, help="CPU threads of the network; 0 = the engine's default.")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first frames.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Threads that read and measure.")] = 2,
    track: Annotated[str | None, typer.Option(help="Component rule: anomaly or obstacle; default: by dataset.")] = None,
    camera_height: Annotated[
        float | None,
        typer.Option(help="Metres above the road; with --camera-pitch and --fov: recall by distance."),
    ] = None,
    camera_pitch: Annotated[float, typer.Option(help="Degrees by which the camera looks down.")] = 0.0,
    fov: Annotated[float, typer.Option(help="Horizontal field of view in degrees.")] = 60.0,
    submission: Annotated[bool, typer.Option("--submission", help="Write score maps as HDF5 for SMIYC.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Compare the figures with scikit-learn's (memory!).")] = False,
    record: Annotated[bool, typer.Option("--record", help="Write the figures into the bundle's model card.")] = False,
    keep_scores: Annotated[bool, typer.Option("--keep-scores", help="Leave the lossless score maps in OUT.")] = False,
) -> None:
    """Evaluate bundles on a dataset; start the same command again to resume, under torchrun to share the frames."""
    # Not at the top: `oodseg --help` reads this file and needs no OpenCV.
    from .show_evaluate import evaluate_and_show

    evaluate_and_show(
        [bundle, *(also or [])],
        score or ["own"],
        dataset,
        root,
        out,
        split=split,
        labels=labels,
        runner={"engine": engine, "device": device, "threads": threads},
        submission=submission,
        check=check,
        record=record,
        limit=limit,
        workers=workers,
        track=track,
        mount=None if camera_height is None else (camera_height, camera_pitch, fov),
        keep_scores=keep_scores,
    )
