"""The report of a replayed drive: what was alerted when, how healthy it was, what drifted, and the frames worth looking
at.
"""

from __future__ import annotations

import heapq
import math
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from ..evaluation.report import html
from ..evaluation.report.figures import STYLE
from ..evaluation.report.page import percent
from ..frame import AlertState
from ..labels import LabelSet
from ..overlay import draw_overlay
from ..parameters.judging import OutputGateSettings
from ..pipeline.reasons import sentence
from .drive import Drive
from .judge import Judged
from .summary import MIN_RATE_S, CameraHealth, Health, summarize_health


def health_section(drive: Drive) -> html.Html:
    """Per camera what was lost, late and drifted; then every time that it could not tell, with the reason."""
    health = summarize_health(drive.rows)
    columns = ["camera", "frames", "lost", "frames/s", "UNKNOWN %", "age p50 s", "age p99 s", "drift p50", "drift max"]
    table = html.table(columns, [_row(name, camera) for name, camera in health.cameras.items()])
    limit = OutputGateSettings().drift_limit
    note = f"Drift in bits; the node refuses answers above {limit:g} over a window of frames. Lost: gaps in the stamps."
    return html.section("Health", table, _reasons(health), note=note)


def _row(name: str, camera: CameraHealth) -> list[object]:
    figures = (camera.rate, camera.age_p50, camera.age_p99, camera.drift_p50, camera.drift_max)
    rate, *others = map(number, figures)
    return [name, camera.frames, camera.lost, rate, percent(camera.unknown), *others]


def _reasons(health: Health) -> html.Html:
    if not health.episodes:
        return html.Html("<p>Every frame could be judged.</p>")
    rows = [
        [f"{one.start_s:.1f}", f"{one.seconds:.1f}", one.frames, one.camera, one.reason, sentence(one.reason)]
        for one in health.episodes
    ]
    columns = ["at s", "for s", "frames", "camera", "reason", "means"]
    return html.details(
        f"{len(rows)} time{'s' * (len(rows) != 1)} that it could not tell",
        html.table(columns, rows),
        is_open=len(rows) <= 10,
    )


SHOWN = 12
COLORS = {"CLEAR": "#3a9d5d", "OBSTACLE": "#e0861a", "UNKNOWN": "#8c2f4a"}


class Highlights:
    """Keeps the overlays of the frames worth looking at, at most `SHOWN` of them, while a drive goes by.

    Worth looking at, in this order: an alert begins; cannot tell; the highest score.
    """

    def __init__(self, labels: LabelSet) -> None:
        self._labels = labels
        self._heap: list[tuple[tuple[int, float], int, str, str]] = []
        self._count = 0
        self._states: dict[str, AlertState] = {}

    def watch(self, judged: Judged) -> None:
        """To be given to `replay`."""
        camera, alert = judged.step.arrival.camera, judged.step.alert
        frame, judgement = judged.step.frame, judged.step.judgement
        last, self._states[camera] = self._states.get(camera), alert.state
        if frame is None or judgement is None:
            return
        self._count += 1
        begins = alert.state is AlertState.OBSTACLE and last is not AlertState.OBSTACLE
        score = max((obstacle.score for obstacle in judgement.obstacles), default=0.0)
        kind = 2 if begins else int(alert.state is AlertState.UNKNOWN and last is not AlertState.UNKNOWN)
        # Of equal ones the earlier: the number makes the choice the same in every run.
        key = ((kind, score), -self._count)
        if kind == 0 and score == 0.0:
            return
        if len(self._heap) >= SHOWN and key <= self._heap[0][:2]:
            return
        what = ("highest score", "cannot tell", "alert begins")[kind]
        caption = f"{what}: {frame.camera}, {frame.stamp_ns / 1e9:.3f} s, score {score:.2f}"
        picture = html.image_uri(draw_overlay(frame.image, judgement, self._labels), quality=80, max_width=960)
        heapq.heappush(self._heap, (*key, caption, picture))
        if len(self._heap) > SHOWN:
            heapq.heappop(self._heap)

    def figures(self) -> list[html.Html]:
        return [html.figure(picture, caption) for _, _, caption, picture in sorted(self._heap, key=lambda e: -e[1])]


