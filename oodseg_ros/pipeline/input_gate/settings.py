"""What the input gate may be told."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...errors import ConfigError

NAMES = ("stamps", "size", "camera_info", "black", "over_exposed", "low_contrast", "frozen", "blocked", "blurred")
"""The checks in their order; the first fault is told, the checks after it do not see the frame."""


@dataclass(frozen=True)
class InputGateSettings:
    """Which checks run, and their times in seconds of header stamps.

    Attributes:
        checks: out of `NAMES`.
        frozen_after: a picture that has not changed for so long is frozen.
        covered_after: a picture blurred or blocked for so long is told so; a single one may be motion or a truck.
        future: how far a stamp may be ahead of the node's clock.
        size: expected (width, height); None = that of the first image.

    Raises:
        ConfigError: no such check, or a time that is not positive.
    """

    checks: tuple[str, ...] = NAMES
    frozen_after: float = 1.0
    covered_after: float = 1.0
    future: float = 0.5
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if unknown := [name for name in self.checks if name not in NAMES]:
            raise ConfigError(f"there is no input check {unknown[0]!r}; there are {', '.join(NAMES)}")
        for name in ("frozen_after", "covered_after", "future"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"{name} must be a positive number of seconds, got {value!r}")
