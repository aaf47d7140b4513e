"""A comparison on one page: figures with intervals, and every alert that differs, with its picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..drawing import Style, draw_label, place_label
from ..pages import image_uri, render
from .alerts import KINDS, Row
from .compare import Comparison, DriveChange

COLORS = {"old": (255, 160, 0), "new": (230, 0, 230)}
TITLES = {
    "AP": "average precision",
    "AUROC": "area under ROC",
    "FPR95": "false positives at 95 % recall",
    "objects_found": "objects found",
    "frames_with_false_object": "frames with a false object",
    "mIoU": "mean IoU of the classes",
}


def write_page(comparison: Comparison, broken: Sequence[str], rules: Sequence[str], path: Path, command: str) -> None:
    """Write the page."""
    alerts = comparison.alerts
    verdict = "Refused" if broken else "No rule refuses it" if rules else "No rule was given"
    cards = []
    if alerts:
        hours = comparison.hours
        driven = f"{hours:.2f} h" if hours >= 0.1 else f"{3600 * hours:.1f} s"
        cards = [
            ("alerts", f"{alerts['old']} → {alerts['new']}", f"in {driven} of driving"),
            *((kind, alerts[kind], "alerts") for kind in (*KINDS, "same")),
            ("objects", f"-{alerts['objects_lost']} +{alerts['objects_gained']}", "lost and gained in alerts"),
            ("UNKNOWN", " → ".join(_percent(comparison.unknown_frames[side]) for side in ("old", "new")), "of frames"),
        ]
    page = render(
        "comparison.html.j2",
        title=" → ".join(comparison.bundles),
        subtitle=f"{verdict}; thresholds {' → '.join(f'{value:.6g}' for value in comparison.thresholds)}",
        broken=broken,
        rules=rules,
        cards=cards,
        figures=[_figure_row(name, parts) for name, parts in comparison.figures.items()],
        frames=max((parts.get("frames", 0) for parts in comparison.figures.values()), default=0),
        differences=[_difference(one) for one in comparison.differences],
        notes=comparison.notes,
        footer=command,
    )
    path.write_text(page)


def sentence(one: DriveChange) -> str:
    """A change for people."""
    change = one.change
    when = f"{one.drive}, {change.first.camera}, frame {change.first.frame}"
    objects = [
        f"{len(rows)} {'object' if len(rows) == 1 else 'objects'} {word}"
        for rows, word in ((change.lost, "lost"), (change.gained, "gained"))
        if rows
    ]
    if not change.old or not change.new:
        alarm = (change.new or change.old)[0]
        lasts = (alarm.last.stamp_ns - alarm.first.stamp_ns) / 1e9
        return f"{change.kind}: {when}, for {lasts:.2f} s"
    if change.kind == "changed":
        return f"changed: {when}, at the same time, {', '.join(objects)}"
    parts = [f"begins {_later(change.begins_s)}", f"ends {_later(change.ends_s)}"]
    if len(change.old) != len(change.new):
        parts.append(f"{len(change.old)} → {len(change.new)} alerts")
    return f"moved: {when}, {', '.join([*parts, *objects])}"


def _difference(one: DriveChange) -> dict[str, Any]:
    picture = None
    if one.image is not None:
        picture = image_uri(_boxes(one.image, one.rows), max_width=960)
    states = " → ".join("no frame" if row is None else f"{row.state} ({row.reason})" for row in one.rows)
    return {"sentence": sentence(one), "kind": one.change.kind, "picture": picture, "states": states}


def _boxes(image: np.ndarray, rows: tuple[Row | None, Row | None]) -> np.ndarray:
    canvas = image.copy()
    height, width = canvas.shape[:2]
    style, taken = Style.of(height, width), []
    for side, row in zip(("old", "new"), rows, strict=True):
        for obstacle in row.obstacles if row is not None else ():
            x0, y0, x1, y1 = obstacle["box"]
            line = style.line + (side == "old")
            for window in (np.s_[y0 : y0 + line, x0:x1], np.s_[max(0, y1 - line) : y1, x0:x1]):
                canvas[window] = COLORS[side]
            for window in (np.s_[y0:y1, x0 : x0 + line], np.s_[y0:y1, max(0, x1 - line) : x1]):
                canvas[window] = COLORS[side]
            text = f"{side} {obstacle['score']:.0%}"
            box = place_label(text, (x0, y0, x1, y1), taken, (0, 0, width, height), style)
            if box is not None:
                draw_label(canvas, text, box, style, COLORS[side])
                taken.append(box)
    return canvas


def _figure_row(name: str, parts: dict[str, Any]) -> list[str]:
    low, high = parts.get("low"), parts.get("high")
    interval = "–" if low is None or not math.isfinite(low) else f"{_points(low)} to {_points(high)}"
    sure = "" if interval == "–" else "yes" if low > 0 or high < 0 else "within chance"
    return [TITLES[name], _percent(parts["old"]), _percent(parts["new"]), _points(parts["change"]), interval, sure]


def _percent(value: float) -> str:
    return "–" if not math.isfinite(value) else f"{100 * value:.2f} %"


def _points(value: float) -> str:
    return "–" if not math.isfinite(value) else f"{100 * value:+.2f}"


def _later(seconds: float) -> str:
    return "at the same time" if seconds == 0 else f"{abs(seconds):.2f} s {'later' if seconds > 0 else 'earlier'}"
