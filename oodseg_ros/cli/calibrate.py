"""`oodseg calibrate`: the threshold for a wanted rate of false alarms or misses, with a guarantee."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    bundle: Annotated[str, typer.Argument(help="Bundle: a folder, or the name of a shipped one.")],
    dataset: Annotated[str, typer.Argument(help="Name of an anomaly dataset, or `folder`.")],
    root: Annotated[Path, typer.Option(help="The dataset's folder.")],
    target: Annotated[
        str,
        typer.Option(
            help="pixels=A or frames=A: at most this share of normal pixels, or of frames, raises a false alarm; "
            "objects=A: at most this share of objects is missed; alerts-per-hour=N with --rate."
        ),
    ],
    confidence: Annotated[
        float | None, typer.Option(help="E.g. 0.9: the bound holds with this probability; default: in expectation.")
    ] = None,
    rate: Annotated[float | None, typer.Option(help="Frames per second of the camera, for alerts-per-hour.")] = None,
    min_area: Annotated[int, typer.Option(min=1, help="Least area of an obstacle in pixels.")] = 100,
    cover: Annotated[float, typer.Option(help="Share of its pixels with which an object counts as found.")] = 0.5,
    out: Annotated[Path | None, typer.Option(help="Write a copy of the bundle here; default: into the bundle.")] = None,
    split: Annotated[str | None, typer.Option(help="Split of the dataset; default: the one with ground truth.")] = None,
    engine: Annotated[str | None, typer.Option(help="openvino or torch; default: the device's own.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda[:N].")] = "cpu",
    threads: Annotated[int, typer.Option(min=0, help="CPU threads of the network; 0 = the engine's default.")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first frames.")] = None,
) -> None:
    """Choose a bundle's threshold on data, fit its score table, and write both into the bundle."""
    # Not at the top: `oodseg --help` reads this file and needs no OpenCV.
    from .show_calibrate import calibrate_and_show

    calibrate_and_show(
        bundle,
        dataset,
        root,
        target,
        out,
        split=split,
        limit=limit,
        rate=rate,
        runner={"engine": engine, "device": device, "threads": threads},
        confidence=confidence,
        min_area=min_area,
        cover=cover,
    )
