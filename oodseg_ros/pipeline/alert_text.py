"""An alert in words: the keys and values that every consumer gets, live or from a bag, and its sentence for people."""

from __future__ import annotations

import math

from ..frame import Alert, AlertState, Obstacle
from . import reasons

STALE_REASONS = frozenset({reasons.STARTING, reasons.NO_IMAGE})
"""Reasons of an UNKNOWN that say: there has never been evidence, or it has stopped coming."""


def values(alert: Alert, unplaced: str = "") -> dict[str, str]:
    """What an alert says, as text: state, reason, detail, evidence_age_s, stamp, score_drift_bits, ranges,
    obstacle_count, obstacle_<i>.

    `stamp` is that of the judged frame in seconds, 0 if there is none; `evidence_age_s` is `inf` then. `ranges` is
    `known`, or `unknown: <unplaced>`: then no obstacle has a position, and its absence says nothing about distance.
    """
    plain = {
        "state": alert.state.value,
        "reason": alert.reason,
        "detail": alert.detail,
        "evidence_age_s": f"{alert.evidence_age_s:.3f}",
        "stamp": f"{alert.stamp_ns // 1_000_000_000}.{alert.stamp_ns % 1_000_000_000:09d}",
        "score_drift_bits": "nan" if alert.drift is None else f"{alert.drift:.3f}",
        "ranges": f"unknown: {unplaced}" if unplaced else "known",
        "obstacle_count": str(len(alert.obstacles)),
    }
    return plain | {f"obstacle_{index}": describe(obstacle) for index, obstacle in enumerate(alert.obstacles)}


def level(alert: Alert) -> int:
    """As diagnostic_msgs/DiagnosticStatus counts: 0 = CLEAR, 1 = OBSTACLE, 2 = UNKNOWN, 3 = UNKNOWN for lack of
    (recent) evidence.
    """
    if alert.state is AlertState.CLEAR:
        return 0
    if alert.state is AlertState.OBSTACLE:
        return 1
    return 3 if alert.reason in STALE_REASONS else 2


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
