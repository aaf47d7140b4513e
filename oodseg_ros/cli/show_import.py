"""What `oodseg import` prints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from ..importing.kinds import import_bundle


def show_import(
    kind: str,
    files: Sequence[Path],
    out: Path,
    score: str | None,
    labels: str | None,
    fit: str | None,
    stride: int | None,
) -> None:
    """Import and say what came of every tensor."""
    console = Console()
    bundle, imported = import_bundle(kind, files, out, score, labels, fit, stride)
    card = bundle.card
    console.print(f"[bold]{bundle.id}[/]  {escape(str(bundle.path))}", highlight=False)
    console.print(f"{escape(imported.source)}: {len(imported.state)} tensors mapped", highlight=False)
    if imported.ignored:
        console.print(
            f"{len(imported.ignored)} tensors not needed: {escape(_shortened(imported.ignored))}", highlight=False
        )
    console.print(f"score {card.network['score']}, threshold {card.calibration.threshold:g}", highlight=False)
    console.print(f"calibrated on {escape(card.calibration.source)}", highlight=False)
    console.print(
        f"licence of weights: {escape(card.licence.weights)}; data: {escape(card.licence.data or 'not stated')}"
    )


def _shortened(keys: Sequence[str], most: int = 6) -> str:
    more = f", and {len(keys) - most} more" if len(keys) > most else ""
    return ", ".join(keys[:most]) + more
