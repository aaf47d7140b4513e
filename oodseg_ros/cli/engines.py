"""`oodseg engines`: what was built, and where it lies."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from ..errors import ConfigError
from . import options
from .output import Output

if TYPE_CHECKING:
    from ..inference.engine_cache import StoredEngine

ACTIONS = ("list", "show", "remove", "copy")


def command(
    action: Annotated[str, typer.Argument(help="list, show, remove or copy.")],
    name: Annotated[str, typer.Argument(help="Name of an engine, or as much of its begin as only one has.")] = "",
    folder: Annotated[
        list[Path] | None, typer.Option(help="Where engines lie, e.g. BUNDLE/engines; default: the user's cache.")
    ] = None,
    to: Annotated[Path | None, typer.Option(help="copy: the folder to copy to, e.g. BUNDLE/engines.")] = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """List, show, remove or copy built engines; nothing but the files that a side-car names is touched."""
    from ..inference.engine_cache import default_dir, engines_in

    if action not in ACTIONS:
        raise ConfigError(f"engines {action}: there are {', '.join(ACTIONS)}")
    shown = Output(json, quiet)
    folders = folder or [default_dir()]
    found, damaged = [], []
    for place in folders:
        engines, broken = engines_in(place)
        found += engines
        damaged += broken
    if action == "list":
        _list(shown, found, damaged, folders)
        return
    engine = _one(name, found, action)
    stem = engine.side.identity.stem
    files = [engine.folder / file for file in engine.side.files] + [engine.path(".json")]
    if action == "show":
        _show(shown, engine)
    elif action == "remove":
        for file in reversed(files):  # the side-car first: without it, the rest is no engine
            file.unlink(missing_ok=True)
        shown.say(f"removed {escape(stem)}, {len(files)} files")
        shown.result({"removed": [str(file) for file in files]})
    else:
        if to is None:
            raise ConfigError("engines copy: --to FOLDER is missing, e.g. --to BUNDLE/engines")
        engine.verify()
        to.mkdir(parents=True, exist_ok=True)
        if there := [file.name for file in files if (to / file.name).exists()]:
            raise ConfigError(f"{to} has {there[0]} already; remove it first")
        for file in files:
            shutil.copyfile(file, to / file.name)
        shown.say(f"copied {escape(stem)} to {escape(str(to))}")
        shown.result({"copied": [str(to / file.name) for file in files]})


def _one(name: str, found: list[StoredEngine], action: str) -> StoredEngine:
    if not name:
        raise ConfigError(f"engines {action}: say which one; `oodseg engines list` names them")
    exact = [engine for engine in found if engine.side.identity.stem == name]
    matching = exact or [engine for engine in found if engine.side.identity.stem.startswith(name)]
    if len(matching) != 1:
        names = ", ".join(engine.side.identity.stem for engine in matching or found) or "none is there"
        what = "several engines begin with" if matching else "no engine is called"
        raise ConfigError(f"{what} {name!r}: {names}")
    return matching[0]


def _list(shown: Output, found: list[StoredEngine], damaged: list[str], folders: list[Path]) -> None:
    # No table: a name of 80 letters leaves no room for other columns, and shall be copied whole.
    for engine in found:
        identity, size = engine.side.identity, engine.side.built.get("bytes", 0) / 1e6
        usable = "usable" if engine.side.accepted else f"not usable: {engine.side.reason}"
        shown.say(f"[bold]{escape(identity.stem)}[/]")
        shown.say(
            f"    {identity.precision} on {identity.architecture}, {identity.width}x{identity.height}, batch "
            f"{identity.batch}, {size:.1f} MB, {escape(usable)}; in {escape(str(engine.folder))}"
        )
    if not found:
        shown.say(f"no engine in {escape(', '.join(map(str, folders)))}")
    for sentence in damaged:
        shown.warn(sentence)
    shown.result({"engines": [_facts(engine) for engine in found], "damaged": damaged})


def _show(shown: Output, engine: StoredEngine) -> None:
    facts = _facts(engine)
    shown.facts({key: _readable(value) for key, value in facts.items() if value not in ("", None)})
    shown.result(facts)


def _readable(value: Any) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{key}: {_readable(entry)}" for key, entry in value.items())
    if isinstance(value, list):
        return "\n".join(map(str, value))
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _facts(engine: StoredEngine) -> dict[str, Any]:
    side = engine.side
    return {
        "name": side.identity.stem,
        "folder": str(engine.folder),
        **asdict(side.identity),
        "accepted": side.accepted,
        "reason": side.reason,
        "files": list(side.files),
        "acceptance": side.acceptance,
        "golden": side.golden,
        "built": side.built,
    }
