"""The part of a drive's report that says how healthy it was."""

from __future__ import annotations

import math

from ..evaluation.report import html
from ..evaluation.report.page import percent
from ..parameters.judging import OutputGateSettings
from ..pipeline.reasons import sentence
from .drive import Drive
from .drive_health import CameraHealth, Health, summarize_health


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
    rate, *others = ("–" if math.isnan(value) else f"{value:.3g}" for value in figures)
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
