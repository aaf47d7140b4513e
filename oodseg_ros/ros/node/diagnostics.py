"""/diagnostics: what the node and each camera did, as diagnostic_msgs (REP-107); each kind of trouble is logged once
per camera, and counted here.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Mapping
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from ...errors import UserError
from ...frame import Alert, AlertState
from ...parameters.settings import Settings
from ...pipeline.alert import alert_sentence, reaction_sentence, worst_case_reaction
from ...pipeline.reasons import DROPS, sentence
from ...pipeline.step import Camera

CAMERA = "camera "
"""Before a camera's name in the name of its status."""
ALERT = "alert"
"""In the name of the statuses that repeat the alert, for aggregators and robot monitors: `<node>: alert: <name>`."""


def engine_status(
    node: str,
    mode: str,
    engine: str,
    bundle: str,
    golden_error: float,
    warnings: tuple[str, ...] = (),
    reaction: str = "",
    looked_again: int | None = None,
) -> DiagnosticStatus:
    """The node itself, as `<node>: engine`.

    Args:
        mode: why nothing is answered at the moment; empty = it is.
        reaction: the worst case by the parameters, in a sentence.
        looked_again: images that were looked at twice since the bundle was loaded; None = it asks for no second look.
    """
    level, message = DiagnosticStatus.OK, f"{bundle} on {engine}"
    if warnings:
        level, message = DiagnosticStatus.WARN, "; ".join(warnings)
    if mode:
        level = DiagnosticStatus.ERROR if "failed" in mode else DiagnosticStatus.WARN
        message = f"{sentence(mode)} ({mode})"
    values = {
        "bundle": bundle,
        "engine": engine,
        "golden_error": f"{golden_error:.3g}",
        "mode": mode or "running",
        "worst_case_reaction": reaction,
        "looked_again": "never" if looked_again is None else str(looked_again),
    }
    values |= {f"warning_{index}": text for index, text in enumerate(warnings)}
    return _status(level, f"{node}: engine", message, engine, values)


def camera_status(
    node: str,
    camera: Camera,
    alert: Alert,
    settings: Settings,
    rates: Rates,
    now: float,
    overlays_skipped: int = 0,
    publishers: str = "",
) -> DiagnosticStatus:
    """A camera since the node was configured, as `<node>: camera <name>`.

    WARN: frames were lost, dropped or late since the last status, or `publishers`; ERROR: it is UNKNOWN.

    Args:
        rates: kept from one status to the next.
        now: monotonic seconds.
        overlays_skipped: left out because the node was late.
        publishers: why those on its topics are too many; empty = fine.
    """
    name, counts, ages, missed = (
        camera.settings.name,
        camera.counter.counts(),
        camera.ages.summary(),
        camera.ages.missed,
    )
    dropped, state = sum(counts.dropped.values()), f"{alert.state.value} ({alert.reason})"
    period = camera.counter.period_s()
    received, answered, troubles = (
        rates.rate(f"{name}/{key}", total, now)
        for key, total in (
            ("received", counts.received),
            ("answered", counts.answered),
            ("troubles", counts.lost + dropped + missed),
        )
    )
    level = DiagnosticStatus.WARN if troubles > 0 or publishers else DiagnosticStatus.OK
    if alert.state is AlertState.UNKNOWN:
        level = DiagnosticStatus.ERROR
    age = f", age p99 {ages.p99 * 1e3:.0f} ms" if math.isfinite(ages.p99) else ""
    message = (
        f"{alert_sentence(alert)}; {answered:.1f} of {received:.1f} frames/s answered{age}; "
        f"in all {dropped} dropped, {counts.lost} lost in transport"
    )
    if publishers:
        message = f"{publishers}; {message}"
    values = {
        "state": state,
        "received_rate": f"{received:.2f}",
        "answered_rate": f"{answered:.2f}",
        "frames_expected": str(counts.expected),
        "frames_received": str(counts.received),
        "frames_answered": str(counts.answered),
        "frames_waiting": str(counts.waiting),
        "frames_lost_in_transport": str(counts.lost),
        "frames_dropped": str(dropped),
    }
    values |= {f"dropped_{reason}": str(counts.dropped.get(reason, 0)) for reason in DROPS}
    values |= {f"age_{key}_s": f"{getattr(ages, key):.4f}" for key in ("p50", "p95", "p99", "max")}
    values |= {
        "deadline_s": f"{settings.deadline:g}",
        "deadline_misses": str(missed),
        "period_s": f"{period:.4f}",
        "worst_case_reaction_s": f"{worst_case_reaction(settings.obstacles, period, ages.max):.3f}",
        "score_drift_bits": f"{math.nan if alert.drift is None else alert.drift:.3f}",
        "score_drift_limit_bits": f"{settings.output_gate.drift_limit:g}",
        "overlays_skipped": str(overlays_skipped),
        "geometry": camera.placing or "ok",
        "publishers": publishers or "ok",
    }
    return _status(level, f"{node}: {CAMERA}{name}", message, name, values)


