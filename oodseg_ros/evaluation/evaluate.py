"""`evaluate`: one bundle (or one of its scores) on one dataset, from frames to `metrics.json`.

Leaves in the output folder `metrics.json`, `frames.csv` and, while it works, `state/` with the score maps. The folder
belongs to one run: the same command started again resumes it, another one is refused.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..datasets.dataset import Dataset
from ..datasets.encoding import mixed_labels
from ..errors import ConfigError, DatasetError
from ..inference.runner import Runner
from ..model_card import Calibration
from .classes import Classes, class_labels, open_figures
from .frame_pass import Shard, Work, plan, prepare, run_frames
from .metric_pass import Figures, anomaly_metrics, measure, notes
from .metrics.components import TRACKS, FrameComponents
from .metrics.curves import CurveFigures
from .metrics.recall import CameraMount
from .results import latency, per_image_averages, provenance, write_frames, write_json
from .score_store import ScoreStore
from .score_variant import ScoreVariant
from .vehicle import vehicle_figures

OBSTACLE_TRACK = {"road_obstacle_21", "fishyscapes_laf", "lost_and_found"}
"""Datasets of small objects on the road; the others are measured by the rule for large ones."""
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class EvaluationOptions:
    """What the user may choose.

    Attributes:
        limit: evaluate only the first frames.
        workers: threads for reading and measuring.
        track: component rule, `anomaly` or `obstacle`; None = by dataset.
        mount: pose of the dataset's camera, for recall by distance; None = not known.
        keep_scores: leave `state/` with the lossless score maps.
        shard: this process's part.
    """

    limit: int | None = None
    workers: int = 2
    track: str | None = None
    mount: CameraMount | None = None
    keep_scores: bool = False
    shard: Shard = field(default_factory=Shard)

    def __post_init__(self) -> None:
        if self.track not in (None, *TRACKS):
            raise ConfigError(f"track {self.track!r} is not one of {', '.join(TRACKS)}")


@dataclass(frozen=True)
class Evaluation:
    """What a report is made of.

    Attributes:
        metrics: the content of `metrics.json`.
        figures: pooled metrics, with one row per frame in `figures.rows`.
        curves: pooled curves, or None for a dataset of class labels.
        components: one entry per row, at the threshold of the best pixel F1; empty without one.
        work: frame name → dataset item.
        store: score maps; gone from disk once the evaluation is finished, unless kept.
        classes: the dataset's class labels, if it has any.
        calibration: the bundle's, where the score is its own; else None.
    """

    metrics: dict[str, Any]
    figures: Figures
    curves: CurveFigures | None
    components: list[FrameComponents]
    work: dict[str, Work]
    store: ScoreStore
    classes: Classes | None = None
    calibration: Calibration | None = None


def evaluate(
    runner: Runner,
    dataset: Dataset,
    out: Path,
    options: EvaluationOptions,
    progress: Progress = lambda stage, done, total: None,
    then: Callable[[Evaluation], None] = lambda evaluation: None,
) -> Evaluation | None:
    """Run, measure, write.

    Args:
        runner: a loaded bundle.
        dataset: as `datasets.registry.open_dataset` gives it.
        out: its folder, made if absent.
        options: see there.
        progress: called with (stage, done, total).
        then: called while the score maps are still on disk: reports and exports.

    Returns:
        The evaluation, or None in a process of rank above 0, whose results rank 0 puts together.

    Raises:
        DatasetError: there is no frame to evaluate, or `out` belongs to another run.
        EngineError: the engine cannot run on frames of this size.
    """
    started = time.monotonic()
    work = plan(dataset.items[: options.limit])
    if not work:
        raise DatasetError(f"dataset {dataset.name} has no frames; see the layout that `--root` must have")
    prepare(runner, dataset, options.shard.part(work))
    state = claim(out, runner, dataset, options)
    store = ScoreStore(state / "scores")
    mine = options.shard.part(work)
    total = len(mine)
    skipped = run_frames(runner, dataset, mine, store, options.workers, lambda done: progress("network", done, total))
    classes = class_labels(dataset, runner.bundle.labels)
    figures = measure(mine, store, classes, options.workers, lambda done: progress("metrics", done, total))
    figures.skipped |= skipped
    if options.shard.world > 1:
        figures.save(options.shard.file(state))
        if options.shard.rank:
            return None
        files = options.shard.wait(state)
        figures = Figures.load(files[0])
        for file in files[1:]:
            figures.merge(Figures.load(file))
    place = {entry.name: index for index, entry in enumerate(work)}
    figures.rows.sort(key=lambda row: place[row["frame"]])
    if not figures.rows:
        name, reason = next(iter(figures.skipped.items()), ("it", "no frame has ground truth"))
        raise DatasetError(f"no frame of {dataset.name} could be evaluated; {name}: {reason}")

    metrics = {
        "frames": len(figures.rows),
        "frames_in_dataset": len(dataset.items),
        "bundle": runner.bundle.id,
        "engine": runner.engine_identity,
        "score": getattr(runner.bundle, "score", "") or runner.bundle.card.network.get("score"),
        "dataset": {
            "name": dataset.name,
            "split": dataset.split,
            "kind": dataset.kind,
            "label_set": dataset.label_set,
            "layout": dataset.layout,
            "published_frames": dataset.published,
        },
    }
    curves, components = None, []
    if dataset.kind == "anomaly":
        curves, components = anomaly_metrics(
            metrics, figures, runner.bundle, store, _track(dataset, options), options.workers, options.mount
        )
        if classes is not None:
            thresholds = {"at_95_recall": metrics["pixel"]["FPR95_threshold"]}
            if "component_deployed" in metrics:
                thresholds["at_deployed_threshold"] = metrics["component_deployed"]["threshold"]
            metrics["open"] = open_figures([row["frame"] for row in figures.rows], store, classes, thresholds)
    # The threshold in the bundle belongs to its own score.
    calibration = None if isinstance(runner.bundle, ScoreVariant) else runner.bundle.card.calibration
    if calibration is not None:
        metrics["vehicle"] = vehicle_figures(
            [row["frame"] for row in figures.rows],
            store,
            calibration,
            runner.bundle.labels,
            classes,
            options.workers,
            options.mount,
        )
    if figures.semantic is not None:
        metrics["semantic"] = figures.semantic.compute(classes.labels.names)
    metrics["notes"] = [*dataset.notes, *notes(metrics, figures)]
    marks = [(row["positives"] > 0, row["void"] > 0) for row in figures.rows if "positives" in row]
    if mixed := mixed_labels(dataset.encoding, marks):
        metrics["notes"].append(mixed)
    metrics["per_image_average"] = per_image_averages(figures.rows)
    metrics["latency_ms"] = latency([row["milliseconds"] for row in figures.rows])
    metrics["skipped"] = figures.skipped
    metrics["seconds"] = time.monotonic() - started
    metrics["provenance"] = provenance(
        bundle=f"{runner.bundle.id} (weights sha256 {runner.bundle.weights_hash})", engine=runner.engine_identity
    )
    write_frames(out / "frames.csv", figures.rows)
    write_json(out / "metrics.json", metrics)
    by_name = {entry.name: entry for entry in work}
    evaluation = Evaluation(metrics, figures, curves, components, by_name, store, classes, calibration)
    then(evaluation)
    if not options.keep_scores:
        shutil.rmtree(state)
    return evaluation


def claim(out: Path, runner: Runner, dataset: Dataset, options: EvaluationOptions) -> Path:
    """The folder for what must survive an interruption; refuses one that another run has left.

    Raises:
        DatasetError: `out/state` holds frames of another bundle, engine, dataset or limit.
    """
    state = out / "state"
    state.mkdir(parents=True, exist_ok=True)
    ours = {
        "bundle": runner.bundle.id,
        "engine": runner.engine_identity,
        "dataset": dataset.name,
        "items": [entry.name for entry in plan(dataset.items[: options.limit])],
        "world": options.shard.world,
    }
    file = state / "run.json"
    if file.is_file():
        theirs = json.loads(file.read_text())
        differing = [key for key in ours if ours[key] != theirs.get(key)]
        if differing:
            raise DatasetError(
                f"{state} holds an unfinished run that differs in {', '.join(differing)}; choose another --out, "
                "or delete that folder to start anew"
            )
    write_json(file, ours)
    return state


def _track(dataset: Dataset, options: EvaluationOptions) -> str:
    return options.track or ("obstacle" if dataset.name in OBSTACLE_TRACK else "anomaly")
