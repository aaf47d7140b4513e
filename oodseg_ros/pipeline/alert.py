"""Evidence of single frames → one state that a consumer may act on.

With N = `trigger_hits`, M = `trigger_window`, R = `release_frames`:

| condition | leaves for | when |
|---|---|---|
| UNKNOWN | OBSTACLE | a frame has an obstacle, the N-th one of the last M judged frames |
| UNKNOWN | CLEAR | M frames in a row were judged without that (until then `starting`, after a fault `recovering`) |
| CLEAR | OBSTACLE | as above (with fewer hits it stays CLEAR, `confirming`) |
| CLEAR | UNKNOWN | a frame cannot be judged, or none comes |
| OBSTACLE | CLEAR | R frames in a row were judged clear (until then it stays OBSTACLE, `releasing`) |

A frame with a weak obstacle only (above the release threshold, below the trigger threshold) is neither a hit nor clear,
if that is one of those that raised the alert: during OBSTACLE it holds the alert (`holding`). A weak one that was none
of them is nothing.

With `alert_rule` evidence there is a second condition beside this one: a candidate that is an obstacle by the evidence
of several frames (`obstacles/evidence.py`) makes it OBSTACLE; R frames in a row without it, without an obstacle and
without a weak one end that. The answer is OBSTACLE where either condition is: never later, and never clear earlier,
than by hits.

A fault during OBSTACLE is answered UNKNOWN, but the condition stays: the next judged frame answers OBSTACLE again, and
the R clear frames are counted from the fault on. So no fault shortens the way to CLEAR.

`alert_values` and `alert_sentence` put it into words, the same live and from a bag.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping

from ..frame import Alert, AlertState, Obstacle
from ..parameters.judging import ObstacleSettings
from . import reasons

USUAL_RATES = (30.0, 10.0, 5.0)
"""Images per second for which it is told where a camera's rate is not a parameter."""


class AlertMachine:
    """Condition of one camera; not thread-safe."""

    def __init__(self, settings: ObstacleSettings) -> None:
        self._settings = settings
        self.reset()

    def reset(self) -> None:
        """Forget all evidence, as after a jump in time."""
        self._condition = AlertState.UNKNOWN
        self._hits: deque[bool] = deque(maxlen=self._settings.trigger_window)
        self._judged = 0
        self._clear_run = 0
        self._was_known = False
        self._evident = 0

    @property
    def alarmed(self) -> bool:
        """Whether the condition is OBSTACLE, answered or hidden by a fault."""
        return self._condition is AlertState.OBSTACLE or self._evident > 0

    def judged(self, present: bool, weak: bool = False, evident: bool = False) -> tuple[AlertState, str]:
        """State and reason after a judged frame.

        Args:
            present: it holds an obstacle.
            weak: it holds only a weak one, of those that raised the alert.
            evident: it holds one by the evidence of several frames.
        """
        state, reason = self._by_hits(present, weak)
        if evident or (self._evident and (present or weak)):
            self._evident = self._settings.release_frames
        elif self._evident:
            self._evident -= 1
        if not self._evident or (state is AlertState.OBSTACLE and not evident):
            return state, reason
        self._was_known = True
        held = reasons.HOLDING if weak else reasons.RELEASING
        return AlertState.OBSTACLE, reasons.OBSTACLE if evident or present else held

    def _by_hits(self, present: bool, weak: bool) -> tuple[AlertState, str]:
        settings = self._settings
        self._hits.append(present)
        self._judged += 1
        self._clear_run = 0 if present or weak else self._clear_run + 1
        if present and sum(self._hits) >= settings.trigger_hits:
            self._condition = AlertState.OBSTACLE
        elif self._condition is AlertState.OBSTACLE and self._clear_run >= settings.release_frames:
            self._condition = AlertState.CLEAR
            # These hits are spent: where R is shorter than M they must not count for the next alert.
            self._hits.clear()
        elif self._condition is AlertState.UNKNOWN and self._judged >= settings.trigger_window:
            self._condition = AlertState.CLEAR
        if self._condition is AlertState.UNKNOWN:
            return AlertState.UNKNOWN, reasons.RECOVERING if self._was_known else reasons.STARTING
        self._was_known = True
        if self._condition is AlertState.OBSTACLE:
            return AlertState.OBSTACLE, reasons.OBSTACLE if present else reasons.HOLDING if weak else reasons.RELEASING
        return AlertState.CLEAR, reasons.CONFIRMING if present else reasons.OK

    def unknown(self, reason: str) -> tuple[AlertState, str]:
        """State and reason where a frame could not be judged, or none came. Hits stay: evidence of danger keeps."""
        self._judged = self._clear_run = 0
        self._evident = self._settings.release_frames if self._evident else 0
        if self._condition is AlertState.CLEAR:
            self._condition = AlertState.UNKNOWN
        return AlertState.UNKNOWN, reason


