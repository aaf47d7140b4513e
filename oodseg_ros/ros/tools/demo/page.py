"""The demo's page: what was seen, when, how late, by which model; with each camera's alert time line as an SVG."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from ....evaluation.report import html
from ....evaluation.report.figures import STYLE
from ....evaluation.report.html import plot_uri
from ....evaluation.results import distribution, provenance
from ....frame import AlertState
from ....overlay import range_text
from ....paths import completed, plain
from ..gallery import Picture
from ..listener import AlertSeen, CameraSeen
from .input import MIN_AREA, DemoInput
from .run import DemoResult, latencies

if TYPE_CHECKING:
    from .run import DemoResult


# Blue, orange and gray are told apart without seeing red and green.
COLORS = {AlertState.CLEAR: "#3b6fb6", AlertState.OBSTACLE: "#e08e0b", AlertState.UNKNOWN: "#8a8f98"}
TRUTH = "#7a2230"


def timeline(result: DemoResult, name: str, camera: CameraSeen) -> str:
    """States over time, above them what was in sight, below the distances, where known."""
    zero = min((stamps[0] for stamps in result.sent.values()), default=0)
    last = max((stamps[-1] for stamps in result.sent.values()), default=0)
    truth = sorted((stamp, truth) for stamp, truth in result.truth.items() if stamp in set(result.sent.get(name, [])))
    ranged = [alert for alert in camera.alerts if alert.nearest]
    distances = bool(ranged) or any(item.nearest_m is not None for _, item in truth)
    strips = ["alert", "in sight"] if truth else ["alert"]
    with rc_context(STYLE):
        plot = Figure(figsize=(9, 3.6 if distances else 1.2))
        heights = [0.35 * len(strips), 2] if distances else [1]
        axes = plot.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
        _states(axes[0], camera, zero, last)
        if truth:
            _spans(axes[0], [((stamp - zero) * 1e-9, item.count > 0) for stamp, item in truth], (last - zero) * 1e-9)
        axes[0].set(yticks=range(len(strips)), yticklabels=strips, ylim=(-0.5, len(strips) - 0.5))
        axes[0].grid(False)
        axes[0].legend(fontsize=8, ncols=4, loc="lower left", bbox_to_anchor=(0, 1))
        if distances:
            _distances(axes[1], truth, ranged, zero)
        axes[-1].set(xlabel="seconds since the first frame", xlim=(0, max((last - zero) * 1e-9, 0.1)))
        return plot_uri(plot)


def _states(axes: Figure, camera: CameraSeen, zero: int, last: int) -> None:
    """A bar per stretch of one state; before the first frame is left out."""
    times = [max((alert.received_ns - zero) * 1e-9, 0.0) for alert in camera.alerts]
    ends = [*times[1:], max((last - zero) * 1e-9, times[-1])]
    named: set[AlertState] = set()
    for alert, begin, end in zip(camera.alerts, times, ends, strict=True):
        label = None if alert.state in named else alert.state.value
        named.add(alert.state)
        axes.barh(0, end - begin, left=begin, height=0.7, color=COLORS[alert.state], label=label)


def _spans(axes: Figure, truth: list[tuple[float, bool]], end: float) -> None:
    label = "unknown object in sight"
    for (begin, there), following in zip(truth, [*(time for time, _ in truth[1:]), end], strict=True):
        if there:
            axes.barh(1, following - begin, left=begin, height=0.7, color=TRUTH, label=label)
            label = None


def _distances(axes: Figure, truth: list, ranged: list, zero: int) -> None:
    known = [((stamp - zero) * 1e-9, item.nearest_m) for stamp, item in truth if item.nearest_m is not None]
    if known:
        axes.plot(*zip(*known, strict=True), ".", ms=4, color=TRUTH, label="nearest unknown object")
    times = [(alert.stamp_ns - zero) * 1e-9 for alert in ranged]
    top = 1.3 * max((distance for _, distance in known), default=60.0)
    low = [min(alert.nearest[0], top) for alert in ranged]
    high = [min(alert.nearest[1], top) for alert in ranged]
    axes.vlines(times, low, high, color=COLORS[AlertState.OBSTACLE], lw=2.5, alpha=0.8, label="range in the alert")
    axes.set(ylabel="distance in m", ylim=(0, top))
    axes.legend(fontsize=8, loc="upper right")


CHANGES = 60


def write_page(result: DemoResult, given: DemoInput, path: Path) -> None:
    """Write the page, its pictures inside."""
    parts = [_headline(result), _story(result), _gallery(result), _numbers(result), _identity(result, given)]
    how = "over DDS to the node in its own process, and back"
    cut = "; ended early by Ctrl-C" if result.interrupted else ""
    subtitle = f"{given.name}: {_sent(result)} frames {how}{cut}"
    with completed(path) as part:
        part.write_text(html.page("oodseg_ros demo", parts, subtitle))


def figures(result: DemoResult) -> dict[str, object]:
    """The page's numbers as plain values, for scripts; seconds; None = there is none."""
    ages = _all_latencies(result)
    return plain(
        {
            "bundle": result.bundle.id,
            "engine": result.engine.get("engine"),
            "sent": _sent(result),
            "answered": len(ages),
            "start_s": result.start_s,
            "first_answer_s": result.first_answer_s,
            "first_obstacle_s": result.first_obstacle_s,
            "latency_s": distribution(ages),
            "cameras": {name: dict(camera.account) for name, camera in result.cameras.items()},
            "interrupted": result.interrupted,
        }
    )


