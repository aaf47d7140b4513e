"""`oodseg demo`: a drive through DDS and the real node, and a page about it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

STARTED = time.monotonic()


def command(
    out: Annotated[Path, typer.Option(help="Folder for index.html, demo.json and the node's log.")] = Path("out/demo"),
    input: Annotated[
        str | None,
        typer.Option(help="Bag, video, image, folder, or scenes[:SEED]; default: a procedural drive."),
    ] = None,
    bundle: Annotated[str, typer.Option(help="Bundle: a folder, or the name of a shipped one.")] = "road_lite",
    engine: Annotated[str, typer.Option(help="auto, openvino or torch.")] = "auto",
    frames: Annotated[int | None, typer.Option(min=1, help="Play at most this many frames.")] = None,
) -> None:
    """Publish a drive, run the node on it over DDS, and leave a page with what it said."""
    # Not at the top: `oodseg --help` reads this file and needs no ROS.
    from .show_demo import demo_and_show

    demo_and_show(input, out, bundle, engine, frames, STARTED)
