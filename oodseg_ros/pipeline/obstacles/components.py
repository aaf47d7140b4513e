"""Score → mask → connected groups of anomalous pixels → objects, and what these must reach: the lower threshold that
holds an alert, and the least size by distance.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np

from ...frame import GroundPosition
from ...model_card import Calibration, Objects

STRENGTH_QUANTILE = 0.9
"""A component's score is this quantile of its pixels: its strong part decides, a single hot pixel does not."""

AROUND = 0.3
"""How far an object's surroundings reach, in square roots of its area."""
FREE = 0.7
"""Share of them that is ground, from which on an object is free on it."""

_SAMPLE = 16384
# One algorithm of OpenCV's, by name: its own choice is 2.5 times slower on masks like ours.
_ALGORITHM = cv2.CCL_GRANA
_BUSY = 4000


@dataclass(frozen=True)
class Component:
    """One 8-connected group of anomalous pixels.

    Attributes:
        box: (x0, y0, x1, y1), half open.
        area: number of its pixels.
        foot: (u, v) of the middle of its lowest row.
        strength: raw score, `STRENGTH_QUANTILE` of its pixels (of those in every n-th row where they are many).
        margin: raw score by which the threshold could rise before this would be no object any more.
        core: it is the strong part of something larger that is no object.
    """

    box: tuple[int, int, int, int]
    area: int
    foot: tuple[float, float]
    strength: float
    margin: float = math.nan
    core: bool = False


def anomaly_mask(score: np.ndarray, threshold: float) -> np.ndarray:
    """uint8 `[H, W]`: 255 where the float32 score is strictly above the threshold, else 0; NaN is never above."""
    mask = (score > np.float32(threshold)).view(np.uint8)
    return np.negative(mask, out=mask)  # 1 → 255, in place


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
    return *_listed(score, kept, max_count), mask


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
    for box, area, members in _grouped(mask, min_area):
        members = _members(box, members)
        wanted = _of_size(limits, area)[_place(score, labels, ground, box, members)]
        x0, y0, x1, y1 = box
        if np.count_nonzero(score[y0:y1, x0:x1][members] > np.float32(wanted)) >= seed * area:
            kept.append((box, area, members, wanted, max(1, math.ceil(seed * area))))
    return kept


def _draw(mask: np.ndarray, groups: list[tuple[Any, ...]]) -> None:
    """Leave only these groups in the mask, in place."""
    mask[:] = 0
    for (x0, y0, x1, y1), _, members, *_ in groups:
        mask[y0:y1, x0:x1][members] = 255


class Group(NamedTuple):
    """Pixels above `grow` that hang together.

    Attributes:
        box: (x0, y0, x1, y1), half open.
        members: bool `[y1 - y0, x1 - x0]`, its pixels.
        area: number of them.
        place: 0 = free on the ground, 1 = on it, among other things, 2 = beside it.
        strength: raw score that the share `seed` of them has at least.
    """

    box: tuple[int, int, int, int]
    members: np.ndarray
    area: int
    place: int
    strength: float


def find_groups(score: np.ndarray, labels: np.ndarray, objects: Objects, min_area: int) -> Iterator[Group]:
    """What could be an object at some threshold from `grow` on. Arguments as in `find_objects`; of the rule `grow`,
    `seed` and `ground` count.
    """
    ground = np.zeros(256, bool)
    ground[objects.ground] = True
    for box, area, given in _grouped(anomaly_mask(score, objects.grow), min_area):
        members = _members(box, given)
        values = score[box[1] : box[3], box[0] : box[2]][members]
        rank = values.size - math.ceil(objects.seed * values.size)
        strength = float(np.partition(values, rank)[rank])
        yield Group(box, members, area, _place(score, labels, ground, box, members), strength)


def strongest_seeds(
    score: np.ndarray, labels: np.ndarray, objects: Objects, min_area: int
) -> tuple[float, float, float]:
    """The thresholds at and above which `find_objects` finds nothing free on the ground, nothing among other things on
    it, and nothing beside it, in a frame, by a rule without cores and `smaller`.

    -inf where it finds nothing at any threshold from `grow` on. Arguments as there.
    """
    strongest = [-math.inf, -math.inf, -math.inf]
    for group in find_groups(score, labels, objects, min_area):
        strongest[group.place] = max(strongest[group.place], group.strength)
    return strongest[0], strongest[1], strongest[2]


def last_threshold(score: np.ndarray, labels: np.ndarray, objects: Objects, min_area: int) -> float:
    """The threshold at and above which `find_objects` finds nothing at all in a frame, by the whole rule; -inf where it
    finds nothing at any from `grow` on. Arguments as there.
    """
    last = -math.inf
    needed = (-math.inf, objects.limit_among(-math.inf), objects.beside)
    for group in find_groups(score, labels, objects, min_area):
        smaller = [one for one in objects.smaller if group.area < one.share * score.size][-1:]
        free, less = next(((one.free, (one.free, one.among, one.beside)[group.place]) for one in smaller), (0.0, 0.0))
        if group.strength + less > needed[group.place]:
            last = max(last, group.strength + min(free, less))
    if (core := objects.core) is not None:
        seeds = strongest_seeds(score, labels, objects.model_copy(update={"grow": core.grow}), min_area)
        enough = (core.free, core.among, core.beside)
        last = max(last, *(seed for seed, limit in zip(seeds, enough, strict=True) if seed > limit), -math.inf)
    return last


