"""Replays of one or several bags: results in files, shared among processes."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ConfigError
from ..evaluation.frame_pass import Shard
from ..evaluation.metrics.pixels import PixelMetrics
from ..evaluation.results import provenance
from ..frame import Frame
from ..inference.runner import Runner
from ..paths import write_json
from ..pipeline.geometry.ground import CameraGeometry
from ..sources.bag_messages import ReplayBag
from .drive import replay
from .judge import Judged, settings_of
from .output_bag import OutputBag
from .recorded_bag import RecordedBag
from .report import Highlights, write_replay_report
from .summary import rates, summarize_drive
from .truth import truth_from_folder, truth_from_topic


@dataclass(frozen=True)
class ReplayOptions:
    """What the user may choose.

    Attributes:
        topics: image topics; None = those of the cameras in `params`, else one per camera.
        truth: folder of masks by stamp.
        truth_topic: topic of masks in the bag.
        tolerance_s: how far a mask's stamp may be from the frame's.
        ego_mask: image file for all cameras, before those of the parameters.
        write_bag: leave `bag/` with outputs beside inputs.
        params: the node's parameters, full name → value.
        geometry: of all cameras, in place of the bags' calibrations; None = those.
        shard: which of the bags are this process's.
    """

    topics: list[str] | None = None
    truth: Path | None = None
    truth_topic: str | None = None
    tolerance_s: float = 0.001
    track: str = "obstacle"
    limit: int | None = None
    ego_mask: Path | None = None
    write_bag: bool = False
    params: Mapping[str, Any] = field(default_factory=dict)
    geometry: Callable[[Frame], CameraGeometry | None] | None = None
    shard: Shard = field(default_factory=Shard)

    def __post_init__(self) -> None:
        if self.truth is not None and self.truth_topic is not None:
            raise ConfigError("ground truth comes from a folder or from a topic, not from both")


def replay_bag(
    runner: Runner, path: Path, out: Path, options: ReplayOptions, progress: Callable[[int], None] = lambda done: None
) -> dict[str, Any]:
    """Replay one bag into `out`: `alerts.csv`, `metrics.json`, `report.html`, `pixel.npz` with ground truth, `bag/`."""
    started = time.monotonic()
    bag = ReplayBag(path)
    out.mkdir(parents=True, exist_ok=True)
    tolerance_ns = round(options.tolerance_s * 1e9)
    truth = None
    if options.truth is not None:
        truth = truth_from_folder(options.truth, tolerance_ns)
    elif options.truth_topic is not None:
        truth = truth_from_topic(bag, options.truth_topic, tolerance_ns)
    recorded = RecordedBag(bag, options.topics, options.params, options.geometry)
    settings, notes = settings_of(options.params, recorded.cameras, options.ego_mask)
    kept = Highlights(runner.bundle.labels)
    with OutputBag(out / "bag", runner.bundle.id) if options.write_bag else nullcontext() as output:
        if output is not None:
            output.copy(bag)

        def watch(judged: Judged) -> None:
            kept.watch(judged)
            if output is not None:
                output.write(judged)

        drive = replay(
            *(runner, recorded, settings, out),
            truth=truth,
            track=options.track,
            limit=options.limit,
            watch=watch,
            progress=progress,
        )
    metrics = summarize_drive(drive, runner)
    metrics["notes"] = notes + ([] if truth is None else truth.notes) + drive.notes
    metrics["bag"] = path.name
    metrics["left_out"] = {} if output is None else output.left_out
    metrics["seconds"] = time.monotonic() - started
    identity = f"{runner.bundle.id} (weights sha256 {runner.bundle.weights_hash})"
    metrics["provenance"] = provenance(bundle=identity, engine=runner.engine_identity, bag=str(path))
    if drive.pixel is not None:
        drive.pixel.save(out / "pixel.npz")
    write_replay_report(out / "report.html", path.name, drive, metrics, kept)
    write_json(out / "metrics.json", metrics)
    return metrics


def replay_bags(
    runner: Runner,
    paths: Sequence[Path],
    out: Path,
    options: ReplayOptions,
    progress: Callable[[str, int], None] = lambda bag, done: None,
) -> dict[str, Any] | None:
    """One bag into `out`, several each into a folder of its own there, with a common `metrics.json`.

    Returns:
        The metrics of the one bag, or the common ones; None in a process of rank above 0.
    """
    if len(paths) == 1 and options.shard.world == 1:
        return replay_bag(runner, paths[0], out, options, lambda done: progress(paths[0].name, done))
    names = [f"{index:03d}_{path.stem}" for index, path in enumerate(paths)]
    out.mkdir(parents=True, exist_ok=True)
    mark = options.shard.file(out)
    mark.unlink(missing_ok=True)
    for name, path in options.shard.part(list(zip(names, paths, strict=True))):
        replay_bag(runner, path, out / name, options, lambda done, path=path: progress(path.name, done))
    np.savez(mark)
    if options.shard.rank:
        return None
    for file in options.shard.wait(out):
        file.unlink()
    common = merge_replays([out / name for name in names])
    write_json(out / "metrics.json", common)
    return common


def merge_replays(folders: Sequence[Path]) -> dict[str, Any]:
    """Common figures of several replays: sums, rates of the sums, and pooled pixel metrics."""
    runs = [json.loads((folder / "metrics.json").read_text()) for folder in folders]
    seconds = sum(run["duration_s"] for run in runs)
    kilometres = sum(run["kilometres"] or 0 for run in runs)
    onsets = sum(run["alerts"]["onsets"] for run in runs)
    common = {
        "frames": sum(run["frames"] for run in runs),
        "judged": sum(run["judged"] for run in runs),
        "missing": sum(run["missing"] for run in runs),
        "skipped": dict(sum((Counter(run["skipped"]) for run in runs), Counter())),
        "damage": "; ".join(f"{run['bag']}: {run['damage']}" for run in runs if run["damage"]) or None,
        "bundle": runs[0]["bundle"],
        "engine": runs[0]["engine"],
        "duration_s": seconds,
        "kilometres": kilometres,
        "alerts": {"onsets": onsets, **rates(onsets, seconds, kilometres * 1000)},
        "seconds": sum(run["seconds"] for run in runs),
        "bags": runs,
    }
    states = [PixelMetrics.load(folder / "pixel.npz") for folder in folders if (folder / "pixel.npz").is_file()]
    if states:
        pooled = states[0]
        for state in states[1:]:
            pooled.merge(state)
        common["pixel"] = pooled.compute()
    return common