def recorder_status(node: str, counts: Mapping[str, str], trouble: str | None) -> DiagnosticStatus:
    """The recorder, as `<node>: recorder`; `trouble` = why it does not write now."""
    level, message = DiagnosticStatus.OK, f"{counts.get('written', 0)} bags written"
    if trouble is not None:
        level, message = DiagnosticStatus.WARN, f"{message}; not writing now: {trouble}"
    return _status(level, f"{node}: recorder", message, "recorder", counts)


def _status(level: bytes, name: str, message: str, hardware: str, values: Mapping[str, str]) -> DiagnosticStatus:
    pairs = [KeyValue(key=key, value=value) for key, value in values.items()]
    return DiagnosticStatus(level=level, name=name, message=message, hardware_id=hardware, values=pairs)


class Rates:
    """Events per second between two calls, from running totals."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, int]] = {}

    def rate(self, key: str, total: int, now: float) -> float:
        """Rate of `key` since its last call at `now` (monotonic seconds); 0 at the first."""
        before, count = self._last.get(key, (now, total))
        self._last[key] = (now, total)
        return (total - count) / (now - before) if now > before else 0.0


def reaction(settings: Settings) -> str:
    """The worst-case reaction time that follows from the parameters, in a sentence."""
    rates = {camera.name: camera.rate for camera in settings.cameras}
    return reaction_sentence(
        settings.obstacles, settings.max_age, settings.image_timeout, 1 / settings.alert_rate, rates
    )


MAX_KINDS = 200
_FIGURES = re.compile(r"-?\d[\d.]*")


class LogOnce:
    """Logs every kind of trouble once per camera. Thread-safe."""

    def __init__(self, logger: Any) -> None:
        self._logger = logger
        self._lock = threading.Lock()
        self._seen: set[tuple[str, str, str]] = set()

    def once(self, camera: str, reason: str, error: Exception) -> None:
        """Log an error, the first of its reason and type for this camera."""
        # A UserError explains itself; of any other the type is part of the explanation.
        text = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        prefix = "" if camera in text else f"camera {camera}: "
        self.text_once(
            camera,
            f"{reason}/{type(error).__name__}",
            f"{prefix}frame dropped ({reason}): {text[:600]} (said once; further ones are counted in /diagnostics)",
        )

    def text_once(self, camera: str, kind: str, text: str, severe: bool = True) -> None:
        """Log a sentence, the first of its kind for this camera; other figures in it make no other kind."""
        key = (camera, kind, _FIGURES.sub("#", text)[:300])
        with self._lock:
            # Bounded: adversarial input must not fill memory or disk through the log.
            if key in self._seen or len(self._seen) >= MAX_KINDS:
                return
            self._seen.add(key)
        # Two places: rclpy allows a line of code to log at one level only.
        if severe:
            self._logger.error(text)
        else:
            self._logger.warning(text)
