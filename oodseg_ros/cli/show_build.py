"""What `oodseg build` does and prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ..building.build import Built, Order, build_engine
from ..building.gate_data import GateData, calibration_frames, gate_data
from ..bundle import load_bundle
from ..inference.sizes import parse_size


def build_and_show(bundle: str, size: str, gate: dict[str, Any], calibration: str | None, **order: Any) -> None:
    """Build with a progress bar; print what was built and how the gate judged it."""
    height, width = parse_size(size)
    loaded = load_bundle(bundle)
    frames = gate_data((height, width), **gate)
    console = Console()
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        tasks: dict[str, Any] = {}

        def show(phase: str, done: float) -> None:
            if phase not in tasks:
                tasks[phase] = progress.add_task(escape(phase), total=1.0)
            progress.update(tasks[phase], completed=done)

        built = build_engine(
            loaded,
            Order(height=height, width=width, **order),
            _shown(frames, show),
            frames.name,
            calibration_frames(calibration) if order["precision"] == "int8" else [],
            show,
        )
    show_built(built, console)


def show_built(built: Built, console: Console) -> None:
    """Print what is on disk now."""
    if built.engine is None:
        console.print(
            "fp32 on this engine needs no build: it is checked against the golden frame whenever it is loaded"
        )
        return
    side = built.engine.side
    table = Table(show_header=False, title="engine, was there already" if built.reused else "engine")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    rows = {
        "files": str(built.engine.folder / side.identity.stem) + " " + " ".join(_suffixes(built)),
        "size": f"{side.built.get('bytes', 0) / 1e6:.1f} MB",
        "built in": f"{side.built.get('seconds', 0):g} s",
        "usable": "yes" if side.accepted else f"not yet: it {side.reason}; run the same command there",
    }
    for key, value in rows.items():
        table.add_row(key, escape(value))
    console.print(table)
    if built.acceptance is not None:
        console.print(built.acceptance.sentence, highlight=False, soft_wrap=True)


def _suffixes(built: Built) -> list[str]:
    assert built.engine is not None
    stem = built.engine.side.identity.stem
    return sorted(name.removeprefix(stem) for name in built.engine.side.files)


def _shown(frames: GateData, show: Any) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for index, pair in enumerate(frames):
        show("acceptance gate", index / frames.frames)
        yield pair
    show("acceptance gate", 1.0)