def _place(
    score: np.ndarray, labels: np.ndarray, ground: np.ndarray, box: tuple[int, int, int, int], members: np.ndarray
) -> int:
    """0: free on the ground, 1: on it, among other things, 2: beside it. Arguments as in `stands`."""
    if not stands(score, labels, ground, box, members):
        return 2
    if not ground.any():
        return 0
    x0, y0, x1, y1 = box
    margin = max(3, round(AROUND * math.sqrt(np.count_nonzero(members))))
    rows, columns = slice(max(0, y0 - margin), y1 + margin), slice(max(0, x0 - margin), x1 + margin)
    own = np.zeros(labels[rows, columns].shape, np.uint8)
    own[y0 - rows.start :, x0 - columns.start :][: y1 - y0, : x1 - x0] = members
    around = cv2.dilate(own, np.ones((2 * margin + 1, 2 * margin + 1), np.uint8)) > own
    around &= ~np.isnan(score[rows, columns])
    share = ground[labels[rows, columns][around]]
    return 0 if np.count_nonzero(share) >= FREE * share.size else 1


def stands(
    score: np.ndarray, labels: np.ndarray, ground: np.ndarray, box: tuple[int, int, int, int], members: np.ndarray
) -> bool:
    """Whether the pixels below an object's foot are ground; true where the image ends there, or what is judged of it.

    Args:
        score: float32 `[H, W]`; where it is NaN (the own vehicle) the class says nothing about the object.
        labels: uint8 `[H, W]`, predicted class ids.
        ground: bool `[256]`, by class id; all false = everything stands.
        box: (x0, y0, x1, y1) of the object, half open.
        members: bool `[y1 - y0, x1 - x0]`, its pixels.
    """
    x0, _, _, y1 = box
    height = len(members)
    below = labels[y1 : y1 + max(3, height // 10)]
    if not below.size or not ground.any():
        return True
    columns = np.flatnonzero(members[-max(3, height // 5) :].any(axis=0))
    foot = slice(x0 + columns[0], x0 + columns[-1] + 1)
    below = below[:, foot][~np.isnan(score[y1 : y1 + len(below), foot])]
    return not below.size or bool(ground[below].mean() >= 0.5)


def find_components(
    score: np.ndarray, mask: np.ndarray, min_area: int, max_count: int, threshold: float = 0.0
) -> tuple[tuple[Component, ...], int]:
    """Components of a mask, largest first (equal ones by row, then column).

    Args:
        score: float32 `[H, W]`.
        mask: uint8 `[H, W]`, 0 or 255, of the same size.
        min_area: least number of pixels.
        max_count: the largest ones are listed.
        threshold: raw score that made the mask, for `Component.margin`.

    Returns:
        The listed components, and the number of those that were large enough but not listed.
    """
    if not cv2.countNonZero(mask):  # the usual case on a road, and ten times cheaper than looking for contours
        return (), 0
    return _listed(score, [(*group, threshold, min_area) for group in _grouped(mask, min_area)], max_count)


# box, area, members: bool [h, w] of the box, or a pair (label image of the whole mask, label) to make it from.
_Group = tuple[tuple[int, int, int, int], int, "np.ndarray | tuple[np.ndarray, int]"]


def _grouped(mask: np.ndarray, min_area: int) -> list[_Group]:
    return _by_labels(mask, min_area) if _is_busy(mask) else _by_contours(mask, min_area)


def _listed(score: np.ndarray, groups: list[tuple[Any, ...]], max_count: int) -> tuple[tuple[Component, ...], int]:
    """Groups, each with the raw score that it needed, in how many of its pixels, and whether it is a core."""
    groups.sort(key=lambda group: (-group[1], group[0][1], group[0][0], group[0][3], group[0][2]))
    listed = tuple(_component(score, *group) for group in groups[:max_count])
    return listed, len(groups) - len(listed)


def _members(box: tuple[int, int, int, int], members: np.ndarray | tuple[np.ndarray, int]) -> np.ndarray:
    if isinstance(members, np.ndarray):
        return members
    x0, y0, x1, y1 = box
    labels, index = members
    return labels[y0:y1, x0:x1] == index


def _is_busy(mask: np.ndarray) -> bool:
    """Whether every fourth row has so many edges that following contours would cost more than labeling everything."""
    rows = mask[::4]
    return mask.shape[1] > 1 and cv2.countNonZero(cv2.absdiff(rows[:, 1:], rows[:, :-1])) > _BUSY


def _by_contours(mask: np.ndarray, min_area: int) -> list[_Group]:
    """Label only inside the boxes of outer contours: most of a road is clear, and one pass over 2 MP costs 5 ms."""
    contours, hierarchy = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    outer = [contours[index] for index in np.flatnonzero(hierarchy[0, :, 3] < 0)] if contours else []
    rects = [(cv2.boundingRect(contour), contour[0, 0]) for contour in outer]
    rects = [(rect, point) for rect, point in rects if rect[2] * rect[3] >= min_area]
    if sum(rect[2] * rect[3] for rect, _ in rects) > mask.size:
        return _by_labels(mask, min_area)
    groups: list[_Group] = []
    for (x, y, width, height), point in rects:
        _, labels = cv2.connectedComponentsWithAlgorithm(mask[y : y + height, x : x + width], 8, cv2.CV_32S, _ALGORITHM)
        members = labels == labels[point[1] - y, point[0] - x]
        area = int(np.count_nonzero(members))
        if area >= min_area:
            groups.append(((x, y, x + width, y + height), area, members))
    return groups


def _by_labels(mask: np.ndarray, min_area: int) -> list[_Group]:
    _, labels, stats, _ = cv2.connectedComponentsWithStatsWithAlgorithm(mask, 8, cv2.CV_32S, _ALGORITHM)
    groups: list[_Group] = []
    for index in np.flatnonzero(stats[1:, cv2.CC_STAT_AREA] >= min_area) + 1:
        x, y, width, height, area = stats[index].tolist()
        groups.append(((x, y, x + width, y + height), area, (labels, int(index))))
    return groups


def _component(
    score: np.ndarray,
    box: tuple[int, int, int, int],
    area: int,
    members: np.ndarray | tuple[np.ndarray, int],
    wanted: float,
    needed: int,
    core: bool = False,
) -> Component:
    x0, y0, x1, y1 = box
    members = _members(box, members)
    foot = (x0 + float(np.flatnonzero(members[-1]).mean()), float(y1 - 1))
    rows = slice(None, None, max(1, area // _SAMPLE))
    values = score[y0:y1, x0:x1][rows][members[rows]]
    rank = min(len(values) - 1, int(len(values) * STRENGTH_QUANTILE))
    last = max(0, len(values) - max(1, round(needed * len(values) / area)))
    ranked = np.partition(values, (rank, last))
    return Component(box, area, foot, float(ranked[rank]), float(ranked[last]) - wanted, core)


FACTOR = 2.0
"""Twice as many inlier pixels as are above the trigger threshold may be above the release threshold."""


Table = tuple[tuple[float, float], ...]
"""(metres, pixels), metres rising; linear between, constant outside."""


def release_threshold(calibration: Calibration, threshold: float, given: float | None = None) -> float:
    """Raw score, at most `threshold`, that holds an alert: what raised it may get weaker before it is gone.

    Args:
        calibration: its inlier histogram tells how many inlier pixels are above a score; without one, or where none is
            above the threshold, there is no second threshold.
        threshold: the one that triggers.
        given: the parameter; None = as above. Above `threshold` it has no meaning and `threshold` is taken.
    """
    if given is not None:
        return min(given, threshold)
    histogram = calibration.inlier_histogram
    if histogram is None:
        return threshold
    edges = np.linspace(histogram.low, histogram.high, len(histogram.counts) + 1)
    above = np.concatenate([np.cumsum(histogram.counts[::-1])[::-1], [0]]).astype(float)
    tail = float(np.interp(threshold, edges, above))
    if tail <= 0:
        return threshold
    # `above` falls from left to right; np.interp needs it to rise.
    return min(threshold, float(np.interp(FACTOR * tail, above[::-1], edges[::-1])))


def release_rule(objects: Objects | None, threshold: float, release: float) -> Objects | None:
    """The rule that holds an alert, for `find_objects` at the threshold `release`: what raised it needed more among
    other things, beside the ground and as a core, and gets weaker by as much as one that is free before it is gone.
    """
    if objects is None:
        return None
    weaker = threshold - release
    among, beside = max(threshold, objects.limit_among(threshold)), max(threshold, objects.beside)
    core = objects.core
    if core is not None:
        limits = {name: max(threshold, getattr(core, name)) - weaker for name in ("free", "among", "beside")}
        core = core.model_copy(update=limits | {"grow": min(core.grow, *limits.values())})
    return objects.model_copy(update={"among": among - weaker, "beside": beside - weaker, "core": core})


def least_area(table: Table, otherwise: int, ground: GroundPosition | None) -> float:
    """Pixels that an obstacle needs: the least that the table asks anywhere in its range interval.

    Args:
        table: empty = `otherwise` everywhere.
        otherwise: where the position is not known.
        ground: position of the obstacle.
    """
    if not table or ground is None:
        return float(otherwise)
    metres, pixels = np.asarray(table).T
    far = ground.range_max if math.isfinite(ground.range_max) else float(metres[-1])
    inside = metres[(metres > ground.range_min) & (metres < far)]
    return float(np.interp([ground.range_min, far, *inside], metres, pixels).min())
