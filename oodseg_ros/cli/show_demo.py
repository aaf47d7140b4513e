"""What `oodseg demo` shows: stages, progress, one line per alert change, and where the page is."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ..errors import UserError
from .show_run import STYLES


def demo_and_show(path: str | None, out: Path, bundle: str, engine: str, frames: int | None, started: float) -> None:
    """Run the demo and write the page; exits with status 130 after Ctrl-C.

    Raises:
        UserError: no ROS, or the input, the bundle or the node failed.
    """
    if find_spec("rclpy") is None:
        raise UserError("the demo needs ROS 2 (no rclpy here); run it with `make demo`, or source a ROS 2 workspace")
    from ..ros.tools.demo.input import open_input
    from ..ros.tools.demo.page import figures, line, write_page
    from ..ros.tools.demo.run import Watch, run_demo

    console = Console(highlight=False)
    given = open_input(path, frames)
    out.mkdir(parents=True, exist_ok=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=given.count)
        watch = Watch(
            stage=lambda text: bar.update(task, description=escape(text)),
            changed=lambda alert, since: bar.console.print(
                f"[{STYLES[alert.state]}]{escape(line(alert, since))}[/]", soft_wrap=True
            ),
            progress=lambda count: bar.update(task, completed=count),
        )
        result = run_demo(given, out, bundle, engine, watch, started)
        page = out / "index.html"
        bar.update(task, description="writing the page")
        write_page(result, given, page)
    numbers = figures(result)
    (out / "demo.json").write_text(json.dumps(numbers, indent=2) + "\n")
    ages = numbers["latency_s"]
    if ages["p50"] is not None:
        text = ", ".join(f"{key} {1e3 * value:.0f} ms" for key, value in ages.items())
        console.print(f"{numbers['answered']} of {numbers['sent']} frames answered; latency {text}", soft_wrap=True)
    console.print(f"open {escape(str(page))}", soft_wrap=True)
    if result.interrupted:
        sys.exit(130)
