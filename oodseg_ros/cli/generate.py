"""`oodseg generate`: pictures of a dataset's scenes with unknown objects, in other weather and places (CG-Aug)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    root: Annotated[Path, typer.Option(help="Folder of the labelled dataset that is varied.")],
    out: Annotated[Path, typer.Option(help="Folder for the generated pictures and labels.")],
    outlines: Annotated[Path, typer.Option(help="ADE20K annotations, or cut-outs with a cutouts.json.")],
    dataset: Annotated[str, typer.Option(help="As in `check-dataset`.")] = "cityscapes",
    split: Annotated[str, typer.Option(help="Which part.")] = "train",
    labels: Annotated[str | None, typer.Option(help="For `folder`: label set of the class ids.")] = None,
    base: Annotated[str, typer.Option(help="Stable Diffusion 1.5: folder or name.")] = "",
    control: Annotated[str, typer.Option(help="Its ControlNet for segmentations: folder or name.")] = "",
    sam: Annotated[str, typer.Option(help="Segment Anything: folder or name.")] = "",
    detector: Annotated[str, typer.Option(help="Bundle that has to find the object anomalous.")] = "",
    least_score: Annotated[float, typer.Option(help="Its least mean calibrated score on the object.")] = 0.5,
    least_iou: Annotated[float, typer.Option(min=0, max=1, help="Outline asked for against outline found.")] = 0.7,
    attempts: Annotated[int, typer.Option(min=1, help="Per original.")] = 10,
    steps: Annotated[int, typer.Option(min=1, help="Of DDIM.")] = 50,
    resolution: Annotated[int, typer.Option(min=64, help="Smaller side while generating.")] = 512,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first originals.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same pictures.")] = 0,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Generate one picture per original; a second call goes on where the first was interrupted."""
    from .show_generate import generate_and_show

    generate_and_show(
        root,
        out,
        outlines,
        dataset,
        split,
        labels,
        weights=(base, control, sam, detector),
        least=(least_iou, least_score),
        drawing=(steps, resolution, device),
        attempts=attempts,
        limit=limit,
        seed=seed,
    )
