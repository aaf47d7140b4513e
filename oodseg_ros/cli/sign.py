"""`oodseg sign`: who made a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from . import options
from .output import Output


def command(
    bundle: Annotated[
        str | None, typer.Argument(help="Bundle to sign: a folder, or the name of a shipped one.")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="Private key (PEM) to sign with.")] = None,
    check: Annotated[Path | None, typer.Option(help="Public key: check the bundle's signature instead.")] = None,
    new_key: Annotated[
        Path | None, typer.Option(help="Write a new private key here, and <this>.pub beside it.")
    ] = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Sign a bundle, check its signature, or make a pair of keys (ed25519)."""
    from ..bundle import load_bundle
    from ..errors import ConfigError
    from ..signatures import VARIABLE, make_keys, sign_bundle

    shown = Output(json, quiet)
    if new_key is not None:
        public = make_keys(new_key)
        shown.say(f"private key {escape(str(new_key))} (keep it off the vehicle), public key {escape(str(public))}")
        key = key or (new_key if bundle is not None else None)
        if bundle is None:
            shown.result({"private_key": str(new_key), "public_key": str(public)})
    if bundle is None:
        if new_key is None:
            raise ConfigError("give a bundle with --key (sign) or --check (verify), or --new-key FILE (make keys)")
        return
    if check is not None:
        loaded = load_bundle(bundle, str(check))
        shown.say(f"{escape(loaded.id)}: signed by {escape(str(check))}, all files as signed")
        shown.result({"bundle": loaded.id, "signed_by": str(check), "valid": True})
        return
    if key is None:
        raise ConfigError(f"--key FILE is missing: the private key to sign {bundle} with")
    # Verified first: a signature of a damaged bundle would vouch for the damage.
    loaded = load_bundle(bundle)
    file = sign_bundle(loaded.path, key)
    shown.say(f"{escape(loaded.id)} signed: {escape(str(file))}. Require it with public_key:=… or ${VARIABLE}")
    shown.result({"bundle": loaded.id, "signature": str(file)})
