"""What /diagnostics says of a camera, gathered from where it is counted."""

from __future__ import annotations

import math

from ...frame import Alert
from ...parameters.settings import Settings
from ...pipeline.alert import reaction_sentence, worst_case_reaction
from ..messages.alert import sentence
from .diagnostics import CameraReport, Rates
from .road import CameraRoad


def reaction(settings: Settings) -> str:
    """The worst-case reaction time that follows from the parameters, in a sentence."""
    rates = {camera.name: camera.rate for camera in settings.cameras}
    return reaction_sentence(
        settings.obstacles, settings.max_age, settings.image_timeout, 1 / settings.alert_rate, rates
    )


def to_report(
    name: str,
    road: CameraRoad,
    alert: Alert,
    settings: Settings,
    rates: Rates,
    now: float,
    unplaced: str = "",
    publishers: str = "",
) -> CameraReport:
    """Report of the camera `name` at `now` (monotonic seconds).

    Args:
        unplaced: why its obstacles have no position.
        publishers: why those who publish on its topics are too many.
    """
    counts, ages, period = road.counter.counts(), road.ages.summary(), road.counter.period_s()
    troubles = counts.lost + sum(counts.dropped.values()) + road.ages.missed
    return CameraReport(
        counts,
        ages,
        rates.rate(name + "/received", counts.received, now),
        rates.rate(name + "/answered", counts.answered, now),
        f"{alert.state.value} ({alert.reason})",
        geometry=unplaced,
        publishers=publishers,
        overlays_skipped=road.overlays_skipped,
        sentence=sentence(alert),
        troubled=rates.rate(name + "/troubles", troubles, now) > 0 or bool(publishers),
        missed=road.ages.missed,
        deadline=settings.deadline,
        drift=math.nan if alert.drift is None else alert.drift,
        drift_limit=settings.output_gate.drift_limit,
        period=period,
        reaction=worst_case_reaction(settings.obstacles, period, ages.max),
    )
