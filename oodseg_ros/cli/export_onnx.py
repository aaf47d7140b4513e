"""`oodseg export-onnx`: a bundle's graph for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from . import options
from .output import Output, refuse_overwriting


def command(
    bundle: options.BundleName,
    size: Annotated[str, typer.Option(help="Image size WIDTHxHEIGHT, e.g. 1920x1080; fixed in the file.")],
    out: Annotated[Path, typer.Option(help="The .onnx file to write.")],
    batch: Annotated[int, typer.Option(min=1, max=64, help="Images per run; fixed in the file.")] = 1,
    precision: Annotated[str, typer.Option(help="fp32, or fp16 with likelihoods and score in fp32.")] = "fp32",
    image: Annotated[Path | None, typer.Option(help="Image to check it on; default: the golden frame.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file where it is there.")] = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Write the whole way from uint8 images to labels and score as ONNX, and check it with ONNX Runtime."""
    from ..building.onnx_export import export_bundle
    from ..bundle import load_bundle
    from ..inference.sizes import parse_size
    from ..sources.image_files import read_image

    refuse_overwriting(out.parent, (out.name,), overwrite)
    height, width = parse_size(size)
    shown = Output(json, quiet)
    loaded = load_bundle(bundle)
    with shown.console.status(f"exporting {bundle} at {width}x{height}, {precision}"):
        export = export_bundle(
            loaded, height, width, batch, out, precision, None if image is None else read_image(image)
        )
    shown.say(
        f"{escape(str(out))}  {export.bytes / 1e6:.1f} MB, opset {export.opset}: uint8 images "
        f"[{batch}, {height}, {width}, 3] → uint8 labels, float32 score"
    )
    if loaded.card.calibration.second_look is not None:
        shown.warn(
            "the file holds one look; the bundle's thresholds are for two where something is in doubt, or in a strip "
            "(its metadata, objects and second_look, says when)"
        )
    shown.say(
        f"ONNX Runtime against torch in FP32 on {escape(str(image) if image else 'the golden frame')}: max |Δscore| "
        f"{export.max_abs_delta:.3g}, labels agree on {export.label_agreement:.2%}"
    )
    shown.result(
        {
            "file": str(out),
            "bytes": export.bytes,
            "opset": export.opset,
            "max_abs_delta": export.max_abs_delta,
            "label_agreement": export.label_agreement,
        }
    )
