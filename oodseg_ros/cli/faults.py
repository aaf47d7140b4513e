"""`oodseg faults`: break things around the real node and check what it says."""

from __future__ import annotations

import os
import platform
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from .. import __version__
from ..errors import ConfigError
from ..extras import advice
from . import options
from .output import Output, refuse_overwriting

if TYPE_CHECKING:
    from ..ros.tools.faults.script import Outcome


def command(
    out: Annotated[Path, typer.Option(help="Folder for faults.json, reliability.md and the node's log.")],
    only: Annotated[list[str] | None, typer.Option(help="Fault or group, with * as wildcard; repeat for more.")] = None,
    timeout: Annotated[float, typer.Option(min=0.5, help="Seconds until a camera is silent; more if busy.")] = 1,
    list_only: Annotated[bool, typer.Option("--list", help="Name the faults and end.")] = False,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Drive the real node over DDS through scripted faults; about 8 minutes for all of them."""
    from ..paths import share_dir
    from ..ros.tools.faults.catalog import choose
    from ..ros.tools.faults.run import write

    shown = Output(json, quiet)
    scripts = choose(only or [])
    if list_only:
        for script in scripts:
            shown.say(f"{script.group:11} {script.name:28} {escape(script.what)}")
        shown.result({"faults": [{"group": s.group, "name": s.name, "what": s.what} for s in scripts]})
        return
    refuse_overwriting(out, ("faults.json",), overwrite)
    try:
        from ..ros.node import launching
        from ..ros.tools.faults.run import run_all
    except ModuleNotFoundError as error:
        raise ConfigError(f"`oodseg faults` runs the node: {advice(error.name)}") from error
    # Nobody else's cameras, and large images must get through: both are read when the first participant is made.
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.update(launching.dds_profile(os.environ, share_dir()))
    out.mkdir(parents=True, exist_ok=True)
    start, load = time.time(), os.getloadavg()[0]

    def progress(outcome: Outcome) -> None:
        if outcome.passed:
            detail = escape("; ".join(outcome.seen))
            shown.say(f"[green]ok[/]     {outcome.name:28} {detail}")
        else:
            shown.warn(f"failed {outcome.name:28} {'; '.join(outcome.trouble)}")

    outcomes = run_all(scripts, out, timeout, progress)
    machine = (
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}, "
        f"load {load:.1f} before the run"
    )
    command = "oodseg faults --out out/faults" + "".join(f" --only '{pattern}'" for pattern in only or ())
    command += f" --timeout {timeout:g}" if timeout != 1 else ""
    more = {
        "version": __version__,
        "ros": os.environ.get("ROS_DISTRO", ""),
        "seconds": round(time.time() - start, 1),
        "load_before": round(load, 2),
        "python": sys.version.split()[0],
    }
    write(outcomes, out, command, machine, timeout, more)
    failed = [outcome.name for outcome in outcomes if not outcome.passed]
    shown.say(f"{len(outcomes) - len(failed)} of {len(outcomes)} faults handled; table in {escape(str(out))}")
    shown.result({"out": str(out), "failed": failed, "faults": [asdict(outcome) for outcome in outcomes]})
    if failed:
        raise typer.Exit(1)
