"""QoS of `topics` as rclpy takes it; any of it can be changed with `qos_overrides` parameters."""

from __future__ import annotations

from typing import Any

try:
    from rclpy.event_handler import PublisherEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions

from . import topics
from .topics import Quality

POLICIES = {
    "history": ("keep_last", "keep_all", "system_default"),
    "depth": None,
    "reliability": ("reliable", "best_effort", "system_default"),
    "durability": ("volatile", "transient_local", "system_default"),
}
"""What `qos_overrides.<topic>.<publisher|subscription>.` may be followed by, and its values; None = a whole number."""


def profile(quality: Quality) -> QoSProfile:
    """A fresh profile: rclpy writes overrides into the one that it is given."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=quality.depth,
        reliability=ReliabilityPolicy.RELIABLE if quality.reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if quality.latched else DurabilityPolicy.VOLATILE,
    )


IMAGE_IN = profile(topics.IMAGE_IN)
CAMERA_INFO_IN = profile(topics.CAMERA_INFO_IN)
IMAGE_OUT = profile(topics.IMAGE_OUT)
ALERT_OUT = profile(topics.ALERT_OUT)
DIAGNOSTICS_OUT = profile(topics.DIAGNOSTICS_OUT)


def deep(depth: int) -> QoSProfile:
    """Reliable, for a listener that must not lose what has arrived while it is busy."""
    return profile(Quality(depth))


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
    """Declares `qos_overrides.<topic>.<publisher|subscription>.<policy>` for all of `POLICIES`."""
    return QoSOverridingOptions([QoSPolicyKind[name.upper()] for name in POLICIES])
