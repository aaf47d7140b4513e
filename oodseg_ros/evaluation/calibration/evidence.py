"""What the strength of a candidate tells about it, from frames without unknowns and the same with pasted ones."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import numpy as np

from ...errors import ConfigError
from ...object_rule import Evidence, Objects
from ...pipeline.obstacles.objects import find_objects
from ..metrics.components import connected
from ..score_store import ScoreStore

BINS = 8
COVERED = 0.25
"""Share of an object that a candidate must cover to be its candidate."""


def fit_evidence(
    clean: Iterable[tuple[np.ndarray, np.ndarray]], pasted: ScoreStore, rule: Objects, min_area: int
) -> Evidence:
    """What the strength of a candidate tells, from frames without unknowns and frames with pasted ones.

    Args:
        clean: (score float32 `[H, W]`, predicted class ids uint8 `[H, W]`).
        pasted: see `fit_objects`.
        rule: `grow` and `seed` count.
        min_area: least number of pixels of a candidate; smaller unknowns do not count either.

    Raises:
        ConfigError: no pasted object is large enough.
    """
    # What stands beside the ground is no candidate below its own threshold, which is not lower than the ground's.
    rule = rule.model_copy(update={"among": None, "beside": np.finfo(np.float32).max})

    def strengths(score: np.ndarray, labels: np.ndarray) -> tuple[dict[tuple[int, ...], float], np.ndarray]:
        components, _, mask = find_objects(score, labels, rule.grow, rule, min_area, sys.maxsize)
        return {one.box: one.margin + rule.grow for one in components}, mask

    frames, normal = 0, []
    for score, labels in clean:
        frames += 1
        normal += list(strengths(score, labels)[0].values())
    unknown, objects = [], 0
    for name in pasted.names():
        score, label, extra = pasted.get(name)
        known, mask = strengths(score, extra["labels"])
        ids, boxes = connected(mask > 0)
        truth, _ = connected(label == 1)
        for number, area in enumerate(np.bincount(truth.ravel())):
            if number == 0 or area < min_area:
                continue
            objects += 1
            inside = np.bincount(ids[truth == number], minlength=len(boxes))
            touched = [known.get(tuple(boxes[i].tolist())) for i in np.flatnonzero(inside >= COVERED * area) if i]
            unknown += [max(found)] if (found := [value for value in touched if value is not None]) else []
    if not objects:
        raise ConfigError(f"no pasted object has {min_area} pixels or more; give other cut-outs, or larger frames")
    return _evidence(np.array(normal), np.array(unknown), objects, frames, rule.grow)


def _evidence(normal: np.ndarray, unknown: np.ndarray, objects: int, frames: int, grow: float) -> Evidence:
    """Bins with about as many unknowns in each, joined until a stronger one is never less likely to be unknown."""
    inner = np.unique(np.quantile(unknown, np.linspace(0, 1, BINS + 1)[1:-1])) if unknown.size else np.zeros(0)
    edges = np.concatenate([[grow], inner[inner > grow]])
    counts = [np.bincount(np.searchsorted(edges[1:], v, side="right"), minlength=edges.size) for v in (unknown, normal)]
    table = [list(row) for row in zip(edges.tolist(), *(count.tolist() for count in counts), strict=True)]

    def shares() -> tuple[np.ndarray, np.ndarray]:
        # One more in each bin (and among the missed), so that no bin speaks with certainty.
        some, others = (np.array([row[column] for row in table], float) for column in (1, 2))
        return (some + 1) / (objects + len(table) + 1), (others + 1) / (normal.size + len(table))

    while True:
        first, second = shares()
        falling = np.flatnonzero(np.diff(np.log(first / second)) < 0)
        if not falling.size:
            break
        place = int(falling[0])
        _, more, others = table.pop(place + 1)
        table[place][1:] = [table[place][1] + more, table[place][2] + others]
    return Evidence(
        strengths=[row[0] for row in table],
        unknown=[float(f"{share:.6g}") for share in first],
        normal=[float(f"{share:.6g}") for share in second],
        candidates=round(normal.size / max(1, frames), 4),
        source=f"{normal.size} candidates of {frames} frames; {unknown.size} of {objects} pasted objects are some",
    )
