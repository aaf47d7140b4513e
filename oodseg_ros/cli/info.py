"""`oodseg info`: what is inside a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from . import options
from .output import Output, table

if TYPE_CHECKING:
    from rich.table import Table

    from ..bundle import Bundle
    from ..evaluation.bundle_info import BundleInfo


def command(
    bundle: options.BundleName,
    width: Annotated[int, typer.Option(min=32, max=8192, help="Image width that FLOPs are counted for.")] = 1920,
    height: Annotated[int, typer.Option(min=32, max=8192, help="Image height.")] = 1080,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Show a bundle's parts, input, score, calibration, data and metrics."""
    from ..bundle import load_bundle

    loaded = load_bundle(bundle)
    # Imports torch, which takes seconds that a mistyped path shall not wait for.
    from ..evaluation.bundle_info import bundle_info

    info = bundle_info(loaded, (height, width))
    shown = Output(json, quiet)
    shown.say(f"[bold]{loaded.id}[/]  {escape(str(loaded.path))}  {info.file_bytes / 1e6:.1f} MB")
    if loaded.card.description:
        shown.say(escape(loaded.card.description))
    shown.say(_parts(info))
    shown.facts(_facts(loaded), "card")
    if loaded.card.metrics:
        # One table for each command, so that it stands there once and whole.
        for data, command in dict.fromkeys((metric.data, metric.command) for metric in loaded.card.metrics):
            figures = table("metric", "value", title=f"metrics on {escape(data)}", numbers=True)
            for metric in loaded.card.metrics:
                if (metric.data, metric.command) == (data, command):
                    figures.add_row(escape(metric.name), f"{metric.value:.4g}")
            shown.say(figures)
            shown.say(f"made by: {escape(command)}")
    else:
        shown.say("no metrics in the card")
    shown.result(
        {
            "bundle": loaded.id,
            "path": str(loaded.path),
            "bytes": info.file_bytes,
            "signed": _signed(loaded),
            "parts": [asdict(part) for part in info.parts],
            "network_size": info.network_size,
            "training_differs": _differing(loaded.card.training),
            "card": loaded.card.model_dump(mode="json"),
        }
    )


def _parts(info: BundleInfo) -> Table:
    (height, width), (net_height, net_width) = info.image_size, info.network_size
    title = f"network at {net_width}x{net_height} (image {width}x{height})"
    parts = table("part", "name", "parameters", "GFLOP", title=title)
    for column in parts.columns[2:]:
        column.justify = "right"
    for part in info.parts:
        parts.add_row(part.part, part.name, f"{part.parameters:,}", f"{part.flops / 1e9:.2f}")
    parts.add_section()
    total, flops = sum(part.parameters for part in info.parts), sum(part.flops for part in info.parts)
    parts.add_row("all", "", f"{total:,}", f"{flops / 1e9:.2f}")
    return parts


def _objects(bundle: Bundle) -> str:
    rule = bundle.card.calibration.objects
    if rule is None:
        return "every group of pixels above the threshold"
    ground = ", ".join(bundle.labels.names[index] for index in rule.ground) or "no class"
    strong = "".join(
        f"; below {one.share:.2%} of the picture {one.free:.3g}, {one.among:.3g} and {one.beside:.3g} less"
        for one in rule.smaller
    )
    if (core := rule.core) is not None:
        strong += (
            f"; a core, what hangs together above {core.grow:g}, by itself: above {core.free:g}, {core.among:g}, "
            f"{core.beside:g}"
        )
    return (
        f"what hangs together above {rule.grow:g}, if {rule.seed:.0%} of it are above the threshold; "
        f"above {rule.limit_among(bundle.card.calibration.threshold):g} where other things are around it, "
        f"above {rule.beside:g} where it does not stand on {ground}{strong}"
    )


def _second_look(bundle: Bundle) -> str:
    rule = bundle.card.calibration.second_look
    if rule is None:
        return "none"
    return f"{rule.words}; such a frame takes twice the GFLOP above"


