"""`oodseg calibrate`: the threshold for a wanted rate of false alarms or misses, with a guarantee."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from . import options
from .output import EVIDENCE_LOST, METRICS_LOST, Output, refuse_existing, stages


def command(
    bundle: options.BundleName,
    dataset: Annotated[
        str,
        typer.Argument(help="Name of a dataset, `folder`, or (with --normal) `frames`: no labels at all."),
    ],
    root: Annotated[Path, typer.Option(help="The dataset's folder; of `frames` a folder, video, bag or image.")],
    target: Annotated[
        str,
        typer.Option(
            help="pixels=A or frames=A: at most this share of normal pixels, or of frames, raises a false alarm; "
            "objects=A: at most this share of objects is missed; alerts-per-hour=N with --rate."
        ),
    ],
    normal: Annotated[
        bool,
        typer.Option(
            "--normal", help="These frames show nothing unknown: labelled pixels, or all of `frames`, are normal."
        ),
    ] = False,
    labels: options.Labels = None,
    unknown: options.Unknown = None,
    confidence: options.Confidence = None,
    rate: Annotated[float | None, typer.Option(help="Frames per second of the camera, for alerts-per-hour.")] = None,
    min_area: options.MinArea = 100,
    cover: Annotated[float, typer.Option(help="Share of its pixels with which an object counts as found.")] = 0.5,
    out: options.BundleOut = None,
    key: options.Key = None,
    split: options.Split = None,
    engine: options.EngineName = None,
    device: options.Device = "cpu",
    precision: options.Precision = "fp32",
    threads: options.Threads = 0,
    limit: options.FirstFrames = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Choose a bundle's threshold on data, fit its score table, and write both into the bundle."""
    from ..bundle import check_rewritable
    from ..datasets.registry import open_dataset
    from ..errors import ConfigError
    from ..evaluation.calibration.calibrate import calibrate, parse_target, write_calibration
    from ..evaluation.calibration.normal import FRAMES, open_normal
    from ..signatures import is_signed

    refuse_existing(out)
    check_rewritable(Path(bundle), key)
    wanted = parse_target(target, rate, confidence=confidence, min_area=min_area, cover=cover)
    if dataset == FRAMES and not normal:
        raise ConfigError("`frames` have no labels: say with --normal that they show nothing unknown")
    if normal and unknown is not None:
        raise ConfigError("--normal says that nothing unknown is seen, --unknown marks it: give one of them")
    opened = (
        open_normal(dataset, root, split, labels) if normal else open_dataset(dataset, root, split, labels, unknown)
    )
    shown = Output(json, quiet)
    (loaded,) = shown.load(bundle, engine=engine, device=device, precision=precision, threads=threads)
    with shown.progress() as bar:
        loaded.preparing = stages(bar)
        task = bar.add_task(escape(opened.name))
        result = calibrate(
            loaded, opened, wanted, limit, progress=lambda done, total: bar.update(task, completed=done, total=total)
        )
    before = loaded.bundle.card.calibration.threshold
    signed = is_signed(loaded.bundle.path)
    written = write_calibration(loaded.bundle, result.calibration, out, key)
    shown.say(f"{escape(written.id)}: threshold {before:.6g} -> [bold]{result.choice.threshold:.6g}[/]")
    shown.say(escape(result.calibration.source))
    shown.warn_unsigned(written.path, signed)
    if result.held_out is not None and result.held_out_risk > result.choice.bound:
        shown.warn(
            f"The held-out half gave {result.held_out_risk:.4g}, above {result.choice.bound:g}: "
            "within chance for few frames, or the frames are too unlike each other.",
        )
    rule = result.calibration.objects
    if rule is not None and wanted.kind == "objects":
        among = rule.limit_among(result.choice.threshold)
        shown.warn(
            "the bound is of pixels above the threshold; which of them the node calls an object is up to the bundle's "
            f"rule ({rule.seed:.0%} of what hangs together above {rule.grow:g}, and among other things above "
            f"{among:g}, beside the ground above {rule.beside:g}): `vehicle` of oodseg evaluate says what is missed"
        )
    if loaded.bundle.card.calibration.evidence is not None and result.calibration.evidence is None:
        shown.warn(EVIDENCE_LOST)
    for note in opened.notes:
        shown.say(f"[yellow]note:[/] {escape(note)}")
    shown.warn_left_out(result.skipped)
    if loaded.bundle.card.metrics:
        shown.say(METRICS_LOST)
    shown.say(f"written to {escape(str(written.path))}")
    shown.result(
        {
            "bundle": written.id,
            "path": str(written.path),
            "threshold_before": before,
            "threshold": result.choice.threshold,
            "bound": result.choice.bound,
            "risk": result.choice.risk,
            "frames": result.choice.frames,
            "held_out": None
            if result.held_out is None
            else {
                "threshold": result.held_out.threshold,
                "risk": result.held_out_risk,
                "frames": result.held_out_frames,
            },
            "source": result.calibration.source,
            "skipped": result.skipped,
            "notes": list(opened.notes),
        }
    )
