"""`oodseg compare OLD NEW`: what a rollout would change, and whether a rule refuses it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from . import options
from .output import Output, stages


def command(
    old: Annotated[str, typer.Argument(help="The bundle that drives now.")],
    new: Annotated[str, typer.Argument(help="The bundle that shall drive.")],
    out: Annotated[Path, typer.Option(help="Folder for index.html, comparison.json and both bundles' own results.")],
    bags: Annotated[list[Path] | None, typer.Option(help="A drive; repeat for several.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Labelled frames: a dataset's name, or `folder`.")] = None,
    root: Annotated[Path | None, typer.Option(help="The dataset's folder.")] = None,
    split: Annotated[str | None, typer.Option(help="Split of the dataset.")] = None,
    labels: options.Labels = None,
    unknown: options.Unknown = None,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            help="Refuse with status 1, e.g. 'alerts.disappeared > 0' or 'AP.change < -0.01'; repeat for more."
        ),
    ] = None,
    tolerance: Annotated[float, typer.Option(min=0, help="Seconds by which an alert may move and be the same.")] = 0.0,
    params: Annotated[Path | None, typer.Option(help="Parameter file of the node, for both.")] = None,
    camera_height: options.CameraHeight = None,
    camera_pitch: options.CameraPitch = 0.0,
    fov: options.FieldOfView = 60.0,
    topic: options.Topics = None,
    engine: options.EngineName = None,
    device: options.Device = "cpu",
    precision: options.Precision = "fp32",
    threads: options.Threads = 0,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first frames of each bag and of the dataset.")
    ] = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Compare two bundles on drives and labelled frames, on one page; status 1 where a --fail-if rule refuses."""
    from ..comparing.compare import compare
    from ..comparing.figures import parse_rule
    from ..comparing.report import sentence, write_page
    from ..datasets.registry import open_dataset
    from ..errors import ConfigError
    from ..replay.run import ReplayOptions
    from .run import given_geometry, given_params

    rules = [parse_rule(text) for text in fail_if or ()]
    if not bags and not dataset:
        raise ConfigError("there is nothing to compare on: give --bags, or --dataset with --root, or both")
    if bool(dataset) != (root is not None):
        raise ConfigError("--dataset and --root belong together")
    if (out / "comparison.json").exists():
        raise ConfigError(f"{out} holds a comparison already; give another --out")
    chosen = ReplayOptions(
        topics=topic,
        limit=limit,
        params=given_params(params, None, None),
        geometry=given_geometry(camera_height, camera_pitch, fov),
    )
    opened = open_dataset(dataset, root, split, labels, unknown) if dataset else None
    how = {"engine": engine, "device": device, "precision": precision, "threads": threads}
    shown = Output(json, quiet)
    runners = shown.load(old, new, **how)
    with shown.frame_count() as bar:
        for runner in runners:
            runner.preparing = stages(bar)
        task = bar.add_task("", total=None)
        result = compare(
            runners,
            out,
            bags=bags or [],
            dataset=opened,
            options=chosen,
            tolerance_s=tolerance,
            limit=limit,
            progress=lambda stage, done, total: bar.update(
                task, description=escape(stage), completed=done, total=total
            ),
        )
    values = result.values()
    broken = [why for rule in rules if (why := rule.broken(values))]
    write_page(result, broken, [str(rule) for rule in rules], out / "index.html", shlex.join(["oodseg", *sys.argv[1:]]))
    shown.say(f"{escape(result.bundles[0])} → {escape(result.bundles[1])}")
    for name, parts in result.figures.items():
        interval = "" if "low" not in parts else f" ({parts['low']:+.4f} to {parts['high']:+.4f})"
        shown.say(f"{name:26} {parts['old']:.4f} → {parts['new']:.4f}, {parts['change']:+.4f}{interval}")
    if result.alerts:
        told = ", ".join(f"{kind} {count}" for kind, count in result.alerts.items())
        shown.say(f"alerts: {told}")
        for one in result.differences[:20]:
            shown.say(f"  {escape(sentence(one))}")
    shown.say(f"pictures and the rest are in {escape(str(out / 'index.html'))}")
    for note in result.notes:
        shown.warn(f"note: {note}")
    if rules and not broken:
        shown.say(f"no rule refuses it: {escape('; '.join(map(str, rules)))}")
    for why in broken:
        shown.warn(f"refused: {why}")
    shown.result(result.to_dict() | {"refused": broken, "page": str(out / "index.html")})
    if broken:
        raise typer.Exit(1)
