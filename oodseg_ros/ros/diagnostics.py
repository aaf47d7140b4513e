"""/diagnostics: what the node and each camera did, as diagnostic_msgs (REP-107)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from ..health.timing import REASONS, AgeSummary, FrameCounts


@dataclass(frozen=True)
class CameraReport:
    """One camera since the node was configured.

    Attributes:
        counts: its account.
        ages: stamp → published over the last frames, seconds.
        received_rate, answered_rate: per second since the last report.
        state: its alert in a word.
        geometry: where positions come from, in a sentence; empty = fine.
        overlays_skipped: left out because the node was late.
    """

    counts: FrameCounts
    ages: AgeSummary
    received_rate: float
    answered_rate: float
    state: str
    geometry: str = ""
    overlays_skipped: int = 0


@dataclass(frozen=True)
class NodeReport:
    """The node itself; `mode` is why nothing is answered at the moment (empty = it is), `warnings` hold permanently."""

    mode: str
    engine: str
    bundle: str
    golden_error: float
    warnings: tuple[str, ...] = ()


def to_diagnostics(
    node: str,
    stamp: Time,
    report: NodeReport,
    cameras: Mapping[str, CameraReport],
    recorder: Mapping[str, str] | None = None,
    recorder_trouble: str | None = None,
) -> DiagnosticArray:
    """One status of the node, one per camera, one of the recorder if it is on: `<node>: engine`, `<node>: <camera>`."""
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
        level, message = DiagnosticStatus.ERROR if "failed" in report.mode else DiagnosticStatus.WARN, report.mode
    values = {
        "bundle": report.bundle,
        "engine": report.engine,
        "golden_error": f"{report.golden_error:.3g}",
        "mode": report.mode or "running",
    }
    values |= {f"warning_{index}": text for index, text in enumerate(report.warnings)}
    return _status(level, f"{node}: engine", message, report.engine, values)


def _camera(node: str, name: str, camera: CameraReport) -> DiagnosticStatus:
    counts, ages = camera.counts, camera.ages
    dropped = sum(counts.dropped.values())
    level = DiagnosticStatus.OK
    if counts.lost or dropped:
        level = DiagnosticStatus.WARN
    if camera.state.startswith("UNKNOWN"):
        level = DiagnosticStatus.ERROR
    age = f", age p99 {ages.p99 * 1e3:.0f} ms" if math.isfinite(ages.p99) else ""
    message = (
        f"{camera.state}: {camera.answered_rate:.1f} of {camera.received_rate:.1f} frames/s answered{age}; "
        f"in all {dropped} dropped, {counts.lost} lost in transport"
    )
    values = {
        "state": camera.state,
        "received_rate": f"{camera.received_rate:.2f}",
        "answered_rate": f"{camera.answered_rate:.2f}",
        "frames_received": str(counts.received),
        "frames_answered": str(counts.answered),
        "frames_waiting": str(counts.waiting),
        "frames_lost_in_transport": str(counts.lost),
        "frames_dropped": str(dropped),
    }
    values |= {f"dropped_{reason}": str(counts.dropped.get(reason, 0)) for reason in REASONS}
    values |= {f"age_{key}_s": f"{getattr(ages, key):.4f}" for key in ("p50", "p95", "p99", "max")}
    values |= {"overlays_skipped": str(camera.overlays_skipped), "geometry": camera.geometry or "ok"}
    return _status(level, f"{node}: {name}", message, name, values)


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
