"""/diagnostics: what the node and each camera did, as diagnostic_msgs (REP-107); each kind of trouble is logged once
per camera, and counted here.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from ...errors import UserError
from ...frame import Alert
from ...parameters.settings import Settings
from ...pipeline.account import REASONS, AgeSummary, FrameCounts
from ...pipeline.alert import alert_sentence, reaction_sentence, worst_case_reaction
from ...pipeline.reasons import sentence
from ...pipeline.step import Camera

CAMERA = "camera "
"""Before a camera's name in the name of its status."""
ALERT = "alert"
"""In the name of the statuses that repeat the alert, for aggregators and robot monitors: `<node>: alert: <name>`."""


@dataclass(frozen=True)
class CameraReport:
    """One camera since the node was configured.

    Attributes:
        counts: its account.
        ages: stamp → published over the last frames, seconds.
        received_rate, answered_rate: per second since the last report.
        state: its alert in a word.
        geometry: where positions come from, in a sentence; empty = fine.
        publishers: why those on its topics are too many; empty = fine.
        overlays_skipped: left out because the node was late.
        sentence: its alert in a line.
        troubled: frames were lost, dropped or late since the last report.
        missed: answers later than `deadline` seconds, ever.
        drift, drift_limit: of the scores from the calibration, bits; NaN = not measured.
        period: seconds between two images, as they come; NaN = not known yet.
        reaction: worst-case seconds from in view to OBSTACLE, by the measured period and the largest age.
    """

    counts: FrameCounts
    ages: AgeSummary
    received_rate: float
    answered_rate: float
    state: str
    geometry: str = ""
    publishers: str = ""
    overlays_skipped: int = 0
    sentence: str = ""
    troubled: bool = False
    missed: int = 0
    deadline: float = 0.0
    drift: float = math.nan
    drift_limit: float = math.nan
    period: float = math.nan
    reaction: float = math.nan


@dataclass(frozen=True)
class NodeReport:
    """The node itself.

    Attributes:
        mode: why nothing is answered at the moment; empty = it is.
        engine, bundle, golden_error: identities, and how far the engine's golden answer is off.
        warnings: hold permanently.
        reaction: the worst case by the parameters, in a sentence.
    """

    mode: str
    engine: str
    bundle: str
    golden_error: float
    warnings: tuple[str, ...] = ()
    reaction: str = ""


def to_diagnostics(
    node: str,
    stamp: Time,
    report: NodeReport,
    cameras: Mapping[str, CameraReport],
    recorder: Mapping[str, str] | None = None,
    recorder_trouble: str | None = None,
) -> DiagnosticArray:
    """One status of the node, one per camera, one of the recorder if it is on.

    They are called `<node>: engine`, `<node>: camera <name>` and `<node>: recorder`.
    """
    array = DiagnosticArray()
    array.header.stamp = stamp
    array.status = [_engine(node, report)] + [_camera(node, name, camera) for name, camera in cameras.items()]
    if recorder:
        array.status.append(_recorder(node, recorder, recorder_trouble))
    return array


def _engine(node: str, report: NodeReport) -> DiagnosticStatus:
    level, message = DiagnosticStatus.OK, f"{report.bundle} on {report.engine}"
    if report.warnings:
        level, message = DiagnosticStatus.WARN, "; ".join(report.warnings)
    if report.mode:
        level = DiagnosticStatus.ERROR if "failed" in report.mode else DiagnosticStatus.WARN
        message = f"{sentence(report.mode)} ({report.mode})"
    values = {
        "bundle": report.bundle,
        "engine": report.engine,
        "golden_error": f"{report.golden_error:.3g}",
        "mode": report.mode or "running",
        "worst_case_reaction": report.reaction,
    }
    values |= {f"warning_{index}": text for index, text in enumerate(report.warnings)}
    return _status(level, f"{node}: engine", message, report.engine, values)


def _camera(node: str, name: str, camera: CameraReport) -> DiagnosticStatus:
    counts, ages = camera.counts, camera.ages
    dropped = sum(counts.dropped.values())
    level = DiagnosticStatus.WARN if camera.troubled else DiagnosticStatus.OK
    if camera.state.startswith("UNKNOWN"):
        level = DiagnosticStatus.ERROR
    age = f", age p99 {ages.p99 * 1e3:.0f} ms" if math.isfinite(ages.p99) else ""
    message = (
        f"{camera.sentence or camera.state}; {camera.answered_rate:.1f} of {camera.received_rate:.1f} frames/s "
        f"answered{age}; in all {dropped} dropped, {counts.lost} lost in transport"
    )
    if camera.publishers:
        message = f"{camera.publishers}; {message}"
    values = {
        "state": camera.state,
        "received_rate": f"{camera.received_rate:.2f}",
        "answered_rate": f"{camera.answered_rate:.2f}",
        "frames_expected": str(counts.expected),
        "frames_received": str(counts.received),
        "frames_answered": str(counts.answered),
        "frames_waiting": str(counts.waiting),
        "frames_lost_in_transport": str(counts.lost),
        "frames_dropped": str(dropped),
    }
    values |= {f"dropped_{reason}": str(counts.dropped.get(reason, 0)) for reason in REASONS}
    values |= {f"age_{key}_s": f"{getattr(ages, key):.4f}" for key in ("p50", "p95", "p99", "max")}
    values |= {
        "deadline_s": f"{camera.deadline:g}",
        "deadline_misses": str(camera.missed),
        "period_s": f"{camera.period:.4f}",
        "worst_case_reaction_s": f"{camera.reaction:.3f}",
        "score_drift_bits": f"{camera.drift:.3f}",
        "score_drift_limit_bits": f"{camera.drift_limit:g}",
    }
    values |= {"overlays_skipped": str(camera.overlays_skipped), "geometry": camera.geometry or "ok"}
    values["publishers"] = camera.publishers or "ok"
    return _status(level, f"{node}: {CAMERA}{name}", message, name, values)


def _recorder(node: str, counts: Mapping[str, str], trouble: str | None) -> DiagnosticStatus:
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


def to_report(
    camera: Camera,
    alert: Alert,
    settings: Settings,
    rates: Rates,
    now: float,
    overlays_skipped: int = 0,
    publishers: str = "",
) -> CameraReport:
    """Report of a camera at `now` (monotonic seconds), gathered from where it is counted.

    Args:
        overlays_skipped: left out because the node was late.
        publishers: why those who publish on its topics are too many.
    """
    name, counts, ages = camera.settings.name, camera.counter.counts(), camera.ages.summary()
    period, missed = camera.counter.period_s(), camera.ages.missed
    troubles = counts.lost + sum(counts.dropped.values()) + missed
    return CameraReport(
        counts,
        ages,
        rates.rate(name + "/received", counts.received, now),
        rates.rate(name + "/answered", counts.answered, now),
        f"{alert.state.value} ({alert.reason})",
        geometry=camera.placing,
        publishers=publishers,
        overlays_skipped=overlays_skipped,
        sentence=alert_sentence(alert),
        troubled=rates.rate(name + "/troubles", troubles, now) > 0 or bool(publishers),
        missed=missed,
        deadline=settings.deadline,
        drift=math.nan if alert.drift is None else alert.drift,
        drift_limit=settings.output_gate.drift_limit,
        period=period,
        reaction=worst_case_reaction(settings.obstacles, period, ages.max),
    )


MAX_KINDS = 200
_FIGURES = re.compile(r"-?\d[\d.]*")


class LogOnce:
    """Logs every kind of trouble once per camera. Thread-safe.

    Args:
        logger: rclpy's.
    """

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
