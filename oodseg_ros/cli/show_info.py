"""What `oodseg info` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..bundle import Bundle, load_bundle

if TYPE_CHECKING:
    from ..evaluation.bundle_info import BundleInfo


def show_info(name_or_path: str, height: int, width: int) -> None:
    """Print the card and the network of a bundle; FLOPs are those for one image of `height` x `width`."""
    bundle = load_bundle(name_or_path)
    # Imports torch, which takes seconds that a mistyped path shall not wait for.
    from ..evaluation.bundle_info import bundle_info

    info = bundle_info(bundle, (height, width))
    console = Console()
    console.print(f"[bold]{bundle.id}[/]  {escape(str(bundle.path))}  {info.file_bytes / 1e6:.1f} MB", highlight=False)
    if bundle.card.description:
        console.print(escape(bundle.card.description), highlight=False)
    console.print(_parts(info))
    console.print(_facts(bundle, info))
    if bundle.card.metrics:
        table = Table("metric", "value", "data", "command", title="metrics")
        for metric in bundle.card.metrics:
            table.add_row(escape(metric.name), f"{metric.value:.4g}", escape(metric.data), escape(metric.command))
        console.print(table)
    else:
        console.print("no metrics in the card")


def _parts(info: BundleInfo) -> Table:
    (height, width), (net_height, net_width) = info.image_size, info.network_size
    title = f"network at {net_width}x{net_height} (image {width}x{height})"
    table = Table("part", "name", "parameters", "GFLOP", title=title)
    for part in info.parts:
        table.add_row(part.part, part.name, f"{part.parameters:,}", f"{part.flops / 1e9:.2f}")
    table.add_section()
    total, flops = sum(part.parameters for part in info.parts), sum(part.flops for part in info.parts)
    table.add_row("all", "", f"{total:,}", f"{flops / 1e9:.2f}")
    return table


def _facts(bundle: Bundle, info: BundleInfo) -> Table:
    card = bundle.card
    calibration, spec = card.calibration, card.input
    table = Table(show_header=False, title="card")
    histogram = calibration.inlier_histogram
    calibrated = float(calibration.calibrate(calibration.threshold))
    bins = f"{sum(histogram.counts):,} pixels in {len(histogram.counts)} bins" if histogram else "none"
    rows: dict[str, Any] = {
        "classes": f"{len(bundle.labels)} of {bundle.labels.name}: {', '.join(bundle.labels.names)}",
        "score": card.network["score"],
        "input": f"RGB, mean {_numbers(spec.mean)}, std {_numbers(spec.std)}; at most {spec.pixels:,} pixels, "
        f"sides multiples of {spec.multiple}",
        "threshold": f"{calibration.threshold:g} (calibrated {calibrated:.3f})",
        "score table": f"{len(calibration.table)} points, {calibration.table[0][0]:g} to {calibration.table[-1][0]:g}",
        "inlier histogram": bins,
        "calibrated on": calibration.source,
        "training": _brief(card.training) or "not stated",
        "licence of weights": card.licence.weights,
        "terms of data": card.licence.data or "not stated",
    }
    for key, value in rows.items():
        table.add_row(key, escape(value))
    return table


def _brief(values: dict[str, Any]) -> str:
    """Scalars of a nested dict; lists by their length, since model.yaml has the whole."""
    parts = []
    for key, value in values.items():
        if isinstance(value, dict):
            parts.append(f"{key} ({_brief(value)})")
        elif isinstance(value, list):
            short = all(isinstance(entry, (int, float)) for entry in value) and len(value) <= 4
            parts.append(f"{key}: {_numbers(value)}" if short else f"{key}: {len(value)} entries")
        else:
            parts.append(f"{key}: {value}")
    return ", ".join(parts)


def _numbers(values: Sequence[float]) -> str:
    return " ".join(f"{value:g}" for value in values)
