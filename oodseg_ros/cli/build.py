"""`oodseg build`: an engine for one image size, accepted or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..inference.engine import ENGINES


def command(
    bundle: Annotated[str, typer.Argument(help="Bundle: a folder, or the name of a shipped one.")],
    engine: Annotated[str, typer.Option(help=f"One of {', '.join(ENGINES)}.")],
    size: Annotated[str, typer.Option(help="Image size HEIGHTxWIDTH, e.g. 1080x1920: the only one it takes.")],
    precision: Annotated[str, typer.Option(help="fp32, fp16, bf16 or int8.")] = "fp16",
    batch: Annotated[int, typer.Option(min=1, max=32, help="Images per run, e.g. the number of cameras.")] = 1,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or cuda:<index>; default: the engine's own.")] = None,
    target: Annotated[
        str | None,
        typer.Option(help="Only tensorrt_rtx: GPU to build for without having one, e.g. sm_89."),
    ] = None,
    accept_on: Annotated[
        str | None, typer.Option(help="Anomaly dataset for the acceptance gate; default: procedural scenes.")
    ] = None,
    root: Annotated[Path | None, typer.Option(help="The dataset's folder.")] = None,
    frames: Annotated[int, typer.Option(min=0, help="Frames for the gate; 0 = 24 scenes or 100 frames.")] = 0,
    allowed_ap: Annotated[float, typer.Option(min=0.0, max=1.0, help="How far AP may move.")] = 0.005,
    allowed_fpr95: Annotated[float, typer.Option(min=0.0, max=1.0, help="How far FPR95 may move.")] = 0.01,
    calibration: Annotated[
        str | None, typer.Option(help="int8: bag, video or folder of images that the ranges are taken from.")
    ] = None,
    quantize: Annotated[
        list[str] | None,
        typer.Option(help="Only tensorrt in int8: backbone or decoder; may be repeated. Default: both."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the engine; BUNDLE/engines travels with the bundle. Default: the user's cache."),
    ] = None,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads of the gate's reference; 0 = all.")] = 0,
    again: Annotated[bool, typer.Option("--again", help="Build even if an accepted engine is there.")] = False,
) -> None:
    """Build an engine and compare it with torch in FP32; one that moves AP or FPR95 too far is deleted.

    An engine built for another device is kept aside until the same command has run on that device.
    """
    from .show_build import build_and_show

    build_and_show(
        bundle,
        size,
        gate={"name": accept_on, "root": root, "limit": frames},
        calibration=calibration,
        engine=engine,
        precision=precision,
        batch=batch,
        device=device,
        target=target,
        folder=out,
        threads=threads,
        allowed_ap=allowed_ap,
        allowed_fpr95=allowed_fpr95,
        quantize=tuple(quantize or ()),
        again=again,
    )
