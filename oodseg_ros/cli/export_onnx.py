"""`oodseg export-onnx`: a bundle's graph for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    bundle: Annotated[str, typer.Argument(help="Bundle: a folder, or the name of a shipped one.")],
    size: Annotated[str, typer.Option(help="Image size HEIGHTxWIDTH, e.g. 1080x1920; fixed in the file.")],
    out: Annotated[Path, typer.Option(help="The .onnx file to write.")],
    batch: Annotated[int, typer.Option(min=1, max=64, help="Images per run; fixed in the file.")] = 1,
    precision: Annotated[str, typer.Option(help="fp32, or fp16 with likelihoods and score in fp32.")] = "fp32",
    image: Annotated[Path | None, typer.Option(help="Image to check it on; default: the golden frame.")] = None,
) -> None:
    """Write the whole way from uint8 images to labels and score as ONNX, and check it with ONNX Runtime."""
    from .show_export_onnx import export_and_show

    export_and_show(bundle, size, batch, precision, out, image)
