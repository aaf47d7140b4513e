"""`oodseg sign`: who made a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    bundle: Annotated[
        str | None, typer.Argument(help="Bundle to sign: a folder, or the name of a shipped one.")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="Private key (PEM) to sign with.")] = None,
    check: Annotated[Path | None, typer.Option(help="Public key: check the bundle's signature instead.")] = None,
    new_key: Annotated[
        Path | None, typer.Option(help="Write a new private key here, and <this>.pub beside it.")
    ] = None,
) -> None:
    """Sign a bundle, check its signature, or make a pair of keys (ed25519)."""
    from .show_sign import show_sign

    show_sign(bundle, key, check, new_key)