def worst_case_reaction(settings: ObstacleSettings, frame_period: float, latency: float) -> float:
    """Seconds from an object coming into view to OBSTACLE being published, at worst.

    Holds for an object that is found in at least `trigger_hits` of any `trigger_window` frames in a row, at one judged
    frame per `frame_period` seconds and at most `latency` seconds from a frame's stamp to its alert. The worst is an
    object that comes into view just after a frame was taken, and whose hits are the last ones of the window.
    """
    return settings.trigger_window * frame_period + latency


def worst_case_release(settings: ObstacleSettings, frame_period: float, latency: float) -> float:
    """Seconds from an object leaving the view to CLEAR being published, without false alarms in between."""
    return settings.release_frames * frame_period + latency


def reaction_sentence(
    settings: ObstacleSettings, max_age: float, image_timeout: float, heartbeat: float, rates: Mapping[str, float]
) -> str:
    """Worst case by the parameters alone, whatever the machine does in between.

    Args:
        max_age: seconds after which images are dropped instead of judged; 0 = never.
        image_timeout: seconds without an answer until UNKNOWN.
        heartbeat: seconds between two alerts.
        rates: camera → its images per second; 0 = not known.
    """
    silence = f"without images or answers UNKNOWN after {image_timeout + heartbeat:.2f} s"
    window = f"{settings.trigger_hits} hits in {settings.trigger_window} images"
    if max_age <= 0:
        return f"worst-case reaction ({window}): not bounded, because max_age is 0; {silence}"
    times = []
    known = {camera: rate for camera, rate in rates.items() if rate > 0}
    for rate in sorted({*known.values(), *(USUAL_RATES if len(known) < len(rates) else ())}, reverse=True):
        reaction = worst_case_reaction(settings, 1 / rate, max_age)
        release = worst_case_release(settings, 1 / rate, max_age)
        names = ", ".join(camera for camera, given in known.items() if given == rate)
        times.append(f"{reaction:.2f} s at {rate:g} Hz{f' ({names})' if names else ''}, release {release:.2f} s")
    return (
        f"worst-case reaction ({window}, images judged up to {max_age:g} s after their stamp, plus the engine's time "
        f"for one batch): {'; '.join(times)}; {silence}"
    )


STALE_REASONS = frozenset({reasons.STARTING, reasons.NO_IMAGE})
"""Reasons of an UNKNOWN that say: there has never been evidence, or it has stopped coming."""


def alert_values(alert: Alert, unplaced: str = "") -> dict[str, str]:
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


def alert_level(alert: Alert) -> int:
    """As diagnostic_msgs/DiagnosticStatus counts: 0 = CLEAR, 1 = OBSTACLE, 2 = UNKNOWN, 3 = UNKNOWN for lack of
    (recent) evidence.
    """
    if alert.state is AlertState.CLEAR:
        return 0
    if alert.state is AlertState.OBSTACLE:
        return 1
    return 3 if alert.reason in STALE_REASONS else 2


def alert_sentence(alert: Alert) -> str:
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