def write_replay_report(path: Path, name: str, drive: Drive, metrics: dict[str, Any], kept: Highlights) -> None:
    """Write the page for the bag `name`."""
    parts = [_headline(metrics)]
    if drive.damage:
        parts.append(html.Html(f'<p class="note">Damaged bag: {html.text(drive.damage)}</p>'))
    if metrics["skipped"]:
        parts.append(
            html.details(
                f"{sum(metrics['skipped'].values())} frames were skipped", html.pairs(metrics["skipped"].items())
            )
        )
    if drive.rows:
        figures = [
            html.figure(_plot(drive, _states), "Alert state"),
            html.figure(_plot(drive, _scores), "Highest calibrated score of an obstacle"),
            html.figure(
                _plot(drive, _drift), "Drift of the scores in bits: 0 = as in calibration, 1 = nothing in common"
            ),
        ]
        parts.append(html.section("Over time", html.gallery(figures, 380)))
        parts.append(health_section(drive))
    if "pixel" in metrics:
        parts.append(_truth_section(metrics))
    shown = html.gallery(kept.figures(), 380)
    note = "" if kept.figures() else "No alert, no frame that could not be judged, no obstacle."
    parts.append(html.section("Frames worth looking at", shown, note=note))
    alerts = metrics["alerts"]
    shares = [(name, percent(share) + " %") for name, share in alerts["share_of_frames"].items()]
    reasons = [(f"reason {name}", count) for name, count in alerts["reasons"].items()]
    ages = [(f"age of evidence {name}", f"{value:.3f} s") for name, value in metrics["evidence_age_s"].items()]
    drift = [
        (f"drift of the scores, {name.replace('_', ' ')} of the frames", f"{value:.3f} bits")
        for name, value in metrics["drift"].items()
    ]
    times = [(f"network {name}", f"{value:.1f} ms") for name, value in metrics["latency_ms"].items()]
    again = [] if metrics["looked_again"] is None else [("frames looked at again", metrics["looked_again"])]
    parts.append(html.section("Figures", html.pairs([*shares, *reasons, *ages, *drift, *again, *times])))
    parts.append(html.section("Provenance", html.pairs(metrics["provenance"].items())))
    title = f"{metrics['bundle']} on {name}"
    path.write_text(html.page(title, parts, f"{metrics['frames']} frames, {metrics['duration_s']:.1f} s of driving"))


def _headline(metrics: dict[str, Any]) -> html.Html:
    alerts = metrics["alerts"]
    short = "" if metrics["duration_s"] >= MIN_RATE_S else f"not told below {MIN_RATE_S / 60:.0f} minutes of driving"
    items = [
        ("alerts", alerts["onsets"], "an alert began"),
        ("per hour", number(alerts["per_hour"]), short or "of the drive"),
        ("per kilometre", number(alerts["per_kilometre"]), short or "from odometry"),
        ("cannot tell", percent(alerts["share_of_frames"]["UNKNOWN"]) + " %", "of frames"),
        ("age of evidence", f"{metrics['evidence_age_s']['p95']:.3f} s", "95 %"),
    ]
    if "pixel" in metrics:
        items += [(key, percent(metrics["pixel"][key]), "%, pooled pixels") for key in ("AP", "FPR95")]
    return html.cards(items)


def _truth_section(metrics: dict[str, Any]) -> html.Html:
    pixel = metrics["pixel"]
    rows = [["AP", percent(pixel["AP"])], ["AUROC", percent(pixel["AUROC"])], ["FPR95", percent(pixel["FPR95"])]]
    for key, what in (("component", "best pixel F1"), ("component_deployed", "the bundle's threshold")):
        if key in metrics:
            rows += [[f"{name} at {what}", percent(metrics[key][name])] for name in ("sIoU", "PPV", "F1")]
    return html.section(
        "Against ground truth", html.table(["", "%"], rows), note=f"{pixel['frames']} frames with masks"
    )


def number(value: float | None) -> str:
    """`12.3`, or a dash where there is no figure."""
    return "–" if value is None or math.isnan(value) else f"{value:.3g}"


def _plot(drive: Drive, draw: Any) -> str:
    with rc_context(STYLE):
        figure = Figure(figsize=(6, 2.6))
        axes = figure.subplots()
        for camera in sorted({row["camera"] for row in drive.rows}):
            rows = [row for row in drive.rows if row["camera"] == camera]
            seconds = np.asarray([(row["log_ns"] - drive.start_ns) / 1e9 for row in rows])
            draw(axes, camera, seconds, rows)
        axes.set_xlabel("seconds")
        return html.plot_uri(figure)


def _states(axes: Any, camera: str, seconds: np.ndarray, rows: list[dict[str, Any]]) -> None:
    colors = [COLORS[row["state"]] for row in rows]
    axes.scatter(seconds, [camera] * len(rows), c=colors, marker="s", s=22)
    for place, (state, color) in enumerate(COLORS.items()):
        axes.text(0.02 + 0.2 * place, 1.03, state, color=color, transform=axes.transAxes, fontsize=8)


def _scores(axes: Any, camera: str, seconds: np.ndarray, rows: list[dict[str, Any]]) -> None:
    axes.plot(seconds, [row["score"] for row in rows], lw=1, marker=".", ms=3, label=camera)
    axes.set_ylim(-0.02, 1.02)
    axes.legend(fontsize=8)


def _drift(axes: Any, camera: str, seconds: np.ndarray, rows: list[dict[str, Any]]) -> None:
    axes.plot(seconds, [row["drift"] for row in rows], lw=1, label=camera)
    axes.set_ylim(0, 1)
    axes.legend(fontsize=8)
