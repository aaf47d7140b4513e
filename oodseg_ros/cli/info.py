"""`oodseg info`: what is inside a bundle."""

from __future__ import annotations

from typing import Annotated

import typer


def command(
    bundle: Annotated[str, typer.Argument(help="Bundle: a folder, or the name of a shipped one.")],
    width: Annotated[int, typer.Option(min=32, max=8192, help="Image width that FLOPs are counted for.")] = 1920,
    height: Annotated[int, typer.Option(min=32, max=8192, help="Image height.")] = 1080,
) -> None:
    """Show a bundle's parts, input, score, calibration, data and metrics."""
    from .show_info import show_info

    show_info(bundle, height, width)
