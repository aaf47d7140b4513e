"""`oodseg narrow`: hidden channels that a bundle's backbone can do without."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from . import options
from .output import Output, refuse_existing, table

SIZE = (544, 960)
"""Image height and width that FLOPs are counted for."""


def command(
    bundle: options.BundleName,
    sources: Annotated[
        list[str],
        typer.Argument(help="Frames as it will see: folders, videos, bags, or quoted patterns of image files."),
    ],
    out: Annotated[Path, typer.Option(help="Write the narrower copy of the bundle here.")],
    error: Annotated[
        float, typer.Option(help="Bound of the relative RMS error of every block's output on these frames.")
    ] = 0.01,
    threads: options.Threads = 0,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Take hidden channels out of an EfficientNet-Lite backbone that others can stand in for; trains nothing."""
    from ..bundle import load_bundle
    from ..signatures import is_signed

    refuse_existing(out)
    loaded = load_bundle(bundle)
    # Import torch, which takes seconds that a mistyped path shall not wait for.
    from ..evaluation.bundle_info import bundle_info
    from ..training.narrow import check, narrow, write_narrowed

    check(loaded, error)
    shown = Output(json, quiet)
    # Reproduces the golden frame, and takes the threads.
    shown.load(loaded, engine="torch", threads=threads)
    with shown.console.status("looking at frames"):
        found = narrow(loaded, sources, error)
    written = write_narrowed(loaded, found, sources, error, out)

    blocks = table("block", "hidden channels", "after", "error", title=f"on {found.frames} frames", numbers=True)
    for index, block in enumerate(found.blocks):
        blocks.add_row(str(index), str(block.before), str(block.after), f"{block.error:.4f}")
    shown.say(blocks)
    if not any(block.after < block.before for block in found.blocks):
        shown.say(f"nothing removed: every hidden channel is needed to keep errors at most {error:g}")
    before, after = bundle_info(loaded, SIZE), bundle_info(written, SIZE)
    flops, narrower = (sum(part.flops for part in info.parts) / 1e9 for info in (before, after))
    parameters, fewer = (sum(part.parameters for part in info.parts) for info in (before, after))
    height, width = after.network_size
    shown.say(
        f"{escape(loaded.id)} -> [bold]{escape(written.id)}[/]: {flops:.2f} -> {narrower:.2f} GFLOP at "
        f"{width}x{height}, {parameters:,} -> {fewer:,} parameters"
    )
    change = found.change
    shown.say(
        f"scores on these frames moved by at most {change.largest:.3g} (99.9 % of the pixels: by at most "
        f"{change.percentile:.3g}), {change.labels:.3%} of the pixels have another class"
    )
    shown.say(
        "thresholds are those of before: where that is not small beside them, choose them anew "
        f"(oodseg calibrate-objects {escape(str(written.path))} …)"
    )
    if loaded.card.metrics:
        shown.say("the card's metrics were measured on the weights of before; the copy has none (oodseg evaluate)")
    shown.warn_unsigned(written.path, is_signed(loaded.path))
    shown.say(f"written to {escape(str(written.path))}")
    shown.result(
        {
            "bundle": written.id,
            "path": str(written.path),
            "from": loaded.id,
            "error": error,
            "frames": found.frames,
            "blocks": [asdict(block) for block in found.blocks],
            "network_size": after.network_size,
            "gflop_before": flops,
            "gflop": narrower,
            "parameters_before": parameters,
            "parameters": fewer,
            "score_change": {"largest": change.largest, "percentile_99_9": change.percentile},
            "labels_changed": change.labels,
        }
    )
