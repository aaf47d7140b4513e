"""What the output gate may be told."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...errors import ConfigError

NAMES = ("not_finite", "one_class", "saturated", "drift")
"""The checks in their order; the first fault is told."""


@dataclass(frozen=True)
class OutputGateSettings:
    """Which checks run, and their limits.

    Attributes:
        checks: out of `NAMES`; `not_finite` always runs.
        one_class: share of the judged pixels in one class above which the labels mean nothing.
        saturated: share of the judged pixels above the bundle's threshold above which an alarm would mean nothing.
        drift_limit: Jensen-Shannon divergence in bits from the bundle's inlier histogram.
        drift_window: frames over which the scores are pooled.

    Raises:
        ConfigError: no such check, or a limit out of its range.
    """

    checks: tuple[str, ...] = NAMES
    one_class: float = 0.95
    saturated: float = 0.5
    drift_limit: float = 0.15
    drift_window: int = 20

    def __post_init__(self) -> None:
        if unknown := [name for name in self.checks if name not in NAMES]:
            raise ConfigError(f"there is no output check {unknown[0]!r}; there are {', '.join(NAMES)}")
        for name in ("one_class", "saturated", "drift_limit"):
            value = getattr(self, name)
            if not (math.isfinite(value) and 0 < value <= 1):
                raise ConfigError(f"{name} must be above 0 and at most 1, got {value!r}")
        if not 1 <= self.drift_window <= 1000:
            raise ConfigError(f"drift_window must be from 1 to 1000 frames, got {self.drift_window!r}")
