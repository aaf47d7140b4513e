"""Alerts → diagnostic_msgs/DiagnosticArray, the one status type that every ROS tool can show.

One status per camera: OK = CLEAR, WARN = OBSTACLE, ERROR = UNKNOWN, STALE = UNKNOWN for lack of (recent) evidence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from ...frame import Alert, AlertState, Obstacle
from ...pipeline import reasons

STALE_REASONS = frozenset({reasons.STARTING, reasons.NO_IMAGE})
"""Reasons of an UNKNOWN that say: there has never been evidence, or it has stopped coming."""


def to_alert(
    alerts: Mapping[str, Alert],
    stamp: Time,
    sequence: int,
    bundle_id: str,
    node: str = "perception",
    unplaced: Mapping[str, str] | None = None,
) -> DiagnosticArray:
    """One status per camera, in the mapping's order.

    Args:
        alerts: camera name → its alert.
        stamp: now, by the node's clock.
        sequence: counts the heartbeats from 0, so that a listener sees losses.
        bundle_id: the model that judged.
        node: fully qualified node name; a status is called `<node>: <camera>` (REP-107).
        unplaced: camera name → why positions and ranges are not known; cameras missing here know them.
    """
    array = DiagnosticArray()
    array.header.stamp = stamp
    array.status = [
        to_status(camera, alert, sequence, bundle_id, node, (unplaced or {}).get(camera, ""))
        for camera, alert in alerts.items()
    ]
    return array


def to_status(
    camera: str, alert: Alert, sequence: int, bundle_id: str, node: str = "perception", unplaced: str = ""
) -> DiagnosticStatus:
    """Status of one camera; keys: state, reason, detail, evidence_age_s, stamp, sequence, bundle, score_drift_bits,
    ranges, obstacle_count, obstacle_<i>.

    `stamp` is that of the judged frame in seconds, 0 if there is none; `evidence_age_s` is `inf` then. `ranges` is
    `known`, or `unknown: <unplaced>`: then no obstacle has a position, and its absence says nothing about distance.
    """
    values = {
        "state": alert.state.value,
        "reason": alert.reason,
        "detail": alert.detail,
        "evidence_age_s": f"{alert.evidence_age_s:.3f}",
        "stamp": f"{alert.stamp_ns // 1_000_000_000}.{alert.stamp_ns % 1_000_000_000:09d}",
        "sequence": str(sequence),
        "bundle": bundle_id,
        "score_drift_bits": "nan" if alert.drift is None else f"{alert.drift:.3f}",
        "ranges": f"unknown: {unplaced}" if unplaced else "known",
        "obstacle_count": str(len(alert.obstacles)),
    }
    values |= {f"obstacle_{index}": describe(obstacle) for index, obstacle in enumerate(alert.obstacles)}
    status = DiagnosticStatus()
    status.level = level(alert)
    status.name = f"{node}: {camera}"
    status.message = sentence(alert)
    status.hardware_id = camera
    status.values = [KeyValue(key=key, value=value) for key, value in values.items()]
    return status


def level(alert: Alert) -> bytes:
    """`DiagnosticStatus` level of an alert."""
    if alert.state is AlertState.CLEAR:
        return DiagnosticStatus.OK
    if alert.state is AlertState.OBSTACLE:
        return DiagnosticStatus.WARN
    return DiagnosticStatus.STALE if alert.reason in STALE_REASONS else DiagnosticStatus.ERROR


def sentence(alert: Alert) -> str:
    """The alert in one readable line."""
    age = f"evidence {alert.evidence_age_s:.2f} s old" if math.isfinite(alert.evidence_age_s) else "no evidence"
    if alert.state is AlertState.CLEAR:
        count = len(alert.obstacles)
        if count and alert.reason == reasons.OK:
            return f"CLEAR: {count} unknown obstacle{'' if count == 1 else 's'} where they are only reported, {age}"
        return f"CLEAR: {reasons.sentence(alert.reason)}, {age}"
    if alert.state is AlertState.UNKNOWN:
        detail = f": {alert.detail}" if alert.detail else ""
        return f"UNKNOWN: {reasons.sentence(alert.reason)} ({alert.reason}{detail}), {age}"
    if not alert.obstacles:  # the last frames were clear, but not yet enough of them
        return f"OBSTACLE: seen a moment ago, not in this frame ({alert.reason}), {age}"
    count = len(alert.obstacles)
    text = f"OBSTACLE: {count} unknown obstacle{'' if count == 1 else 's'}"
    ranged = [obstacle.ground for obstacle in alert.obstacles if obstacle.ground is not None]
    if ranged:
        nearest = min(ranged, key=lambda ground: ground.range_min)
        text += f", nearest at {nearest.range_min:.1f} to {nearest.range_max:.1f} m"
    else:
        text += f", range unknown, highest score {max(obstacle.score for obstacle in alert.obstacles):.2f}"
    return f"{text}, {age}"


def describe(obstacle: Obstacle) -> str:
    """`x0,y0,x1,y1 score=… area=… track=… age=… [position=x,y,z range=min..max] [zone=…] [reach=…] [reported]`.

    Pixels, metres in base_link; age in frames; reach: seconds until the vehicle is there; reported: it does not count.
    """
    text = f"{','.join(map(str, obstacle.box))} score={obstacle.score:.3f} area={obstacle.area}"
    text += f" track={obstacle.track_id} age={obstacle.age}"
    if obstacle.ground is not None:
        position = ",".join(f"{value:.2f}" for value in obstacle.ground.position)
        text += f" position={position} range={obstacle.ground.range_min:.2f}..{obstacle.ground.range_max:.2f}"
    if obstacle.zone:
        text += f" zone={obstacle.zone}"
    if obstacle.reach_s is not None:
        text += f" reach={obstacle.reach_s:.2f}"
    return text if obstacle.counts else text + " reported"
