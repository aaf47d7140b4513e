"""`oodseg evaluate`: figures of bundles on a dataset, with a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import TaskID

from . import options
from .output import Output, refuse_overwriting, stages, table

NAMES = 2
"""Columns of the comparison that hold names: bundle and score."""


def command(
    bundle: options.BundleName,
    dataset: Annotated[str, typer.Argument(help="Name of a dataset, or `folder` for any images/ + labels/.")],
    root: Annotated[Path, typer.Option(help="The dataset's folder.")],
    out: Annotated[Path, typer.Option(help="Folder for metrics.json, frames.csv and report.html.")],
    also: Annotated[list[str] | None, typer.Option(help="Another bundle to compare with; may be repeated.")] = None,
    score: Annotated[
        list[str] | None,
        typer.Option(help="own (the bundle's), or e.g. max_softmax, max_logit, energy, entropy; may be repeated."),
    ] = None,
    coherence: Annotated[
        float | None,
        typer.Option(
            help="Of the own score inside of objects, below 1; 0 = as both looks give it. Default: as published."
        ),
    ] = None,
    split: options.Split = None,
    labels: options.Labels = None,
    unknown: options.Unknown = None,
    engine: options.EngineName = None,
    device: options.Device = "cpu",
    precision: options.Precision = "fp32",
    threads: options.Threads = 0,
    match: Annotated[str | None, typer.Option(help="Only frames whose id fits, e.g. '7d*'.")] = None,
    limit: options.FirstFrames = None,
    workers: Annotated[int, typer.Option(min=1, help="Threads that read and measure.")] = 2,
    track: Annotated[
        str | None, typer.Option(help="Component rule: anomaly, obstacle, vehicle; default: by dataset.")
    ] = None,
    camera_height: Annotated[
        float | None, typer.Option(help="Metres above the road; with --camera-pitch and --fov: recall by distance.")
    ] = None,
    camera_pitch: options.CameraPitch = 0.0,
    fov: options.FieldOfView = 60.0,
    submission: Annotated[bool, typer.Option("--submission", help="Write score maps as HDF5 for SMIYC.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Compare the figures with scikit-learn's (memory!).")] = False,
    record: Annotated[bool, typer.Option("--record", help="Write the figures into the bundle's model card.")] = False,
    key: Annotated[Path | None, typer.Option(help="Private key: sign the bundle again after --record.")] = None,
    keep_scores: Annotated[bool, typer.Option("--keep-scores", help="Leave the lossless score maps in OUT.")] = False,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Evaluate bundles on a dataset; start the same command again to resume, under torchrun to share the frames."""
    from ..bundle import check_rewritable, load_bundle
    from ..datasets.registry import open_dataset
    from ..errors import ConfigError
    from ..evaluation.evaluate import EvaluationOptions
    from ..evaluation.evaluate_many import evaluate_many, folder_name, table_columns, table_rows
    from ..evaluation.frame_pass import this_shard
    from ..evaluation.metrics.recall import CameraMount
    from ..evaluation.results import record_metrics
    from ..signatures import is_signed

    shard = this_shard()
    if not (out / "state").exists():  # with it, an interrupted run goes on
        refuse_overwriting(out, ("metrics.json",), overwrite or shard.rank > 0)
    bundles = [bundle, *(also or [])]
    if record:
        check_rewritable(Path(bundle), key)
        own = load_bundle(bundle).card.network.get("score")
        if also or {*(score or [])} - {"own", own}:
            raise ConfigError("--record is for one bundle with its own score; leave out --also and --score")
        if limit is not None or coherence is not None:
            raise ConfigError(
                "--record is for the score as it is published on a whole set; leave out --limit and --coherence "
                "(--match chooses frames by name)"
            )
    chosen = EvaluationOptions(
        shard=shard,
        limit=limit,
        workers=workers,
        track=track,
        mount=None if camera_height is None else CameraMount(camera_height, camera_pitch, fov),
        keep_scores=keep_scores,
        coherence=coherence,
    )
    opened = open_dataset(dataset, root, split, labels, unknown)
    opened = opened if match is None else opened.only(match)
    shown = Output(json and not shard.rank, quiet or shard.rank > 0)
    again = f"the same command goes on with what is in {out}"
    with shown.interruptible(lambda: again), shown.progress() as bar:
        tasks: dict[str, TaskID] = {}

        def progress(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(escape(stage))
            bar.update(tasks[stage], completed=done, total=total)

        evaluations = evaluate_many(
            bundles,
            score or ["own"],
            opened,
            out,
            chosen,
            runner={"engine": engine, "device": device, "precision": precision, "threads": threads},
            submission=submission,
            check=check,
            progress=progress,
            preparing=stages(bar),
        )
    runs = [evaluation.metrics for evaluation in evaluations]
    if not runs:
        return
    # Names above, figures below: side by side they fit into no terminal of 80 columns.
    shown.say(f"{escape(opened.name)}, {runs[0]['frames']} frames, in %")
    figures = table("", *table_columns(runs)[NAMES:], numbers=True)
    for number, row in enumerate(table_rows(runs), 1):
        shown.say(f"{number}  {escape('  '.join(row[:NAMES]))}")
        figures.add_row(str(number), *row[NAMES:])
    shown.say(figures)
    for run in runs:
        for note in run["notes"]:
            shown.warn(f"{run['bundle']}: {note}")
        shown.warn_left_out(run["skipped"])
        if run.get("check"):
            difference, pixels = run["check"]["largest_difference"], run["check"]["pixels"]
            shown.say(f"scikit-learn on {pixels:,} of the pixels: largest difference {difference:.1e}")
    if record:
        before = load_bundle(bundle)
        signed = is_signed(before.path)
        recorded = record_metrics(bundle, opened.name, runs[0], key)
        shown.say(f"figures recorded in the card of {escape(str(recorded.path))}")
        made = {metric.command for metric in recorded.card.metrics if metric.data == opened.name}
        gone = {metric.command for metric in before.card.metrics if metric.data == opened.name} - made
        if gone:  # they may be of other frames
            now = f"recorded are {runs[0]['frames']} frames of {opened.name}"
            shown.warn(f"{now}; this replaces the figures of: {'; '.join(sorted(gone))}")
        shown.warn_unsigned(recorded.path, signed)
    folders = [out] if len(runs) == 1 else [out / folder_name(run["bundle"]) for run in runs]
    where = "each in a folder of its own, with a common report.html in" if len(runs) > 1 else "in"
    shown.say(f"metrics.json, frames.csv and report.html are {where} {escape(str(out))}")
    shown.result({"out": str(out), "folders": [str(folder) for folder in folders], "runs": runs})
