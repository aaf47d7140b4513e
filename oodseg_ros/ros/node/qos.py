"""QoS of `topics` as rclpy takes it; any of it can be changed with `qos_overrides` parameters."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

try:
    from rclpy.event_handler import PublisherEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions

from . import topics
from .topics import Quality

_OVERRIDES = "qos_overrides."
MAX_DEPTH = 1000
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


def deep(depth: int, latched: bool = False) -> QoSProfile:
    """Reliable, for a listener that must not lose what has arrived while it is busy."""
    return profile(Quality(depth, latched=latched))


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


def check_overrides(given: Mapping[str, Any], publishers: Iterable[str], subscriptions: Iterable[str]) -> list[str]:
    """A sentence for each `qos_overrides` parameter that nobody would read, or whose value rclpy would stumble over.

    Args:
        given: full parameter name → value; others are passed over.
        publishers, subscriptions: fully qualified topics of the node, as remapped.
    """
    known = {"publisher": sorted(publishers), "subscription": sorted(subscriptions)}
    return [
        f"parameter {name}: {problem}"
        for name, value in given.items()
        if name.startswith(_OVERRIDES) and (problem := _problem(name.removeprefix(_OVERRIDES), value, known))
    ]


def _problem(rest: str, value: Any, known: Mapping[str, list[str]]) -> str | None:
    topic, entity, policy = ["", "", *rest.rsplit(".", 2)][-3:]
    if entity not in known:
        return f"{entity!r} is neither publisher nor subscription; write qos_overrides.<topic>.<entity>.<policy>"
    if topic not in known[entity]:
        other = next(kind for kind in known if kind != entity)
        if topic in known[other]:
            return f"the node has no {entity} of this topic, but a {other}"
        return f"the node has no {entity} of a topic {topic}{_hint(topic, known[entity])}"
    if policy not in POLICIES:
        return f"{policy!r} cannot be overridden{_hint(policy, POLICIES)}; known: {', '.join(POLICIES)}"
    values = POLICIES[policy]
    if values is None:
        right = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_DEPTH
        return None if right else f"must be a whole number from 0 to {MAX_DEPTH}, got {value!r}"
    return None if value in values else f"must be one of {', '.join(values)}, got {value!r}"


def _hint(word: str, known: Iterable[str]) -> str:
    nearest = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {nearest[0]}?" if nearest else ""
