"""What the thresholds of whole objects must keep to."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import ConfigError
from ...object_rule import MOST_SIZES

MARGIN = 1e-3
"""Raw score by which a limit lies above what chose it: another processor sums in another order, and may find that a
little stronger.
"""
SIZES = (1 / 64, 1 / 256, 1 / 1024)
"""Shares of a picture: an eighth, a sixteenth and a thirty-second of its sides."""


@dataclass(frozen=True)
class ObjectTarget:
    """What the thresholds must keep to on frames without unknowns.

    Attributes:
        false_frames: bound of the share of frames with a false object that is free on the ground, in (0, 1).
        false_elsewhere: the same for one that stands on it among other things, and for one beside it; None =
            `false_frames`.
        grow_rate: share of the pixels above `grow`.
        core_rate: the same for cores, below `grow_rate`; 0 = no cores.
        sizes: shares of the picture, falling: objects that have less of its pixels have limits of their own, those that
            find most pasted unknowns; the bounds hold for all sizes together. Empty = one limit for all.
        seed: share of an object's pixels that must be above its threshold.
        min_area: least number of pixels of an object, at image size, as the node has it.
        confidence: as in `risk_control`; None = in expectation.
        coherence: of the published scores (`object_rule.Objects`), in [0, 1).

    Raises:
        ConfigError: a number is outside of its range.
    """

    false_frames: float = 0.01
    false_elsewhere: float | None = None
    grow_rate: float = 0.02
    core_rate: float = 0.001
    sizes: tuple[float, ...] = SIZES
    seed: float = 0.5
    min_area: int = 100
    confidence: float | None = None
    coherence: float = 0.7

    def __post_init__(self) -> None:
        bounds = {"the bound of false frames": self.false_frames, "the bound elsewhere": self.bounds[1]}
        inside = bounds | {"the share of pixels that grow": self.grow_rate}
        if self.confidence is not None:
            inside["the confidence"] = self.confidence
        for what, value in inside.items():
            if not 0 < value < 1:
                raise ConfigError(f"{what} must lie between 0 and 1, got {value:g}")
        if not 0 <= self.core_rate < self.grow_rate:
            raise ConfigError(
                f"cores are the stronger part of what grows: their share of the pixels must be below "
                f"{self.grow_rate:g}, or 0 for none, got {self.core_rate:g}"
            )
        if list(self.sizes) != sorted(set(self.sizes), reverse=True) or not all(0 < size < 1 for size in self.sizes):
            shown = ", ".join(f"{size:g}" for size in self.sizes)
            raise ConfigError(f"sizes are falling shares of a picture, each between 0 and 1, got {shown}")
        if len(self.sizes) > MOST_SIZES:
            raise ConfigError(f"at most {MOST_SIZES} sizes have limits of their own, got {len(self.sizes)}")
        if not 0 < self.seed <= 1:
            raise ConfigError(f"the share of an object's pixels (seed) must lie in (0, 1], got {self.seed:g}")
        if not 0 <= self.coherence < 1:
            raise ConfigError(f"the coherence must be at least 0 and below 1, got {self.coherence:g}")
        if self.min_area < 1:
            raise ConfigError(f"min_area must be at least 1, got {self.min_area}")

    @property
    def bounds(self) -> tuple[float, float, float]:
        """For an object free on the ground, among other things on it, and beside it."""
        elsewhere = self.false_frames if self.false_elsewhere is None else self.false_elsewhere
        return self.false_frames, elsewhere, elsewhere
