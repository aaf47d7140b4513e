"""What `oodseg faults` shows while it runs."""

from __future__ import annotations

import os
import platform
import sys
import time
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape

from .. import __version__
from ..errors import ConfigError
from ..paths import share_dir
from ..ros.tools.faults.catalog import choose
from ..ros.tools.faults.script import Outcome
from ..ros.tools.faults.table import write


def show_faults(out: Path, only: list[str], timeout: float, list_only: bool) -> None:
    """Run the chosen faults; exit code 1 if one was not handled.

    Raises:
        ConfigError: no such fault, or no ROS.
    """
    console = Console()
    scripts = choose(only)
    if list_only:
        for script in scripts:
            console.print(f"{script.group:11} {script.name:28} {escape(script.what)}", highlight=False)
        return
    try:
        from ..ros.node import launching
        from ..ros.tools.faults.run import run_all
    except ModuleNotFoundError as error:
        raise ConfigError(f"`oodseg faults` needs ROS 2: {error}") from error
    # Nobody else's cameras, and large images must get through: both are read when the first participant is made.
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.update(launching.dds_profile(os.environ, share_dir()))
    out.mkdir(parents=True, exist_ok=True)
    start, load = time.time(), os.getloadavg()[0]

    def progress(outcome: Outcome) -> None:
        mark = "[green]ok[/]    " if outcome.passed else "[red]failed[/]"
        detail = "; ".join(outcome.seen if outcome.passed else outcome.trouble)
        console.print(f"{mark} {outcome.name:28} {escape(detail)}", highlight=False, soft_wrap=True)

    outcomes = run_all(scripts, out, timeout, progress)
    machine = (
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}, "
        f"load {load:.1f} before the run"
    )
    command = "oodseg faults --out out/faults" + "".join(f" --only '{pattern}'" for pattern in only)
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
    console.print(f"{len(outcomes) - len(failed)} of {len(outcomes)} faults handled; table in {escape(str(out))}")
    if failed:
        raise typer.Exit(1)
