"""The alert time line of one camera as an SVG."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib import rc_context
from matplotlib.figure import Figure

from ....evaluation.report.figures import STYLE
from ....evaluation.report.html import plot_uri
from ....frame import AlertState
from ..listener import CameraSeen

if TYPE_CHECKING:
    from .run import DemoResult

# Blue, orange and gray are told apart without seeing red and green.
COLORS = {AlertState.CLEAR: "#3b6fb6", AlertState.OBSTACLE: "#e08e0b", AlertState.UNKNOWN: "#8a8f98"}
TRUTH = "#7a2230"


def timeline(result: DemoResult, name: str, camera: CameraSeen) -> str:
    """States over time, above them what was in sight, below the distances, where known."""
    zero = min((stamps[0] for stamps in result.sent.values()), default=0)
    last = max((stamps[-1] for stamps in result.sent.values()), default=0)
    truth = sorted((stamp, truth) for stamp, truth in result.truth.items() if stamp in set(result.sent.get(name, [])))
    ranged = [alert for alert in camera.alerts if alert.nearest]
    distances = bool(ranged) or any(item.nearest_m is not None for _, item in truth)
    strips = ["alert", "in sight"] if truth else ["alert"]
    with rc_context(STYLE):
        plot = Figure(figsize=(9, 3.6 if distances else 1.2))
        heights = [0.35 * len(strips), 2] if distances else [1]
        axes = plot.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
        _states(axes[0], camera, zero, last)
        if truth:
            _spans(axes[0], [((stamp - zero) * 1e-9, item.count > 0) for stamp, item in truth], (last - zero) * 1e-9)
        axes[0].set(yticks=range(len(strips)), yticklabels=strips, ylim=(-0.5, len(strips) - 0.5))
        axes[0].grid(False)
        axes[0].legend(fontsize=8, ncols=4, loc="lower left", bbox_to_anchor=(0, 1))
        if distances:
            _distances(axes[1], truth, ranged, zero)
        axes[-1].set(xlabel="seconds since the first frame", xlim=(0, max((last - zero) * 1e-9, 0.1)))
        return plot_uri(plot)


def _states(axes: Figure, camera: CameraSeen, zero: int, last: int) -> None:
    """A bar per stretch of one state; before the first frame is left out."""
    times = [max((alert.received_ns - zero) * 1e-9, 0.0) for alert in camera.alerts]
    ends = [*times[1:], max((last - zero) * 1e-9, times[-1])]
    named: set[AlertState] = set()
    for alert, begin, end in zip(camera.alerts, times, ends, strict=True):
        label = None if alert.state in named else alert.state.value
        named.add(alert.state)
        axes.barh(0, end - begin, left=begin, height=0.7, color=COLORS[alert.state], label=label)


def _spans(axes: Figure, truth: list[tuple[float, bool]], end: float) -> None:
    label = "unknown object in sight"
    for (begin, there), following in zip(truth, [*(time for time, _ in truth[1:]), end], strict=True):
        if there:
            axes.barh(1, following - begin, left=begin, height=0.7, color=TRUTH, label=label)
            label = None


def _distances(axes: Figure, truth: list, ranged: list, zero: int) -> None:
    known = [((stamp - zero) * 1e-9, item.nearest_m) for stamp, item in truth if item.nearest_m is not None]
    if known:
        axes.plot(*zip(*known, strict=True), ".", ms=4, color=TRUTH, label="nearest unknown object")
    times = [(alert.stamp_ns - zero) * 1e-9 for alert in ranged]
    top = 1.3 * max((distance for _, distance in known), default=60.0)
    low = [min(alert.nearest[0], top) for alert in ranged]
    high = [min(alert.nearest[1], top) for alert in ranged]
    axes.vlines(times, low, high, color=COLORS[AlertState.OBSTACLE], lw=2.5, alpha=0.8, label="range in the alert")
    axes.set(ylabel="distance in m", ylim=(0, top))
    axes.legend(fontsize=8, loc="upper right")
