"""What a vehicle gets: whole objects at the bundle's own threshold, made as the node makes them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from ..labels import LabelSet
from ..model_card import Calibration
from ..pipeline.obstacles.objects import find_objects
from ..pipeline.obstacles.standing import stands
from .classes import Classes
from .frame_pass import ahead
from .metrics.components import DETECTED, TRACKS, FrameComponents, connected, frame_components
from .metrics.recall import CameraMount, by_distance, by_size
from .score_store import ScoreStore

TRACK = "vehicle"
LARGE = 1600
"""Pixels of a true object from which on its fragments are counted: smaller ones are hardly ever found in two."""


def frame_objects(
    score: np.ndarray, labels: np.ndarray, truth: np.ndarray, calibration: Calibration, ground: np.ndarray
) -> tuple[FrameComponents, list[bool]]:
    """The true objects of a frame against the predicted ones; and for each predicted one that touches no true one
    (and is not void for the most part) whether it stands on the ground.

    Args:
        score: float32 `[H, W]`.
        labels: uint8 `[H, W]`, predicted class ids.
        truth: uint8 `[H, W]`, 0 normal, 1 anomaly, 255 void.
        calibration: threshold and object rule.
        ground: bool `[256]`, class ids of the ground.
    """
    least = TRACKS[TRACK].predicted
    _, _, mask = find_objects(score, labels, calibration.threshold, calibration.objects, least, 1)
    ids, boxes = connected(mask > 0)
    pixels = np.bincount(ids.ravel(), minlength=len(boxes))
    large = pixels >= least
    large[0] = False
    judged = frame_components(score, truth, calibration.threshold, TRACK, predicted=large[ids])
    true = np.bincount(ids[truth == 1], minlength=len(boxes))
    void = np.bincount(ids[truth == 255], minlength=len(boxes))
    false = []
    for index in np.flatnonzero(large & (true == 0) & (2 * void < pixels)):
        x0, y0, x1, y1 = box = tuple(boxes[index].tolist())
        false.append(stands(score, labels, ground, box, ids[y0:y1, x0:x1] == index))
    return judged, false


def vehicle_figures(
    names: Sequence[str],
    store: ScoreStore,
    calibration: Calibration,
    labels: LabelSet,
    classes: Classes | None,
    workers: int = 2,
    mount: CameraMount | None = None,
) -> dict[str, Any]:
    """Figures over stored frames, for `metrics.json`.

    Args:
        names: frames in the store.
        store: score, truth, and by name `labels` (predicted).
        calibration, labels: the bundle's.
        classes: of a dataset of class labels, in which everything is known and every object is false; else None.
        mount: pose of the dataset's camera, for objects by distance.

    Returns:
        threshold and rule; true objects, the share found (sIoU ≥ 0.25), by size and distance; predicted objects per
        touched true one of at least `LARGE` pixels; false objects per frame and share of frames with one, on the ground
        and beside it, nan where the label set tells no ground. These are of the frames with a judged pixel: in the
        others (`frames_not_judged`, void or without a score throughout) nothing can be false.
    """
    ground = np.zeros(256, bool)
    ground[labels.ground_ids()] = True

    def one(name: str) -> tuple[FrameComponents, list[bool], tuple[int, int], bool]:
        score, truth, extra = store.get(name)
        if classes is not None and classes.instead:
            truth = np.where(classes.truth[truth] == 255, 255, 0).astype(np.uint8)
        judged = bool(((truth != 255) & ~np.isnan(score)).any())
        return *frame_objects(score, extra["labels"], truth, calibration, ground), score.shape, judged

    with ThreadPoolExecutor(max(1, workers)) as pool:
        frames = list(ahead(pool, one, names, 2 * workers))
    components = [frame[0] for frame in frames]
    siou, area, fragments = (
        np.concatenate([getattr(frame, key) for frame in components]) for key in ("siou", "truth_area", "fragments")
    )
    broken = fragments[(area >= LARGE) & (fragments > 0)]
    rows = [[sum(false), len(false) - sum(false)] for _, false, _, judged in frames if judged]
    standing = np.reshape(rows, (-1, 2))
    rule = calibration.objects
    found: dict[str, Any] = {
        "threshold": calibration.threshold,
        "rule": None if rule is None else rule.model_dump(),
        "min_area": TRACKS[TRACK].predicted,
        "frames": len(frames),
        "frames_not_judged": len(frames) - len(rows),
        "objects": int(siou.size),
        "found": float((siou >= DETECTED).mean()) if siou.size else float("nan"),
        "found_by_size": by_size(components),
        "fragments_per_object": float(broken.mean()) if broken.size else float("nan"),
    }
    if mount is not None:
        found["found_by_distance"] = by_distance(components, [frame[2] for frame in frames], mount)
    known = bool(rows) and ground.any()
    for place, column in zip(("on_ground", "beside"), standing.T, strict=True):
        # Without a class of the ground nothing stands on it, and "beside" would say what nobody knows.
        found[f"false_{place}_per_frame"] = float(column.mean()) if known else float("nan")
        found[f"frames_with_false_{place}"] = float((column > 0).mean()) if known else float("nan")
    return found
