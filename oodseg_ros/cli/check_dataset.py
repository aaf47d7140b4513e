"""`oodseg check-dataset`: is this dataset laid out and labeled as it should be?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    name: Annotated[str, typer.Argument(help="Dataset, e.g. road_anomaly_21, fishyscapes_laf, cityscapes, folder.")],
    root: Annotated[Path, typer.Option(help="Folder that holds it.")],
    split: Annotated[str | None, typer.Option(help="Which part; `all` joins them. Default: the evaluated one.")] = None,
    labels: Annotated[str | None, typer.Option(help="For `folder`: label set of the class ids.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Read only the first frames.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Threads.")] = 2,
    json: Annotated[Path | None, typer.Option(help="Also write the report to this file.")] = None,
) -> None:
    """Read every frame of a dataset; report counts, sizes, label values, classes and everything that is wrong."""
    from .show_check_dataset import check_and_show

    if not check_and_show(name, root, split, labels, limit, workers, json):
        raise typer.Exit(1)
