"""`oodseg build`: an engine for one image size, accepted or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn

from . import options
from .output import Output

if TYPE_CHECKING:
    import numpy as np

    from ..building.build import Built
    from ..building.gate_data import GateData

from ..inference.engine import ENGINES, chosen


def command(
    bundle: options.BundleName,
    engine: Annotated[str, typer.Option(help=f"One of {', '.join(ENGINES)}; see docs/engines.md.")],
    size: Annotated[str, typer.Option(help="Image size WIDTHxHEIGHT, e.g. 1920x1080: the only one it takes.")],
    precision: Annotated[str, typer.Option(help="fp32, fp16, bf16 or int8 (with --calibration).")] = "fp16",
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
    labels: options.Labels = None,
    unknown: options.Unknown = None,
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
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Build an engine and compare it with torch in FP32; one that moves AP or FPR95 too far is deleted.

    A Jetson and data-centre cards take tensorrt, GeForce and RTX cards tensorrt_rtx, processors openvino. An engine
    built for another device is kept aside until the same command has run on that device.
    """
    from ..building.build import build_engine
    from ..building.gate_data import calibration_frames, gate_data
    from ..building.openvino import computes_bf16
    from ..building.order import Order
    from ..bundle import load_bundle
    from ..inference.sizes import parse_size
    from ..inference.strip import strip_of

    height, width = parse_size(size)
    chosen(engine, device, precision)  # what cannot be is said before frames are read
    loaded = load_bundle(bundle)
    data = gate_data((height, width), accept_on, root, frames, labels, unknown, loaded.card)
    shown = Output(json, quiet)
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    with shown.progress(*columns) as progress:
        tasks: dict[str, Any] = {}

        def show(phase: str, done: float) -> None:
            if phase not in tasks:
                tasks[phase] = progress.add_task(escape(phase), total=1.0)
            progress.update(tasks[phase], completed=done)

        order = Order(
            engine=engine,
            precision=precision,
            height=height,
            width=width,
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
        calibrating = []
        if precision == "int8":
            calibrating = calibration_frames(calibration, size=(height, width), card=loaded.card)
        built = build_engine(loaded, order, _shown(data, show), data.name, calibrating, show)
    show_built(built, shown)
    if built.engine is not None and (strip := strip_of(height, width, loaded.card)) is not None:
        shown.say(
            f"the bundle's second look needs one for its strip, too: the same command with "
            f"--size {strip.columns}x{strip.rows}"
        )
    if imitated := engine == "openvino" and precision == "bf16" and not computes_bf16():
        shown.warn("this processor has no BF16: OpenVINO computes the engine in FP32 here, and so did the gate")
    shown.result(
        {
            "computes_fp32": imitated,
            "engine": None if built.engine is None else str(built.engine.folder / built.engine.side.identity.stem),
            "reused": built.reused,
            "accepted": built.engine is None or built.engine.side.accepted,
            "built": {} if built.engine is None else built.engine.side.built,
            "gate": None if built.acceptance is None else built.acceptance.sentence,
        }
    )


def show_built(built: Built, shown: Output) -> None:
    """Print what is on disk now."""
    if built.engine is None:
        shown.say("fp32 on this engine needs no build: it is checked against the golden frame whenever it is loaded")
        return
    side = built.engine.side
    rows = {
        "files": str(built.engine.folder / side.identity.stem) + " " + " ".join(_suffixes(built)),
        "size": f"{side.built.get('bytes', 0) / 1e6:.1f} MB",
        "built in": f"{side.built.get('seconds', 0):g} s",
        "usable": "yes" if side.accepted else f"not yet: it {side.reason}; run the same command there",
    }
    shown.facts(rows, "engine, was there already" if built.reused else "engine")
    if built.acceptance is not None:
        shown.say(built.acceptance.sentence)


def _suffixes(built: Built) -> list[str]:
    assert built.engine is not None
    stem = built.engine.side.identity.stem
    return sorted(name.removeprefix(stem) for name in built.engine.side.files)


def _shown(frames: GateData, show: Any) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for index, pair in enumerate(frames):
        show("acceptance gate", index / frames.frames)
        yield pair
    show("acceptance gate", 1.0)
