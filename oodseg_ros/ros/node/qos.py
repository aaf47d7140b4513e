"""The QoS of every topic, by name; any of them can be changed with `qos_overrides` parameters."""

from __future__ import annotations

from typing import Any

try:
    from rclpy.event_handler import PublisherEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions


def _profile(
    depth: int, reliability: ReliabilityPolicy, durability: DurabilityPolicy = DurabilityPolicy.VOLATILE
) -> QoSProfile:
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability, durability=durability)


IMAGE_IN = _profile(1, ReliabilityPolicy.BEST_EFFORT)
"""Matches every camera driver. Depth 1: a queue in front of a slow consumer is nothing but delay."""

CAMERA_INFO_IN = _profile(1, ReliabilityPolicy.BEST_EFFORT)

IMAGE_OUT = _profile(1, ReliabilityPolicy.RELIABLE)
"""Reliable, so that subscribers of both kinds match (RViz asks for reliable)."""

OBSTACLES_OUT = _profile(5, ReliabilityPolicy.RELIABLE)

ALERT_OUT = _profile(10, ReliabilityPolicy.RELIABLE)

LATCHED_OUT = _profile(1, ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)
"""For what is said once, and must reach those who come later."""

DIAGNOSTICS_OUT = _profile(10, ReliabilityPolicy.RELIABLE)

TOPICS = {
    "semantic/image": IMAGE_OUT,
    "anomaly/score": IMAGE_OUT,
    "anomaly/mask": IMAGE_OUT,
    "overlay": IMAGE_OUT,
    "obstacles": OBSTACLES_OUT,
    "obstacles/markers": OBSTACLES_OUT,
    "obstacles/points": OBSTACLES_OUT,
    "semantic/label_info": LATCHED_OUT,
}
"""Outputs under a camera's name."""


def deep(depth: int) -> QoSProfile:
    """Reliable, for a listener that must not lose what has arrived while it is busy."""
    return _profile(depth, ReliabilityPolicy.RELIABLE)


def latched(depth: int) -> QoSProfile:
    """Reliable, and kept for those who come later, e.g. static transforms."""
    return _profile(depth, ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)


def options(listen_to_events: bool = False) -> dict[str, Any]:
    """Keyword arguments for publishers: QoS overrides, and no event handlers.

    Each handler is one more entity in every wait of the executor; with several cameras they would cost more than the
    images themselves.
    """
    return {
        "qos_overriding_options": overridable(),
        "event_callbacks": PublisherEventCallbacks(use_default_callbacks=listen_to_events),
    }


def overridable() -> QoSOverridingOptions:
    """Declares `qos_overrides.<topic>.<publisher|subscription>.{history,depth,reliability}`."""
    return QoSOverridingOptions.with_default_policies()
