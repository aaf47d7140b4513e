"""Before a rollout: two bundles on the same drives and the same labelled frames, and all that differs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..datasets.dataset import Dataset
from ..evaluation.evaluate import Evaluation, EvaluationOptions, evaluate
from ..inference.runner import Runner
from ..paths import plain, write_json
from ..replay.run import ReplayOptions, replay_bags
from ..replay.summary import refuse_unjudged
from ..sources.open_source import open_source
from .alerts import KINDS, Change, Row, changes, read_rows
from .figures import FrameCounts, compare_counts, count_frames

Progress = Callable[[str, int, int | None], None]
SIDES = ("old", "new")
MAX_PICTURES = 60


@dataclass(frozen=True)
class DriveChange:
    """A change of the alerts of one drive, with its picture (RGB uint8 `[H, W, 3]`) where it could be read."""

    drive: str
    change: Change
    rows: tuple[Row | None, Row | None]
    image: np.ndarray | None = None


@dataclass
class Comparison:
    """All that differs.

    Attributes:
        bundles, thresholds: ids and raw thresholds, old and new; the same weights can have another threshold.
        figures: per dataset: see `figures.compare_counts`.
        alerts: number of alerts of old and new, and of those that appeared, disappeared, moved, changed (at the same
            time, an object in one only) or are the same; `objects_lost` and `objects_gained`: objects in alerts of one
            that no alert of the other has.
        unknown_frames: share of frames that were UNKNOWN, old and new.
        differences: in time order, drive by drive.
        notes: what a reader must know, e.g. damage.
    """

    bundles: tuple[str, str]
    thresholds: tuple[float, float]
    figures: dict[str, dict[str, Any]] = field(default_factory=dict)
    alerts: dict[str, int] = field(default_factory=dict)
    hours: float = 0.0
    unknown_frames: dict[str, float] = field(default_factory=dict)
    differences: list[DriveChange] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def values(self) -> dict[str, Any]:
        """Name → value, as rules ask for them."""
        flat = {f"{figure}.{part}": value for figure, parts in self.figures.items() for part, value in parts.items()}
        flat |= {f"alerts.{kind}": count for kind, count in self.alerts.items()}
        return flat | {f"unknown_frames.{part}": value for part, value in self.unknown_frames.items()}

    def to_dict(self) -> dict[str, Any]:
        """For `comparison.json`."""
        return plain(
            {
                "bundles": dict(zip(SIDES, self.bundles, strict=True)),
                "thresholds": dict(zip(SIDES, self.thresholds, strict=True)),
                "figures": self.figures,
                "alerts": self.alerts,
                "hours": self.hours,
                "unknown_frames": self.unknown_frames,
                "differences": [
                    {
                        **{"drive": one.drive, "kind": one.change.kind, "camera": one.change.first.camera},
                        **{"stamp_ns": one.change.first.stamp_ns, "frame": one.change.first.frame},
                        **{"begins_s": one.change.begins_s, "ends_s": one.change.ends_s},
                        **{"objects_lost": len(one.change.lost), "objects_gained": len(one.change.gained)},
                    }
                    for one in self.differences
                ],
                "notes": self.notes,
            }
        )


def compare(
    runners: tuple[Runner, Runner],
    out: Path,
    *,
    bags: Sequence[Path] = (),
    dataset: Dataset | None = None,
    options: ReplayOptions | None = None,
    tolerance_s: float = 0.0,
    limit: int | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> Comparison:
    """Replay the bags and evaluate the dataset with both bundles; leaves their own results in `out/old`, `out/new`.

    Args:
        runners: old and new.
        options: of the replays, for both the same.
        tolerance_s: by so much an alert may begin or end elsewhere and still be the same.
        progress: called with (stage, done, total or None).

    Raises:
        UserError: a bag or the dataset cannot be read.
    """
    first, second = (runner.bundle for runner in runners)
    thresholds = first.card.calibration.threshold, second.card.calibration.threshold
    result = Comparison((first.id, second.id), thresholds)
    looks = [bundle.card.calibration.second_look for bundle in (first, second)]
    if looks[0] != looks[1]:
        told = ["none" if look is None else look.words for look in looks]
        result.notes.append("the second look differs, old: {}; new: {}".format(*told))
    rules = [bundle.card.calibration.objects for bundle in (first, second)]
    shares = [0.0 if rule is None else rule.coherence for rule in rules]
    if shares[0] != shares[1]:
        result.notes.append("the coherence of published scores differs, old: {:g}; new: {:g}".format(*shares))
    if bags:
        _drives(runners, out, bags, options or ReplayOptions(), tolerance_s, result, progress)
    if dataset is not None:
        _frames(runners, out, dataset, limit, result, progress)
    write_json(out / "comparison.json", result.to_dict())
    return result


def _drives(
    runners: tuple[Runner, Runner],
    out: Path,
    bags: Sequence[Path],
    options: ReplayOptions,
    tolerance_s: float,
    result: Comparison,
    progress: Progress,
) -> None:
    counts = dict.fromkeys((*SIDES, *KINDS, "same", "objects_lost", "objects_gained"), 0)
    states: dict[str, list[str]] = {side: [] for side in SIDES}
    for number, bag in enumerate(bags):
        rows, judged = {}, 0
        for side, runner in zip(SIDES, runners, strict=True):
            folder = out / side / f"{number:03d}_{bag.stem}"
            metrics = replay_bags(
                runner, [bag], folder, options, lambda name, done, side=side: progress(f"{side}: {name}", done, None)
            )
            rows[side] = read_rows(folder / "alerts.csv")
            states[side] += [row.state for row in rows[side]]
            counts[side] += metrics["alerts"]["onsets"]
            judged += metrics["judged"]
            notes = [f"{bag.name}: {metrics['damage']}"] if metrics["damage"] else []
            notes += [f"{bag.name}: {metrics['missing']} frames are missing"] if metrics["missing"] else []
            result.notes += [note for note in notes if note not in result.notes]
            for reason, count in metrics["skipped"].items():
                result.notes.append(f"{bag.name}, {side}: {count} frames without a judgement ({reason})")
        refuse_unjudged(bag.name, judged, metrics["skipped"])
        result.hours += metrics["duration_s"] / 3600
        found, same = changes(rows["old"], rows["new"], tolerance_s)
        counts["same"] += same
        for change in found:
            counts[change.kind] += 1
            counts["objects_lost"] += len(change.lost)
            counts["objects_gained"] += len(change.gained)
        result.differences += _with_pictures(bag, options.topics, found, rows["old"], rows["new"])
    result.alerts = counts
    shares = {side: states[side].count("UNKNOWN") / max(1, len(states[side])) for side in SIDES}
    result.unknown_frames = shares | {"change": shares["new"] - shares["old"]}


def _with_pictures(
    bag: Path, topics: list[str] | None, found: list[Change], old: list[Row], new: list[Row]
) -> list[DriveChange]:
    wanted = {(change.first.camera, change.first.stamp_ns) for change in found[:MAX_PICTURES]}
    pictures = {}
    for frame in open_source(bag, topics) if wanted else ():
        if (frame.camera, frame.stamp_ns) in wanted:
            pictures[frame.camera, frame.stamp_ns] = frame.image
            if len(pictures) == len(wanted):
                break
    by_stamp = [{(row.camera, row.stamp_ns): row for row in rows} for rows in (old, new)]
    result = []
    for change in found:
        key = (change.first.camera, change.first.stamp_ns)
        rows = (by_stamp[0].get(key), by_stamp[1].get(key))
        result.append(DriveChange(bag.name, change, rows, pictures.get(key)))
    return result


def _frames(
    runners: tuple[Runner, Runner],
    out: Path,
    dataset: Dataset,
    limit: int | None,
    result: Comparison,
    progress: Progress,
) -> None:
    counts: list[FrameCounts] = []
    metrics = []
    for side, runner in zip(SIDES, runners, strict=True):
        bundle = runner.bundle

        def keep(evaluation: Evaluation, bundle: Any = bundle) -> None:
            if dataset.kind == "anomaly":
                names = [row["frame"] for row in evaluation.figures.rows]
                stores = evaluation.store, evaluation.own
                counts.append(count_frames(names, *stores, bundle.card.calibration, bundle.labels))

        evaluation = evaluate(
            runner,
            dataset,
            out / side / "dataset",
            EvaluationOptions(limit=limit),
            lambda stage, done, total, side=side: progress(f"{side}: {dataset.name}, {stage}", done, total),
            keep,
        )
        metrics.append(evaluation.metrics)
        for name, why in evaluation.metrics["skipped"].items():
            result.notes.append(f"{dataset.name}, {side}: {name} left out ({why})")
    if counts:
        result.figures = compare_counts(*counts)
    if "semantic" in metrics[0]:
        before, after = (entry["semantic"]["mIoU"] for entry in metrics)
        result.figures["mIoU"] = {"old": before, "new": after, "change": after - before, "frames": metrics[0]["frames"]}
