"""`oodseg faults`: break things around the real node and look what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    out: Annotated[Path, typer.Option(help="Folder for faults.json, reliability.md and the node's log.")],
    only: Annotated[list[str] | None, typer.Option(help="Fault or group, with * as wildcard; repeat for more.")] = None,
    timeout: Annotated[float, typer.Option(min=0.5, help="Seconds until a camera is silent; more if busy.")] = 1,
    list_only: Annotated[bool, typer.Option("--list", help="Name the faults and end.")] = False,
) -> None:
    """Drive the real node over DDS through scripted faults; about 8 minutes for all of them."""
    from .show_faults import show_faults

    show_faults(out, only or [], timeout, list_only)
