"""The `oodseg` command. Each command is one file of this room, imported only when it is called."""

from __future__ import annotations

import os
import sys
import warnings
from importlib import import_module

import typer
from rich.console import Console
from rich.markup import escape

from .. import __version__
from ..errors import UserError, why
from ..extras import advice
from ..process import INTERRUPTED, interruptible

HELP = "Train, inspect and run unknown-object segmentors."

# name: (module of this package, its function)
COMMANDS = {
    "run": "run",
    "demo": "demo",
    "collect": "collect",
    "init-recipe": "init_recipe",
    "train": "train",
    "evaluate": "evaluate",
    "calibrate": "calibrate",
    "calibrate-objects": "calibrate_objects",
    "narrow": "narrow",
    "replay": "replay",
    "compare": "compare",
    "info": "info",
    "build": "build",
    "engines": "engines",
    "import": "import_",
    "export-onnx": "export_onnx",
    "sign": "sign",
    "faults": "faults",
    "check-dataset": "check_dataset",
    "prepare-coco": "prepare_coco",
    "generate": "generate",
}


def main() -> None:
    """Entry point: run the command; what a user can mend becomes one readable line and exit code 2."""
    # torch's exporter stumbles over its own deprecation; nobody who reads this command's output can act on it.
    warnings.filterwarnings("ignore", category=FutureWarning, module="copyreg")
    os.environ.setdefault("TQDM_DISABLE", "1")  # bars of libraries (transformers, nncf) between the lines of ours
    try:
        app = build_app(sys.argv[1:])
        interruptible()
        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except (UserError, ModuleNotFoundError, OSError) as error:
        Console(stderr=True, emoji=False).print(
            f"[bold red]error:[/] {escape(_sentence(error))}", highlight=False, soft_wrap=True
        )
        sys.exit(2)


def build_app(arguments: list[str]) -> typer.Typer:
    """The command line with the command that `arguments` ask for, or with all of them where they ask for none."""
    app = typer.Typer(no_args_is_help=True, add_completion=True)
    app.callback(help=HELP)(_options)
    asked = next((argument for argument in arguments if not argument.startswith("-")), None)
    # Only the asked command is imported; all of them import what is heavy only when they are called.
    for name in [asked] if asked in COMMANDS else COMMANDS:
        app.command(name)(import_module(f".{COMMANDS[name]}", __package__).command)
    return app


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"oodseg_ros {__version__}")
        raise typer.Exit


def _of_a_command(asked: bool) -> None:
    if asked:
        raise typer.BadParameter("it belongs behind the command, as in `oodseg info road_lite --json -q`")


def _options(
    version: bool = typer.Option(
        False, "--version", help="Show the version and end.", callback=_show_version, is_eager=True
    ),
    json: bool = typer.Option(False, "--json", hidden=True, callback=_of_a_command),
    quiet: bool = typer.Option(False, "--quiet", "-q", hidden=True, callback=_of_a_command),
) -> None:
    """Options before the command."""


def _sentence(error: UserError | ModuleNotFoundError | OSError) -> str:
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError):
        if error.filename is None:
            raise error  # no file or folder of the user's
        return f"{error.filename}: {why(error)}"
    if (error.name or "").startswith(__package__.partition(".")[0]):
        raise error  # a fault of this package, which nothing that is installed would mend
    return advice(error.name)
