"""Thresholds of whole objects from frames without unknowns: what grows together, and how strong a seed must be."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ...errors import ConfigError
from ...model_card import Calibration, Objects
from ...pipeline.obstacles.components import strongest_seeds
from ..score_store import ScoreStore
from .risk_control import Choice, choose_threshold

PER_FRAME = 20_000
MARGIN = 1e-3
"""Thresholds of a score are compared in float32: this much above a false object's seed is above it."""


@dataclass(frozen=True)
class ObjectTarget:
    """What the thresholds must keep to on frames without unknowns.

    Attributes:
        false_frames: bound of the share of frames with a false object that stands on the ground, and of those with one
            that does not; each in (0, 1).
        grow_rate: share of the pixels above `grow`.
        seed: pixels above its threshold that an object needs.
        min_area: least number of pixels of an object, at image size, as the node has it.
        confidence: as in `risk_control`; None = in expectation.
    """

    false_frames: float = 0.01
    grow_rate: float = 0.01
    seed: int = 20
    min_area: int = 100
    confidence: float | None = None


def fit_objects(
    frames: Iterable[tuple[np.ndarray, np.ndarray]],
    target: ObjectTarget,
    ground: Iterable[int],
    calibration: Calibration,
    what: str,
) -> Calibration:
    """`calibration` with threshold and object rule chosen on frames without unknowns, by conformal risk control.

    A rule with a higher threshold finds no object that a lower one does not, because `grow` is fixed before: so the
    losses are monotone, and the bounds hold for a new frame that is like these.

    Args:
        frames: (score float32 `[H, W]`, predicted class ids uint8 `[H, W]`); read once, kept on disk meanwhile.
        target: see there.
        ground: class ids that objects stand on.
        calibration: what the rest is taken from.
        what: the frames in words, for the card.

    Raises:
        ConfigError: too few frames for the bound.
    """
    with tempfile.TemporaryDirectory(prefix="oodseg_objects_") as folder:
        store, rng, sampled = ScoreStore(folder), np.random.default_rng(0), []
        for index, (score, labels) in enumerate(frames):
            store.put(f"{index:06d}", score, labels)
            values = score[np.isfinite(score)]
            sampled.append(rng.choice(values, min(PER_FRAME, values.size), replace=False))
        if not sampled:
            raise ConfigError("calibration: there is no frame without unknowns to choose the objects' thresholds on")
        grow = float(np.quantile(np.concatenate(sampled), 1 - target.grow_rate))
        rule = Objects(grow=grow, seed=target.seed, beside=np.finfo(np.float32).max, ground=sorted(ground))
        seeds = np.array(
            [strongest_seeds(score, labels, rule, target.min_area) for _, score, labels in store], np.float64
        )
    on_ground, beside = (_choose(column, grow, target) for column in seeds.T)
    objects = rule.model_copy(update={"beside": max(beside.threshold, on_ground.threshold)})
    said = (
        f"{what}, {len(seeds)} frames without unknowns: an object grows to the score that {target.grow_rate:.2%} of "
        f"their pixels exceed; a false one on the ground in at most {target.false_frames:.2%} of the frames "
        f"(measured {on_ground.risk:.2%}), one beside it in at most as many (measured {beside.risk:.2%}), min_area "
        f"{target.min_area}. Table and histogram: {calibration.source}"
    )
    return calibration.model_copy(update={"threshold": on_ground.threshold, "objects": objects, "source": said})


def _choose(seeds: np.ndarray, grow: float, target: ObjectTarget) -> Choice:
    grid = np.unique(np.concatenate([[grow], seeds[np.isfinite(seeds)], seeds[np.isfinite(seeds)] + MARGIN]))
    # Strictly above, as the pipeline compares.
    losses = (seeds[:, None] > grid).astype(np.float64)
    return choose_threshold(losses, grid, target.false_frames, False, target.confidence)
