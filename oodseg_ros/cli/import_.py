"""`oodseg import`: a released checkpoint becomes a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from . import options
from .output import Output, refuse_overwriting

KINDS_TEXT = "uem, rpl, multishiftseg, segformer-mmseg, espnetv2, erfnet or hf"
"""A test compares it with `importing.kinds.KINDS`, whose import takes seconds."""


def command(
    kind: Annotated[str, typer.Argument(help=f"What the file is: {KINDS_TEXT}.")],
    files: Annotated[list[Path], typer.Argument(help="The checkpoint file, or the directory for hf.")],
    out: Annotated[Path, typer.Option(help="Folder of the bundle to write; its name becomes the bundle's.")],
    score: Annotated[
        str | None, typer.Option(help="A post-hoc score instead of the file's own, e.g. energy or max_logit.")
    ] = None,
    fit: Annotated[
        str | None,
        typer.Option(help="Bag, video or images without unknowns, for mahalanobis and standardized_max_logit."),
    ] = None,
    stride: Annotated[
        int | None, typer.Option(min=1, help="Distance of sliding windows in pixels; 140 is the protocol of UEM.")
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            help="Label set (name or YAML file). Needed where the classes are not known: a foreign hf network's, or "
            "other outputs than Cityscapes' 19. from-file = the names in config.json."
        ),
    ] = None,
    preprocessing: Annotated[
        str | None,
        typer.Option(
            help="hf: imagenet, where the directory has no preprocessor_config.json and you know that it is so."
        ),
    ] = None,
    resize: Annotated[
        str | None,
        typer.Option(help="hf: keep (frames keep their aspect, the default) or processor (as its preprocessing does)."),
    ] = None,
    proof: Annotated[
        Path | None, typer.Option(help="hf: picture to compare with transformers' own answer; a drawn scene without.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a bundle that is in OUT.")] = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Turn a released checkpoint into a verified bundle."""
    from ..errors import listed
    from ..importing.kinds import import_bundle

    refuse_overwriting(out, ("model.yaml",), overwrite)
    shown = Output(json, quiet)
    bundle, imported = import_bundle(kind, files, out, score, labels, fit, stride, preprocessing, resize, proof)
    card = bundle.card
    shown.say(f"[bold]{bundle.id}[/]  {escape(str(bundle.path))}")
    shown.say(f"{escape(imported.source)}: {len(imported.state)} tensors mapped")
    if imported.ignored:
        shown.say(f"{len(imported.ignored)} tensors not needed: {escape(listed(imported.ignored, 6))}")
    for note in card.training.get("notes", ()):
        shown.say(escape(note))
    if agreement := card.training.get("agreement"):
        shown.say(
            f"{agreement['labels']:.2%} of the labels are those of {agreement['with']} (on {agreement['on']}; class "
            f"maps off by {agreement['maps_off']:.2g} of their spread)"
        )
    shown.say(f"classes of {escape(bundle.labels.name)}: {escape(listed(bundle.labels.names, 6))}")
    shown.say(f"score {card.network['score']}, threshold {card.calibration.threshold:g}")
    shown.say(f"calibrated on {escape(card.calibration.source)}")
    shown.say(f"licence of weights: {escape(card.licence.weights)}; data: {escape(card.licence.data or 'not stated')}")
    shown.result(
        {
            "bundle": bundle.id,
            "path": str(bundle.path),
            "source": imported.source,
            "tensors": len(imported.state),
            "ignored": list(imported.ignored),
            "score": card.network["score"],
            "threshold": card.calibration.threshold,
            "calibrated_on": card.calibration.source,
            "licence": card.licence.model_dump(),
        }
    )