def _facts(bundle: Bundle) -> dict[str, str]:
    card = bundle.card
    calibration, spec = card.calibration, card.input
    histogram = calibration.inlier_histogram
    calibrated = float(calibration.calibrate(calibration.threshold))
    bins = f"{sum(histogram.counts):,} pixels in {len(histogram.counts)} bins" if histogram else "none"
    return {
        "classes": f"{len(bundle.labels)} of {bundle.labels.name}: {', '.join(bundle.labels.names)}",
        "score": card.network["score"],
        "input": f"RGB, mean {_numbers(spec.mean)}, std {_numbers(spec.std)}; at most {spec.pixels:,} pixels, "
        f"sides multiples of {spec.multiple}",
        "threshold": f"{calibration.threshold:g} (calibrated {calibrated:.3f})",
        "objects": _objects(bundle),
        "second look": _second_look(bundle),
        "evidence over time": calibration.evidence.source if calibration.evidence else "no table: only hits alert",
        "score table": f"{len(calibration.table)} points, {calibration.table[0][0]:g} to {calibration.table[-1][0]:g}",
        "inlier histogram": bins,
        "calibrated on": calibration.source,
        "training": _brief(_differing(card.training)) or "not stated",
        "signed": "yes; check by whom: oodseg sign BUNDLE --check PUBLIC_KEY" if _signed(bundle) else "no",
        "licence of weights": card.licence.weights,
        "terms of data": card.licence.data or "not stated",
    }


def _signed(bundle: Bundle) -> bool:
    from ..signatures import SIGNATURE_FILE

    return (bundle.path / SIGNATURE_FILE).is_file()


def _differing(training: dict[str, Any]) -> dict[str, Any]:
    """Training facts with what a recipe would have anyway left out; as they are where its keys are not known."""
    from pydantic import BaseModel

    from ..training.recipe import Recipe

    def reduced(value: Any, model: Any) -> Any:
        models = [kind for kind in (model, *getattr(model, "__args__", ())) if isinstance(kind, type)]
        found = next((kind for kind in models if issubclass(kind, BaseModel)), None)
        if isinstance(value, list):
            return [reduced(entry, found) for entry in value]
        if found is None or not isinstance(value, dict):
            return value
        known, kept = found.model_fields, {}
        for key, entry in value.items():
            if key in known and not known[key].is_required():
                default = _as_json(known[key].get_default(call_default_factory=True))
                # A card of before a key was known has its default.
                if entry == default or (
                    isinstance(default, dict) and isinstance(entry, dict) and default | entry == default
                ):
                    continue
            kept[key] = reduced(entry, known[key].annotation if key in known else None)
        return kept

    recipe = training.get("recipe")
    return training | {"recipe": reduced(recipe, Recipe)} if isinstance(recipe, dict) else training


def _as_json(value: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Any).dump_python(value, mode="json")


def _brief(values: dict[str, Any]) -> str:
    """A nested dict in a line; long lists by their length, since model.yaml has the whole."""
    parts = []
    for key, value in values.items():
        if isinstance(value, dict):
            parts.append(f"{key} ({_brief(value)})")
        elif isinstance(value, list):
            numbers = all(isinstance(entry, (int, float)) for entry in value)
            words = all(isinstance(entry, str) for entry in value)
            if numbers and len(value) <= 4:
                parts.append(f"{key}: {_numbers(value)}")
            elif words and 0 < len(value) <= 8:
                parts.append(f"{key}: {' + '.join(value)}")
            elif len(value) == 1 and isinstance(value[0], dict):
                parts.append(f"{key} ({_brief(value[0])})")
            else:
                parts.append(f"{key}: {len(value)} entries")
        else:
            parts.append(f"{key}: {value}")
    return ", ".join(parts)


def _numbers(values: Sequence[float]) -> str:
    return " ".join(f"{value:g}" for value in values)