def line(alert: AlertSeen, since: float) -> str:
    """An alert change in one readable line; `since` = seconds after the first frame."""
    what = f"{since:7.2f} s  {alert.camera}  {alert.state.value:8}"
    if alert.state is AlertState.OBSTACLE and not alert.count:
        what += f"  seen a moment ago, not in this frame ({alert.reason})"
    elif alert.state is AlertState.OBSTACLE:
        where = f"nearest at {range_text(*alert.nearest)}" if alert.nearest else f"score {alert.score:.2f}"
        what += f"  {alert.count} unknown obstacle{'s' * (alert.count != 1)}, {where}"
    elif alert.state is AlertState.CLEAR:
        what += "  no unknown obstacle"
        what += "" if alert.reason == "ok" else f" ({alert.reason})"
    else:
        what += f"  {alert.reason.replace('_', ' ')}"
    return what + (f"  (evidence {alert.age_s * 1e3:.0f} ms old)" if math.isfinite(alert.age_s) else "")


def _headline(result: DemoResult) -> html.Html:
    ages = _all_latencies(result)
    found = distribution(ages)
    sent, answered = _sent(result), len(ages)
    first = result.first_obstacle_s
    return html.cards(
        [
            ("frames", f"{answered} of {sent}", "answered, as a subscriber saw it"),
            ("latency", _ms(found["p50"]), "median, camera stamp to answer at the subscriber"),
            ("latency p95", _ms(found["p95"]), f"p99 {_ms(found['p99'])}, longest {_ms(found['max'])}"),
            ("node ready", _s(result.start_s), "from the start of the demo: model loaded, verified, subscribed"),
            ("first OBSTACLE", _s(first), "from the start of the demo" if first else "no obstacle was reported"),
        ]
    )


def _story(result: DemoResult) -> html.Html:
    zero = _zero(result)
    parts = [
        html.figure(timeline(result, name, camera), f"Camera {name}")
        for name, camera in result.cameras.items()
        if camera.alerts
    ]
    parts += [html.table(*_against_truth(result))] if result.truth else []
    rows = []
    for alert in sorted(_changes(result), key=lambda alert: alert.received_ns)[:CHANGES]:
        nearest = range_text(*alert.nearest) if alert.nearest else ""
        age = _ms(alert.age_s) if math.isfinite(alert.age_s) else ""
        when = f"{(alert.received_ns - zero) * 1e-9:.2f}"
        rows.append(
            [when, alert.camera, alert.state.value, alert.reason.replace("_", " "), alert.count or "", nearest, age]
        )
    columns = ["seconds", "camera", "state", "reason", "obstacles", "nearest", "evidence age"]
    parts.append(html.details(f"{len(rows)} alert changes", html.table(columns, rows), is_open=len(rows) <= 12))
    note = (
        f"An unknown object counts as in sight from {MIN_AREA} visible pixels on."
        if result.truth
        else "What is really there is not known for this input."
    )
    return html.section("What the node said", *parts, note=note)


