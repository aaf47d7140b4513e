"""`oodseg prepare-coco`: masks of unknown objects from a COCO instances file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options
from .output import Output


def command(
    root: Annotated[Path, typer.Option(help="COCO folder with annotations/ and train2017/.")],
    instances: Annotated[str, typer.Option(help="Below ROOT.")] = "annotations/instances_train2017.json",
    images: Annotated[str, typer.Option(help="Below ROOT.")] = "train2017",
    masks: Annotated[str, typer.Option(help="Where the masks go, below ROOT.")] = "annotations/ood_seg_train2017",
    drop: Annotated[list[str] | None, typer.Option(help="Drop pictures with this class (repeat).")] = None,
    published: Annotated[bool, typer.Option(help="Keep pictures with trains, as the published proxy does.")] = False,
    exclude: Annotated[list[str] | None, typer.Option(help="Do not mark objects of this class (repeat).")] = None,
    min_side: Annotated[int, typer.Option(min=0, help="Smallest height and width.")] = 480,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Write masks (0 / 254) of the pictures that show no class a driving label set knows; --drop replaces that list."""
    from ..outliers.coco import KNOWN_IN_CITYSCAPES, OVERLOOKED, open_coco, write_proxy

    shown = Output(json, quiet)
    dropped = drop or (KNOWN_IN_CITYSCAPES if published else (*KNOWN_IN_CITYSCAPES, *OVERLOOKED))
    pictures = open_coco(
        root / instances,
        root / images,
        drop_images_with=dropped,
        exclude=exclude or (),
        min_side=min_side,
        said=lambda sentence: shown.say(sentence),
    )
    with shown.progress() as bar:
        task = bar.add_task("masks", total=len(pictures))
        written = write_proxy(
            pictures, root / images, root / masks, lambda done, total: bar.update(task, completed=done)
        )
    kept = f", {len(pictures) - written} were there and are kept" if written < len(pictures) else ""
    shown.say(f"{len(pictures)} pictures without {', '.join(dropped)}; {written} masks written to {root / masks}{kept}")
    shown.result({"pictures": len(pictures), "written": written, "masks": str(root / masks)})
