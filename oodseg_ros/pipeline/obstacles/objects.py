"""Connected groups of anomalous pixels → objects, by a bundle's rule: how strong what must be, by size and place."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np

from ...object_rule import Objects
from .components import Component, anomaly_mask, find_components, grouped, largest_of, members_of
from .standing import place_of


def find_objects(
    score: np.ndarray,
    labels: np.ndarray,
    threshold: float,
    objects: Objects | None,
    min_area: int,
    max_count: int,
) -> tuple[tuple[Component, ...], int, np.ndarray]:
    """The objects of one frame, as `find_components` lists them, and the mask of their pixels.

    Args:
        score: float32 `[H, W]`.
        labels: uint8 `[H, W]`, predicted class ids.
        threshold: raw score that a share `seed` of an object's pixels must be above. Where it is another one than the
            bundle's, `grow` is at most that, `among`, `beside` and what a core needs at least.
        objects: the bundle's rule; None = every group of pixels above the threshold is an object, and the mask holds
            all of those pixels, however few hang together.
        min_area: least number of pixels of an object, grown.
        max_count: the largest ones are listed.
    """
    if objects is None:
        mask = anomaly_mask(score, threshold)
        return *find_components(score, mask, min_area, max_count, threshold), mask
    grow = min(objects.grow, threshold)
    mask, limits = anomaly_mask(score, grow), _limits(objects, threshold, score.size)
    if not cv2.countNonZero(anomaly_mask(score, min(limits[-1][1]))):
        return (), 0, np.zeros_like(mask)
    ground = np.zeros(256, bool)
    ground[objects.ground] = True
    kept = _strong(score, labels, mask, limits, objects.seed, ground, min_area)
    _draw(mask, kept)
    if (core := objects.core) is not None:
        wanted = max(threshold, core.free), max(threshold, core.among), max(threshold, core.beside)
        if cv2.countNonZero(anomaly_mask(score, min(wanted))):
            rest = anomaly_mask(score, core.grow)
            rest[mask > 0] = 0
            cores = _strong(score, labels, rest, [(math.inf, wanted)], objects.seed, ground, min_area)
            _draw(rest, cores)
            mask |= rest
            kept += [(*one, True) for one in cores]
    return *largest_of(score, kept, max_count), mask


_Limits = list[tuple[float, tuple[float, float, float]]]
"""(number of pixels that an object has less than, what it needs free on the ground, among other things, beside it),
falling."""


def _limits(objects: Objects, threshold: float, pixels: int) -> _Limits:
    """What objects of each size need in a picture of so many pixels, at this threshold."""
    whole = threshold, max(threshold, objects.limit_among(threshold)), max(threshold, objects.beside)
    found: _Limits = [(math.inf, whole)]
    least = min(objects.grow, threshold)
    for one in objects.smaller:
        free = max(least, threshold - one.free)
        # Nowhere less than free on the ground, also where a threshold of the user's own is above what the others need.
        found.append((one.share * pixels, (free, max(free, whole[1] - one.among), max(free, whole[2] - one.beside))))
    return found


def _of_size(limits: _Limits, area: int) -> tuple[float, float, float]:
    return next(wanted for below, wanted in reversed(limits) if area < below)


def _strong(
    score: np.ndarray,
    labels: np.ndarray,
    mask: np.ndarray,
    limits: _Limits,
    seed: float,
    ground: np.ndarray,
    min_area: int,
) -> list[tuple[Any, ...]]:
    """Groups of the mask of which the share `seed` is above the limit of their size and place."""
    kept = []
    for box, area, members in grouped(mask, min_area):
        members = members_of(box, members)
        wanted = _of_size(limits, area)[place_of(score, labels, ground, box, members)]
        x0, y0, x1, y1 = box
        if np.count_nonzero(score[y0:y1, x0:x1][members] > np.float32(wanted)) >= seed * area:
            kept.append((box, area, members, wanted, max(1, math.ceil(seed * area))))
    return kept


def _draw(mask: np.ndarray, groups: list[tuple[Any, ...]]) -> None:
    """Leave only these groups in the mask, in place."""
    mask[:] = 0
    for (x0, y0, x1, y1), _, members, *_ in groups:
        mask[y0:y1, x0:x1][members] = 255
