"""The longest that an obstacle can be in view before a consumer hears of it, as a sentence for the log."""

from __future__ import annotations

from collections.abc import Mapping

from .alert import worst_case_reaction, worst_case_release
from .obstacles.settings import ObstacleSettings

USUAL_RATES = (30.0, 10.0, 5.0)
"""Images per second for which it is told where a camera's rate is not a parameter."""


def reaction_sentence(
    settings: ObstacleSettings, max_age: float, image_timeout: float, heartbeat: float, rates: Mapping[str, float]
) -> str:
    """Worst case by the parameters alone, whatever the machine does in between.

    Args:
        settings: of the obstacles.
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
