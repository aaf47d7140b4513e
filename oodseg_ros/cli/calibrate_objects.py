"""`oodseg calibrate-objects`: how pixels become objects, chosen on frames that show nothing unknown."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from . import options
from .output import EVIDENCE_LOST, METRICS_LOST, Output, refuse_existing


def command(
    bundle: options.BundleName,
    sources: Annotated[
        list[str],
        typer.Argument(help="Frames without unknowns: folders, videos, bags, or quoted patterns of image files."),
    ],
    false_frames: Annotated[
        float, typer.Option(help="Bound of the share of frames with a false object that is free on the ground.")
    ] = 0.01,
    false_elsewhere: Annotated[
        float | None,
        typer.Option(help="The same among other things, and beside the ground; default: as --false-frames."),
    ] = None,
    grow: Annotated[float, typer.Option(help="Share of the pixels above the score that objects grow to.")] = 0.02,
    core: Annotated[
        float,
        typer.Option(
            help="Share of the pixels above the score of a core: the strong part of something weak is an object by "
            "itself where it is stronger than any on these frames; 0 = never."
        ),
    ] = 0.001,
    size: Annotated[
        list[float] | None,
        typer.Option(
            help="With --objects: share of the picture; smaller objects have limits of their own. Repeat, falling; 0 = "
            "one limit for all. Default: 1/64, 1/256, 1/1024."
        ),
    ] = None,
    seed: Annotated[float, typer.Option(help="Share of an object's pixels that must be above the threshold.")] = 0.5,
    coherence: Annotated[
        float,
        typer.Option(
            help="How near the published scores of what hangs together are to its strong part, below 1; 0 = as the "
            "network gives them. Nothing is decided by it."
        ),
    ] = 0.7,
    min_area: options.MinArea = 100,
    confidence: options.Confidence = None,
    ground: Annotated[
        list[str] | None, typer.Option(help="Class that objects stand on; repeat. Default: the label set's.")
    ] = None,
    objects: Annotated[
        Path | None,
        typer.Option(
            help="Folder of RGBA cut-outs of unknown things. Pasted into the frames, they tell what several weak "
            "frames are worth (parameter alert_rule); without it the bundle has no table for that."
        ),
    ] = None,
    second_look: Annotated[
        float | None,
        typer.Option(
            help="Look again, this much larger, at what is in doubt; the mean of both decides: fewer false objects at "
            "equal finds, and such a frame takes twice as long. Default: as the bundle has it; 0 = never."
        ),
    ] = None,
    second_look_share: Annotated[
        float | None,
        typer.Option(help="With --second-look: share of the frames that may be looked at again. Default: 0.1."),
    ] = None,
    small_look: Annotated[
        float | None,
        typer.Option(
            help="With --second-look: what is small is looked at this much larger instead, before all else, and the "
            "greater of both scores decides. Default: like all else, also where the bundle had one."
        ),
    ] = None,
    small_look_height: Annotated[
        float | None,
        typer.Option(help="With --small-look: share of the picture's height up to which that is. Default: 0.05."),
    ] = None,
    small_look_share: Annotated[
        float | None,
        typer.Option(help="With --small-look: share of the frames that may be looked at so. Default: 0.1."),
    ] = None,
    strip: Annotated[
        float | None,
        typer.Option(
            help="With --second-look: of cameras finer than the network's input, a strip around the horizon is looked "
            "at this much larger in every picture, unless only something larger than --small-look looks at is in "
            "doubt. Default: none, also where the bundle had one."
        ),
    ] = None,
    strip_height: Annotated[
        float | None,
        typer.Option(help="With --strip: share of the picture's height that it has. Default: 0.25."),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(help="File name of a frame that shows something unknown after all; repeat."),
    ] = None,
    every: Annotated[
        int, typer.Option(min=1, help="Only every n-th frame chooses; on the others the result is measured.")
    ] = 1,
    out: options.BundleOut = None,
    key: options.Key = None,
    engine: options.EngineName = None,
    device: options.Device = "cpu",
    precision: options.Precision = "fp32",
    threads: options.Threads = 0,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Choose a bundle's threshold and object rule on frames without unknowns, and write both into the bundle."""
    from ..bundle import check_rewritable
    from ..errors import ConfigError
    from ..evaluation.calibration.calibrate import write_calibration
    from ..evaluation.calibration.calibrate_objects import calibrate_objects
    from ..evaluation.calibration.object_target import SIZES, ObjectTarget
    from ..evaluation.calibration.second_look import LookTarget
    from ..outliers.objects import load_cutouts
    from ..parameters.judging import default
    from ..signatures import is_signed

    refuse_existing(out)
    check_rewritable(Path(bundle), key)
    if size and any(size) and objects is None:
        raise ConfigError("--size: what each size needs is chosen by what is found of --objects; give them, too")
    sizes = SIZES if size is None else tuple(share for share in size if share)
    target = ObjectTarget(false_frames, false_elsewhere, grow, core, sizes, seed, min_area, confidence, coherence)
    if second_look_share is not None and not second_look:
        raise ConfigError("--second-look-share chooses a second look anew: say how much larger with --second-look")
    if small_look is not None and not second_look:
        raise ConfigError(
            "--small-look is part of a second look: say how much larger all else is seen with --second-look"
        )
    if (small_look_height, small_look_share) != (None, None) and not small_look:
        raise ConfigError("--small-look-height and -share are for what --small-look looks at: give it, too")
    if strip is not None and not second_look:
        raise ConfigError(
            "--strip is part of a second look: say how much larger smaller cameras see with --second-look"
        )
    if strip_height is not None and not strip:
        raise ConfigError("--strip-height is for the strip that --strip asks for: give it, too")
    asked = {
        "share": second_look_share,
        "small_zoom": small_look,
        "small_height": small_look_height,
        "small_share": small_look_share,
        "strip_zoom": strip,
        "strip_height": strip_height,
    }
    asked = {name: value for name, value in asked.items() if value is not None}
    look = None if second_look is None else LookTarget(second_look, **asked)
    cutouts = [] if objects is None else load_cutouts(objects)
    shown = Output(json, quiet)
    (loaded,) = shown.load(bundle, engine=engine, device=device, precision=precision, threads=threads)
    with shown.console.status("judging frames without unknowns"):
        found, deciding = calibrate_objects(
            loaded, sources, target, every, ground or (), cutouts=cutouts, without=without or (), look=look
        )
    signed = is_signed(loaded.bundle.path)
    written = write_calibration(loaded.bundle, found.calibration, out, key)
    rule = found.calibration.objects
    shown.say(
        f"{escape(written.id)}: threshold {loaded.bundle.card.calibration.threshold:.6g} -> "
        f"[bold]{found.calibration.threshold:.6g}[/], among other things {rule.among:.6g}, beside the ground "
        f"{rule.beside:.6g}, grown to {rule.grow:.6g}"
    )
    for one in rule.smaller:
        shown.say(f"below {one.share:.3%} of the picture less: {one.free:.4g}, {one.among:.4g}, {one.beside:.4g}")
    if rule.core is not None:
        shown.say(
            f"cores above {rule.core.grow:.6g}: {rule.core.free:.6g}, {rule.core.among:.6g}, {rule.core.beside:.6g}"
        )
    if (again := found.calibration.second_look) is not None:
        shown.say(f"a second look, {again.words}")
    before = loaded.bundle.card.calibration.second_look
    if before is not None and before.small is not None and again is not None and again.small is None:
        shown.warn(f"the bundle looked closer at small candidates, now it does not; {before.options} keeps that")
    if before is not None and before.strip is not None and again is not None and again.strip is None:
        shown.warn(f"the bundle had a strip for fine cameras, now it has none; {before.options} keeps that")
    had = loaded.bundle.card.calibration.objects
    if had is not None and had.smaller and not rule.smaller:
        shown.warn(
            "smaller objects needed less in this bundle, now all sizes need the same; --objects CUTOUTS chooses that"
        )
    shown.say(escape(found.calibration.source))
    shown.say(
        f"frames that decide, strongest first (look at them; leave out with --without what shows something unknown): "
        f"{escape(', '.join(deciding))}"
    )
    evidence = found.calibration.evidence
    if evidence is not None:
        shown.say(f"evidence over time: {escape(evidence.source)}")
    elif loaded.bundle.card.calibration.evidence is not None:
        shown.warn(EVIDENCE_LOST)
    shown.warn_unsigned(written.path, signed)
    usual = default("obstacles.min_area")
    if min_area > usual:
        shown.warn(
            f"the bounds hold where nothing below {min_area} pixels is an object, and without a word the node takes "
            f"{usual}: give it the parameter obstacles.min_area: {min_area}, and so the commands that judge frames"
        )
    if loaded.bundle.card.metrics:
        shown.say(METRICS_LOST)
    shown.say(f"written to {escape(str(written.path))}")
    shown.result(
        {
            "bundle": written.id,
            "path": str(written.path),
            "threshold_before": loaded.bundle.card.calibration.threshold,
            "threshold": found.calibration.threshold,
            "rule": rule.model_dump(),
            "second_look": None if again is None else again.model_dump(),
            "evidence": None if evidence is None else evidence.model_dump(),
            "source": found.calibration.source,
            "deciding": deciding,
        }
    )
