"""Alerts → diagnostic_msgs/DiagnosticArray, the one status type that every ROS tool can show; and times as nanoseconds
since the epoch.

One status per camera: OK = CLEAR, WARN = OBSTACLE, ERROR = UNKNOWN, STALE = UNKNOWN for lack of (recent) evidence.
"""

from __future__ import annotations

from collections.abc import Mapping

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from ...frame import Alert
from ...pipeline.alert import alert_level, alert_sentence, alert_values

_SECOND = 1_000_000_000


def to_ns(stamp: Time) -> int:
    """Nanoseconds of a message time."""
    return stamp.sec * _SECOND + stamp.nanosec


def to_stamp(ns: int) -> Time:
    """Message time of nanoseconds, which must lie in its range (int32 seconds)."""
    return Time(sec=ns // _SECOND, nanosec=ns % _SECOND)


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
    """Status of one camera; keys as of `alert_values`, and sequence and bundle."""
    values = alert_values(alert, unplaced) | {"sequence": str(sequence), "bundle": bundle_id}
    status = DiagnosticStatus()
    status.level = bytes([alert_level(alert)])
    status.name = f"{node}: {camera}"
    status.message = alert_sentence(alert)
    status.hardware_id = camera
    status.values = [KeyValue(key=key, value=value) for key, value in values.items()]
    return status
