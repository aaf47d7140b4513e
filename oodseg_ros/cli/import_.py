"""`oodseg import`: a released checkpoint becomes a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    kind: Annotated[
        str, typer.Argument(help="What the file is: uem, rpl, multishiftseg, segformer-mmseg, espnetv2 or hf.")
    ],
    files: Annotated[list[Path], typer.Argument(help="The checkpoint file, or the directory for hf.")],
    out: Annotated[Path, typer.Option(help="Folder of the bundle to write; its name becomes the bundle's.")],
    score: Annotated[
        str | None, typer.Option(help="A post-hoc score instead of the file's own, e.g. energy or max_logit.")
    ] = None,
    fit: Annotated[
        str | None,
        typer.Option(help="Bag, video or images without unknowns, for mahalanobis and standardized_max_logit."),
    ] = None,
    stride: Annotated[
        int | None, typer.Option(min=1, help="Distance of sliding windows in pixels; 140 is the protocol of UEM.")
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="Label set (name or YAML file) where the file's own is not known.")
    ] = None,
) -> None:
    """Turn a released checkpoint into a verified bundle."""
    from .show_import import show_import

    show_import(kind, files, out, score, labels, fit, stride)
