"""What every command that reports has in common: text for people, `--json` for scripts, `-q` for neither."""

from __future__ import annotations

import json as jsons
import math
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from ..errors import ConfigError

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print problems only.")]


class Output:
    """Where a command prints.

    Attributes:
        console: for people; silent with `--json` and with `-q`.
    """

    def __init__(self, json: bool, quiet: bool) -> None:
        self._json = json
        self.console = Console(quiet=json or quiet, emoji=False)
        self._problems = self.console if not (json or quiet) else Console(stderr=True, emoji=False)

    def warn(self, text: str) -> None:
        """A problem: seen by people in any case, on stderr where stdout is for a script."""
        self._problems.print(f"[yellow]{escape(text)}[/]", highlight=False, soft_wrap=True)

    def result(self, data: dict[str, Any]) -> None:
        """What the command came to; nan and infinities become null, because JSON has none."""
        if self._json:
            typer.echo(jsons.dumps(_plain(data), indent=1, allow_nan=False))


def refuse_overwriting(out: Path, names: tuple[str, ...], overwrite: bool) -> None:
    """Nothing is replaced in silence.

    Raises:
        ConfigError: `out` holds one of the files `names`, of an earlier run.
    """
    there = [name for name in names if (out / name).exists()]
    if there and not overwrite:
        raise ConfigError(f"{out} holds {there[0]} of an earlier run; give another --out, or --overwrite to replace it")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value
