"""`oodseg demo`: a drive through DDS and the real node, and a page about it."""

from __future__ import annotations

import time
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn

from ..errors import UserError
from ..extras import advice
from ..paths import write_json
from . import options
from .output import Output, refuse_overwriting

STARTED = time.monotonic()


def command(
    out: Annotated[Path, typer.Option(help="Folder for index.html, demo.json and the node's log.")] = Path("out/demo"),
    input: Annotated[
        str | None,
        typer.Option(help="Bag, video, image, folder, or scenes[:SEED]; default: a procedural drive."),
    ] = None,
    bundle: Annotated[str, typer.Option(help="Bundle: a folder, or the name of a shipped one.")] = "road_lite",
    engine: Annotated[str, typer.Option(help="Inference engine, or auto for the device's own.")] = "auto",
    frames: Annotated[int | None, typer.Option(min=1, help="Play at most this many frames.")] = None,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Publish a drive, run the node on it over DDS, and leave a page with what it said."""
    refuse_overwriting(out, ("index.html", "demo.json"), overwrite)
    if find_spec("rclpy") is None:
        raise UserError(f"the demo runs the node: {advice('rclpy')}")
    from ..ros.tools.demo.input import open_input
    from ..ros.tools.demo.page import figures, line, write_page
    from ..ros.tools.demo.run import Watch, run_demo
    from .run import STYLES

    shown = Output(json, quiet)
    given = open_input(input, frames)
    out.mkdir(parents=True, exist_ok=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with shown.progress(*columns) as bar:
        task = bar.add_task("", total=given.count)
        watch = Watch(
            stage=lambda text: bar.update(task, description=escape(text)),
            changed=lambda alert, since: bar.console.print(
                f"[{STYLES[alert.state.value]}]{escape(line(alert, since))}[/]", highlight=False, soft_wrap=True
            ),
            progress=lambda count: bar.update(task, completed=count),
        )
        result = run_demo(given, out, bundle, engine, watch, STARTED)
        page = out / "index.html"
        bar.update(task, description="writing the page")
        write_page(result, given, page)
    numbers = figures(result)
    write_json(out / "demo.json", numbers)
    ages = numbers["latency_s"]
    if ages["p50"] is not None:
        text = ", ".join(f"{key} {1e3 * value:.0f} ms" for key, value in ages.items())
        shown.say(f"{numbers['answered']} of {numbers['sent']} frames answered; latency {text}")
    shown.say(f"open {escape(str(page))}")
    shown.result(numbers | {"page": str(page)})
    if result.interrupted:
        raise typer.Exit(130)
