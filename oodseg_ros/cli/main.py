"""The `oodseg` command. Each command is one file of this room, imported only when it is called."""

from __future__ import annotations

import sys
from importlib import import_module

import typer
from rich.console import Console

from ..errors import UserError

# name: (module of this package, its function)
COMMANDS = {
    "run": "run",
    "demo": "demo",
    "train": "train",
    "info": "info",
}


def main() -> None:
    """Entry point: run the command; a `UserError` becomes one readable line and exit code 2."""
    app = typer.Typer(no_args_is_help=True, add_completion=False, help="Train, inspect and run unknown-object segmentors.")
    asked = next((argument for argument in sys.argv[1:] if not argument.startswith("-")), None)
    # Only the asked command is imported: torch and transformers take seconds, and `oodseg --help` needs neither.
    for name in [asked] if asked in COMMANDS else COMMANDS:
        module = import_module(f".{COMMANDS[name]}", __package__)
        app.command(name)(module.command)
    if asked in COMMANDS:
        app.callback()(lambda: None)
    try:
        app()
    except UserError as error:
        Console(stderr=True).print(f"[bold red]error:[/] {error}", highlight=False)
        sys.exit(2)
