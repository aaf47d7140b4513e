"""`oodseg import`: a released checkpoint becomes a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape


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
    from ..importing.kinds import import_bundle

    console = Console()
    bundle, imported = import_bundle(kind, files, out, score, labels, fit, stride)
    card = bundle.card
    console.print(f"[bold]{bundle.id}[/]  {escape(str(bundle.path))}", highlight=False)
    console.print(f"{escape(imported.source)}: {len(imported.state)} tensors mapped", highlight=False)
    if imported.ignored:
        console.print(
            f"{len(imported.ignored)} tensors not needed: {escape(_shortened(imported.ignored))}", highlight=False
        )
    console.print(f"score {card.network['score']}, threshold {card.calibration.threshold:g}", highlight=False)
    console.print(f"calibrated on {escape(card.calibration.source)}", highlight=False)
    console.print(
        f"licence of weights: {escape(card.licence.weights)}; data: {escape(card.licence.data or 'not stated')}"
    )


def _shortened(keys: Sequence[str], most: int = 6) -> str:
    more = f", and {len(keys) - most} more" if len(keys) > most else ""
    return ", ".join(keys[:most]) + more
