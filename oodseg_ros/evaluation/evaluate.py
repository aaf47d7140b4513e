"""`evaluate`: one bundle on one dataset, one or several of its scores from one pass, from frames to `metrics.json`.

Leaves in the output folder of each score `metrics.json`, `frames.csv` and, while it works, `state/` with the score
maps. The folder belongs to one run: the same command started again resumes it, another one is refused.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..bundle import Bundle
from ..datasets.dataset import Dataset
from ..datasets.encoding import mixed_labels
from ..errors import ConfigError, DatasetError, listed
from ..inference.runner import Runner
from ..model_card import Calibration
from ..object_rule import Objects
from ..paths import write_json
from .classes import Classes, class_labels, open_figures
from .frame_pass import Shard, Work, plan, prepare, run_frames
from .metric_pass import Figures, anomaly_metrics, measure, notes
from .metrics.components import TRACKS, FrameComponents
from .metrics.curves import CurveFigures
from .metrics.recall import CameraMount
from .results import distribution, per_image_averages, provenance, write_frames
from .score_store import CoherentStore, ScoreStore
from .score_variant import ScoreVariant
from .vehicle import TRACK, vehicle_figures

OBSTACLE_TRACK = {"road_obstacle_21", "fishyscapes_laf", "lost_and_found"}
"""Datasets of small objects on the road; the others are measured by the rule for large ones."""
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class EvaluationOptions:
    """What the user may choose.

    Attributes:
        track: component rule, a key of `TRACKS`; None = by dataset.
        mount: pose of the dataset's camera, for recall by distance; None = not known.
        keep_scores: leave `state/` with the lossless score maps.
        coherence: of the bundle's own score (`object_rule.Objects`), in [0, 1); None = as the bundle publishes it.
    """

    limit: int | None = None
    workers: int = 2
    track: str | None = None
    mount: CameraMount | None = None
    keep_scores: bool = False
    coherence: float | None = None
    shard: Shard = field(default_factory=Shard)

    def __post_init__(self) -> None:
        if self.track not in (None, *TRACKS):
            raise ConfigError(f"track {self.track!r} is not one of {', '.join(TRACKS)}")
        if self.coherence is not None and not 0 <= self.coherence < 1:
            raise ConfigError(f"the coherence must be at least 0 and below 1, got {self.coherence:g}")


@dataclass(frozen=True)
class Evaluation:
    """What a report is made of.

    Attributes:
        figures: pooled metrics, with one row per frame in `figures.rows`.
        curves: pooled curves, or None for a dataset of class labels.
        components: one entry per row, at the threshold of the best pixel F1; empty without one.
        work: frame name → dataset item.
        store: score maps as they are published, of which all figures of pixels are; gone from disk once the evaluation
            is finished, unless kept.
        own: the same frames with the network's own scores, which objects are decided on.
        classes: the dataset's class labels, if it has any.
        calibration: the bundle's, where the score is its own; else None.
    """

    metrics: dict[str, Any]
    figures: Figures
    curves: CurveFigures | None
    components: list[FrameComponents]
    work: dict[str, Work]
    store: ScoreStore
    own: ScoreStore
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
    """`evaluate_scores` of a bundle with one score; None in a process of rank above 0.

    Args:
        out: its folder, made if absent.
    """
    found = evaluate_scores(runner, dataset, [(runner.bundle, out)], options, progress, then)
    return found[0] if found else None


def evaluate_scores(
    runner: Runner,
    dataset: Dataset,
    outs: Sequence[tuple[Bundle, Path]],
    options: EvaluationOptions,
    progress: Progress = lambda stage, done, total: None,
    then: Callable[[Evaluation], None] = lambda evaluation: None,
) -> list[Evaluation]:
    """Run once, measure and write every score.

    Args:
        dataset: as `datasets.registry.open_dataset` gives it.
        outs: for each score that the bundle gives, the variant that has it alone and its folder, made if absent.
        progress: called with (stage, done, total).
        then: called with each evaluation while the score maps are still on disk: reports and exports.

    Returns:
        One evaluation per score; none in a process of rank above 0, whose results rank 0 puts together.

    Raises:
        ConfigError: a coherence for a bundle without a rule of objects.
        DatasetError: there is no frame to evaluate, or `out` belongs to another run.
        EngineError: the engine cannot run on frames of this size.
    """
    started = time.monotonic()
    work = plan(dataset.items[: options.limit])
    if not work:
        raise DatasetError(f"dataset {dataset.name} has no frames; see the layout that `--root` must have")
    rules = [_published(variant, options) for variant, _ in outs]
    mine = options.shard.part(work)
    prepare(runner, dataset, mine)
    engine = runner.engine_identity
    states = [claim(out, variant, engine, dataset, options) for variant, out in outs]
    stores = [ScoreStore(state / "scores") for state in states]
    total = len(mine)
    skipped = run_frames(runner, dataset, mine, stores, options.workers, lambda done: progress("network", done, total))
    classes = class_labels(dataset, runner.bundle.labels)
    measured = []
    for index, (store, rule, state) in enumerate(zip(stores, rules, states, strict=True)):

        def tell(done: int, before: int = index * total) -> None:
            progress("metrics", before + done, total * len(stores))

        figures = measure(mine, _coherent(store, rule), classes, options.workers, tell)
        figures.skipped |= skipped
        if options.shard.world > 1:
            figures.save(options.shard.file(state))
        measured.append(figures)
    if options.shard.rank:
        return []
    evaluations = []
    for (variant, out), rule, state, store, figures in zip(outs, rules, states, stores, measured, strict=True):
        if options.shard.world > 1:
            files = options.shard.wait(state)
            figures = Figures.load(files[0])
            for file in files[1:]:
                figures.merge(Figures.load(file))
        evaluation = _conclude(
            variant, rule, engine, dataset, work, store, classes, figures, options, len(outs), started
        )
        write_frames(out / "frames.csv", evaluation.figures.rows)
        write_json(out / "metrics.json", evaluation.metrics)
        then(evaluation)
        if not options.keep_scores:
            shutil.rmtree(state)
        evaluations.append(evaluation)
    return evaluations


def _conclude(
    bundle: Bundle,
    rule: Objects | None,
    engine: str,
    dataset: Dataset,
    work: list[Work],
    store: ScoreStore,
    classes: Classes | None,
    figures: Figures,
    options: EvaluationOptions,
    together: int,
    started: float,
) -> Evaluation:
    """The figures of one score, which `rule` makes coherent; `together` scores came out of the same pass."""
    place = {entry.name: index for index, entry in enumerate(work)}
    figures.rows.sort(key=lambda row: place[row["frame"]])
    if not figures.rows:
        name, reason = next(iter(figures.skipped.items()), ("it", "no frame has ground truth"))
        raise DatasetError(f"no frame of {dataset.name} could be evaluated; {name}: {reason}")

    metrics = {
        "frames": len(figures.rows),
        "frames_in_dataset": len(dataset.items),
        "bundle": bundle.id,
        "engine": engine,
        "score": bundle.card.network.get("score"),
        "coherence": 0.0 if rule is None else rule.coherence,
        "second_look": _second_look(bundle),
        "dataset": {
            "name": dataset.name,
            "split": dataset.split,
            "kind": dataset.kind,
            "label_set": dataset.label_set,
            "layout": dataset.layout,
            "published_frames": dataset.published,
        },
    }
    curves, components, published = None, [], _coherent(store, rule)
    if dataset.kind == "anomaly":
        track = options.track or ("obstacle" if dataset.name in OBSTACLE_TRACK else "anomaly")
        stores = published, store
        curves, components = anomaly_metrics(metrics, figures, bundle, *stores, track, options.workers, options.mount)
        if classes is not None:
            thresholds = {"at_95_recall": metrics["pixel"]["FPR95_threshold"]}
            if "component_deployed" in metrics:
                thresholds["at_deployed_threshold"] = metrics["component_deployed"]["threshold"]
            metrics["open"] = open_figures([row["frame"] for row in figures.rows], published, classes, thresholds)
    # The threshold in the bundle belongs to its own score.
    calibration = None if isinstance(bundle, ScoreVariant) else bundle.card.calibration
    if calibration is not None:
        metrics["vehicle"] = vehicle_figures(
            [row["frame"] for row in figures.rows],
            store,
            calibration,
            bundle.labels,
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
    if together > 1:
        metrics["notes"].append(f"{together} scores came from one pass; latency and seconds are those of all together.")
    metrics["per_image_average"] = per_image_averages(figures.rows)
    metrics["latency_ms"] = distribution([row["milliseconds"] for row in figures.rows])
    metrics["skipped"] = figures.skipped
    metrics["seconds"] = time.monotonic() - started
    metrics["provenance"] = provenance(bundle=f"{bundle.id} (weights sha256 {bundle.weights_hash})", engine=engine)
    by_name = {entry.name: entry for entry in work}
    return Evaluation(metrics, figures, curves, components, by_name, published, store, classes, calibration)


def claim(out: Path, bundle: Bundle, engine: str, dataset: Dataset, options: EvaluationOptions) -> Path:
    """The folder for what must survive an interruption; refuses one that another run has left.

    Raises:
        DatasetError: `out/state` holds frames of another bundle, engine, dataset or limit, or of files that changed.
    """
    state, rule = out / "state", _published(bundle, options)
    work = plan(dataset.items[: options.limit])
    state.mkdir(parents=True, exist_ok=True)
    ours = {
        "bundle": bundle.id,
        "coherence": [rule.coherence, rule.grow] if rule and rule.coherence else None,  # what shards leave is of it
        "second_look": _second_look(bundle),  # of the same weights it gives other scores
        "engine": engine,
        "dataset": dataset.name,
        "root": str(dataset.root.resolve()),
        "split": dataset.split,
        "labels": repr((dataset.kind, dataset.label_set, dataset.encoding, dataset.classes)),
        "items": [entry.name for entry in work],
        "files": [[*_version(entry.item.image_path), *_version(entry.item.label_path)] for entry in work],
        "world": options.shard.world,
    }
    file = state / "run.json"
    if file.is_file():
        theirs = json.loads(file.read_text())
        differing = [key for key in ours if ours[key] != theirs.get(key)]
        if {"root", "split", "items"} & set(differing):
            differing = [key for key in differing if key != "files"]  # of course
        elif "files" in theirs:
            pairs = zip(ours["items"], ours["files"], theirs["files"], strict=True)
            changed = [name for name, now, before in pairs if now != before]
            differing = [f"files (changed since: {listed(changed, 3)})" if key == "files" else key for key in differing]
        if differing:
            raise DatasetError(
                f"{state} holds an unfinished run that differs in {', '.join(differing)}; choose another --out, "
                "or delete that folder to start anew"
            )
    write_json(file, ours)
    return state


def _version(path: Path | None) -> tuple[int, int]:
    """Size and time of the last change: what another content of a file has otherwise; 0, 0 where there is none."""
    if path is None or not path.exists():
        return 0, 0
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _published(bundle: Bundle, options: EvaluationOptions) -> Objects | None:
    """The rule that makes a bundle's score coherent; None = its own score is what is published.

    Raises:
        ConfigError: another coherence is asked for, and there is no rule.
    """
    rule = bundle.card.calibration.objects
    if isinstance(bundle, ScoreVariant):  # the rule belongs to the bundle's own score
        return None
    if options.coherence is None or (rule is None and not options.coherence):
        return rule
    if rule is None:
        raise ConfigError(f"{bundle.id} has no rule of objects, by which its score could be made coherent")
    return rule.model_copy(update={"coherence": options.coherence})


def _coherent(store: ScoreStore, rule: Objects | None) -> CoherentStore:
    return CoherentStore(store, rule, TRACKS[TRACK].predicted)


def _second_look(bundle: Bundle) -> dict[str, Any] | None:
    rule = bundle.card.calibration.second_look
    return None if rule is None else rule.model_dump()
