"""Unknown objects out of drives: every object that a bundle finds, near repeats dropped, ready to be looked through."""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..errors import DatasetError, UserError, counted
from ..frame import Frame, Obstacle
from ..inference.runner import Runner
from ..pages import jpeg
from ..pipeline.camera import Judgement
from ..pipeline.geometry.ground import CameraGeometry
from ..pipeline.obstacles.objects import find_objects
from ..pipeline.obstacles.release import release_rule, release_threshold
from ..replay.judge import judge, settings_of
from ..replay.recorded import open_recorded
from ..replay.recorded_bag import RecordedBag
from ..replay.summary import refuse_unjudged
from ..sources.bag_messages import ReplayBag
from ..sources.image_bytes import decode_image
from ..sources.video_packets import stamp_of
from .features import ObjectFeatures

PLACES = {"nav_msgs/msg/Odometry": "odometry", "sensor_msgs/msg/NavSatFix": "gps"}
NEAREST_NS = 1_000_000_000
"""A position counts for a frame if it is at most this far away in time."""


@dataclass(frozen=True)
class Picture:
    """A frame with objects: where it comes from (`source`: as in `source_names`; `file`: its name in a folder, else
    empty), its pixels as JPEG, and the place of the vehicle if the bag tells.
    """

    source: str
    camera: str
    stamp_ns: int
    number: int
    jpeg: bytes
    place: dict[str, Any]
    file: str = ""


@dataclass
class Found:
    """One object in one picture.

    Attributes:
        mask: bool, of the box only.
        track: the same for one thing over the frames of a drive.
        repeats: objects that were dropped because they look like this one.
    """

    picture: Picture
    obstacle: Obstacle
    mask: np.ndarray
    track: str
    repeats: int = 0

    @property
    def full_mask(self) -> np.ndarray:
        """bool `[H, W]` of the picture."""
        height, width = self.image.shape[:2]
        full = np.zeros((height, width), bool)
        x0, y0, x1, y1 = self.obstacle.box
        full[y0:y1, x0:x1] = self.mask
        return full

    @property
    def image(self) -> np.ndarray:
        return decode_image(self.picture.jpeg)


@dataclass
class Collection:
    """What was gathered.

    Attributes:
        kept: the objects to look through, largest and surest first.
        pictures: all objects of every picture that has a kept one: what is not kept there is a near repeat.
        seen: objects that were found in them.
        skipped: frames without a judgement, by reason.
        damage: what of the sources could not be read.
        notes: what a reader must know of the others.
    """

    kept: list[Found] = field(default_factory=list)
    pictures: dict[tuple[str, str, int], list[Found]] = field(default_factory=dict)
    frames: int = 0
    seen: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    damage: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def collect(
    runner: Runner,
    inputs: Sequence[Path],
    *,
    params: Mapping[str, Any],
    topics: list[str] | None = None,
    similar: float = 0.6,
    per_track: int = 3,
    most: int = 500,
    limit: int | None = None,
    geometry: Callable[[Frame], CameraGeometry | None] | None = None,
    progress: Callable[[str, int], None] = lambda name, done: None,
) -> Collection:
    """Judge every frame and keep the objects that differ.

    Args:
        inputs: bags (also of the recorder), folders that `oodseg replay` left, videos, images, folders of images.
        topics: image topics of bags; None = one per camera.
        similar: objects whose features have at least this cosine are near repeats, -1 to 1; 1 keeps all.
        per_track: objects that are looked at per track, the largest ones.
        geometry: of the cameras, in place of a bag's calibrations; None = those, and elsewhere objects have no range.
        progress: called with (input, frames so far).

    Raises:
        UserError: an input cannot be read.
    """
    gathered = Collection()
    tracks: dict[str, list[Found]] = {}
    for path, name in source_names(inputs).items():
        for found in _frames(runner, _bag_of(path), name, params, topics, limit, geometry, gathered, progress):
            gathered.pictures[_key(found[0].picture)] = found
            for one in found:
                best = tracks.setdefault(one.track, [])
                best.append(one)
                best.sort(key=_worth, reverse=True)
                del best[per_track:]
        wanted = {_key(one.picture) for best in tracks.values() for one in best}
        gathered.pictures = {key: found for key, found in gathered.pictures.items() if key in wanted}
    if not gathered.frames:
        raise DatasetError("the inputs hold no frame: " + ("; ".join(gathered.damage) or "they are empty"))
    refuse_unjudged("the inputs", gathered.frames - gathered.skipped.total(), gathered.skipped)
    _keep_different(runner, [one for best in tracks.values() for one in best], gathered, similar, most)
    wanted = {_key(one.picture) for one in gathered.kept}
    gathered.pictures = {key: found for key, found in gathered.pictures.items() if key in wanted}
    return gathered


def source_names(paths: Sequence[Path]) -> dict[Path, str]:
    """How the pictures of each input tell where they are from: its last name, with as many of the folders above it as
    it takes to tell it from the others. An input that was given twice counts once.
    """
    whole = {path.resolve(): path for path in paths}
    names = {}
    for full, path in whole.items():
        tails = ["/".join(full.parts[-depth:]) for depth in range(1, len(full.parts))] or [full.name]
        others = [f"/{other}" for other in whole if other != full]
        names[path] = next((tail for tail in tails if not any(one.endswith(f"/{tail}") for one in others)), tails[-1])
    return names