def _against_truth(result: DemoResult) -> tuple[list[str], list[list[object]]]:
    """Columns and rows: judged frames by what was in sight and by state."""
    counts: dict[tuple[bool, AlertState], int] = {}
    for camera in result.cameras.values():
        for alert in camera.alerts:
            if alert.stamp_ns in result.truth:
                key = (result.truth[alert.stamp_ns].count > 0, alert.state)
                counts[key] = counts.get(key, 0) + 1
    rows = [
        [what, *(counts.get((there, state), 0) for state in AlertState)]
        for there, what in ((True, "unknown object in sight"), (False, "nothing unknown in sight"))
    ]
    return ["frames with", *(state.value for state in AlertState)], rows


def _gallery(result: DemoResult) -> html.Html:
    zero = _zero(result)
    many = len(result.cameras) > 1

    def caption(picture: Picture) -> str:
        name = f"{picture.camera}, " if many else ""
        return f"{name}{(picture.stamp_ns - zero) * 1e-9:.2f} s{', alert change' if picture.marked else ''}"

    figures = [
        html.figure(html.data_uri("image/jpeg", picture.jpeg), caption(picture), f"overlay at {caption(picture)}")
        for picture in result.pictures.pictures()
    ]
    note = "As published on <camera>/overlay: class colors, heat where the image is unlike the training data. "
    return html.section("Overlays", html.gallery(figures, 300), note=note + "Click to enlarge.")


def _numbers(result: DemoResult) -> html.Html:
    rows = []
    for name, camera in result.cameras.items():
        found, account = distribution(latencies(camera)), camera.account
        sent = len(result.sent.get(name, []))
        dropped = [
            f"{value} {key.removeprefix('dropped_').replace('_', ' ')}"
            for key, value in account.items()
            if key.startswith("dropped_") and value != "0"
        ]
        received, answered = account.get("frames_received", "?"), account.get("frames_answered", "?")
        lost = sent - int(received) if received.isdecimal() else "?"
        rows.append([name, sent, lost, received, answered, ", ".join(dropped) or "none", len(camera.latency_s)])
        rows[-1] += [_ms(found[key]) for key in ("p50", "p95", "p99", "max")]
    columns = ["camera", "sent", "lost on the way", "received", "answered", "dropped by the node", "answers seen here"]
    columns += ["p50", "p95", "p99", "max"]
    note = (
        "Latency: from the stamp that the image was sent with to the arrival of its anomaly mask in the demo's "
        "process, transport both ways included. Received, answered and dropped: the node's own account on /diagnostics."
    )
    return html.section("Frames and latency", html.table(columns, rows), note=note)


def _identity(result: DemoResult, given: DemoInput) -> html.Html:
    card = result.bundle.card
    rows = provenance(
        bundle=result.bundle.id,
        description=card.description,
        engine=result.engine.get("engine", "unknown: no diagnostics arrived"),
        golden_frame=f"reproduced to {result.engine.get('golden_error', '?')}",
        licence=card.licence.weights,
        input=f"{given.name} ({given.kind})",
    )
    return html.section("Made by", html.pairs(rows.items()))


def _changes(result: DemoResult) -> list[AlertSeen]:
    changes = []
    for camera in result.cameras.values():
        last = None
        for alert in camera.alerts:
            if (alert.state, alert.reason) != last:
                changes.append(alert)
            last = (alert.state, alert.reason)
    return changes


def _zero(result: DemoResult) -> int:
    return min((stamps[0] for stamps in result.sent.values()), default=0)


def _sent(result: DemoResult) -> int:
    return sum(map(len, result.sent.values()))


def _all_latencies(result: DemoResult) -> np.ndarray:
    return np.concatenate([latencies(camera) for camera in result.cameras.values()] or [np.zeros(0)])


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.0f} ms" if math.isfinite(seconds) else "–"


def _s(seconds: float | None) -> str:
    return "–" if seconds is None or not math.isfinite(seconds) else f"{seconds:.1f} s"