def _keep_different(runner: Runner, candidates: list[Found], gathered: Collection, similar: float, most: int) -> None:
    features = ObjectFeatures(runner.bundle) if similar < 1 else None
    vectors: list[np.ndarray] = []
    for one in sorted(candidates, key=_worth, reverse=True):
        if features is not None:
            vector = features(one.image, one.full_mask)
            likeness = np.array(vectors) @ vector if vectors else np.empty(0)
            if likeness.size and likeness.max() >= similar:
                gathered.kept[int(likeness.argmax())].repeats += 1
                continue
        if len(gathered.kept) < most:
            gathered.kept.append(one)
            if features is not None:
                vectors.append(vector)


def _frames(
    runner: Runner,
    path: Path,
    name: str,
    params: Mapping[str, Any],
    topics: list[str] | None,
    limit: int | None,
    geometry: Callable[[Frame], CameraGeometry | None] | None,
    gathered: Collection,
    progress: Callable[[str, int], None],
) -> Iterator[list[Found]]:
    """The objects of every frame that has some."""
    recorded = open_recorded(path, topics, params, geometry)
    sequential = recorded.sequential
    settings, notes = settings_of(params, recorded.cameras)
    places = _places(recorded.bag if isinstance(recorded, RecordedBag) else None)
    calibration = runner.bundle.card.calibration
    for judged in judge(runner, recorded, settings, limit, sequential):
        gathered.frames += 1
        progress(name, judged.number + 1)
        frame, judgement = judged.step.frame, judged.step.judgement
        if judged.trouble is not None or frame is None or judgement is None:
            gathered.skipped[f"{name}, {judged.trouble}"] += 1
        elif judgement.obstacles:
            still = "" if sequential else f"#{judged.number}"
            place = places(frame.stamp_ns)
            file = "" if sequential else frame.file
            picture = Picture(name, frame.camera, frame.stamp_ns, judged.number, jpeg(frame.image, 95), place, file)
            release = release_threshold(calibration, judgement.threshold, settings.obstacles.release_threshold)
            track = f"{name}/{frame.camera}{still}"
            gathered.seen += len(judgement.obstacles)
            yield [
                Found(picture, one, _mask_of(judgement, one, release), f"{track}/{one.track_id}")
                for one in judgement.obstacles
            ]
    gathered.notes += [f"{name}: {note}" for note in (*notes, *recorded.notes)]
    lost = [recorded.damage] if recorded.damage else []
    lost += [f"{recorded.missing} frames are missing"] if recorded.missing else []
    lost += counted(recorded.skipped, 3)
    gathered.damage += [f"{name}: {text}" for text in lost]


def _bag_of(path: Path) -> Path:
    """The bag that `oodseg replay --write-bag` left in its folder; anything else as it is."""
    return path / "bag" if (path / "bag" / "metadata.yaml").is_file() else path


def _mask_of(judgement: Judgement, obstacle: Obstacle, release: float) -> np.ndarray:
    """The pixels of an obstacle; bool, of its box.

    An alert that was raised is held by weaker objects than the mask shows: of the two masks that of its area counts.
    """
    x0, y0, x1, y1 = obstacle.box
    answer = judgement.prediction
    rule = release_rule(judgement.calibration.objects, judgement.threshold, release)
    masks = judgement.mask, find_objects(answer.score, answer.labels, release, rule, obstacle.area, 1)[2]
    parts = []
    for mask in masks:
        count, ids, stats, _ = cv2.connectedComponentsWithStats(mask[y0:y1, x0:x1], connectivity=8)
        parts += [(int(stats[index, cv2.CC_STAT_AREA]), ids == index) for index in range(1, count)]
    return min(parts, key=lambda part: abs(part[0] - obstacle.area))[1]


def _places(bag: ReplayBag | None) -> Callable[[int], dict[str, Any]]:
    """Where the vehicle was at a time in nanoseconds; empty where the bag does not tell."""
    if bag is None:
        return lambda stamp: {}
    topics = {topic for topic, kind in bag.topics.items() if kind in PLACES}
    known: dict[str, list[tuple[int, tuple[float, ...]]]] = {}
    for raw in bag.messages(topics) if topics else ():
        try:
            message = bag.parse(raw)
        except UserError:
            continue
        stamp = stamp_of(message)[0] or raw.log_ns
        if PLACES[raw.kind] == "odometry":
            at = message.pose.pose.position
            values = (at.x, at.y, at.z)
        else:
            values = (message.latitude, message.longitude)
        if np.isfinite(values).all():
            known.setdefault(PLACES[raw.kind], []).append((stamp, values))
    for entries in known.values():
        entries.sort()

    def at(stamp: int) -> dict[str, Any]:
        result = {}
        for kind, entries in known.items():
            index = bisect.bisect(entries, (stamp,))
            near = min(entries[max(0, index - 1) : index + 1], key=lambda entry: abs(entry[0] - stamp))
            if abs(near[0] - stamp) <= NEAREST_NS:
                result[kind] = [round(value, 7) for value in near[1]]
        return result

    return at


def _key(picture: Picture) -> tuple[str, str, int]:
    return picture.source, picture.camera, picture.number


def _worth(one: Found) -> float:
    return one.obstacle.score * one.obstacle.area
