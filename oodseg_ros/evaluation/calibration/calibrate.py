"""`calibrate`: choose a bundle's threshold on a dataset with a guarantee, fit its score table, write both into it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...bundle import Bundle, rewrite_card
from ...datasets.dataset import Dataset
from ...errors import ConfigError, DatasetError
from ...frame import OUTLIER
from ...inference.runner import Runner
from ...model_card import Calibration
from ...object_rule import Objects
from ..frame_pass import ahead, plan, run_frames
from ..metrics.pixels import PixelMetrics
from ..score_store import ScoreStore
from .fit import FORMS, TARGETS, fit_calibration, frame_loss, object_loss, pixel_loss, stack, threshold_grid
from .proof import Pictures
from .risk_control import Choice, choose_threshold, least_frames, refuse_too_few


@dataclass(frozen=True)
class Target:
    """What is wanted.

    Attributes:
        kind: key of `TARGETS`.
        alpha: bound of the expected loss of a frame, in (0, 1).
        confidence: see `risk_control`; None = in expectation.
        min_area: least size of an obstacle in pixels, as the node will use it; also of an object that counts.
        cover: share of an object's pixels that must be above the threshold for it to count as found.
    """

    kind: str
    alpha: float
    confidence: float | None = None
    min_area: int = 100
    cover: float = 0.5

    def __post_init__(self) -> None:
        if self.kind not in TARGETS:
            raise ConfigError(f"no target {self.kind!r}; targets are, e.g., {', '.join(FORMS)}")
        if not 0 < self.cover <= 1 or self.min_area < 1:
            raise ConfigError("cover must lie in (0, 1] and min_area be at least 1")

    @property
    def rising(self) -> bool:
        """Whether the loss rises with the threshold."""
        return self.kind == "objects"


@dataclass(frozen=True)
class CalibrationResult:
    """What was found.

    Attributes:
        choice: from all frames; what stands in the bundle.
        held_out: chosen on one half of the frames, `held_out_risk` measured on the other; None with too few frames.
        held_out_risk, held_out_frames: see there.
        calibration: as written.
        skipped: frame → why it was left out.
    """

    choice: Choice
    held_out: Choice | None
    held_out_risk: float
    held_out_frames: int
    calibration: Calibration
    skipped: dict[str, str]


def parse_target(text: str, rate: float | None = None, **more: float | int | None) -> Target:
    """`pixels=0.01`, `frames=0.05`, `objects=0.1`, or `alerts-per-hour=6` with the rate of frames per second.

    Alerts per hour are bounded through frames: no more alerts can begin than there are frames with a false obstacle.

    Raises:
        ConfigError: with the forms that are known.
    """
    kind, _, number = text.partition("=")
    try:
        value = float(number)
    except ValueError:
        raise ConfigError(f"target {text!r} is not KIND=NUMBER; targets are, e.g., {', '.join(FORMS)}") from None
    if kind == "alerts-per-hour":
        if not rate or rate <= 0:
            raise ConfigError("alerts-per-hour needs --rate, the frames per second of the camera")
        return Target("frames", value / (3600 * rate), **more)
    return Target(kind, value, **more)


def calibrate(
    runner: Runner,
    dataset: Dataset,
    target: Target,
    limit: int | None = None,
    workers: int = 2,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> CalibrationResult:
    """Run the dataset's frames and choose; writes nothing.

    Raises:
        DatasetError: no frame can be used, or it has class labels instead of anomaly labels.
        ConfigError: too few frames for the target.
    """
    if dataset.kind != "anomaly":
        raise DatasetError(
            f"dataset {dataset.name} has class labels; if its frames show nothing unknown, say so with --normal, and "
            "its labelled pixels count as normal"
        )
    work = plan(dataset.items[:limit])
    if target.kind != "objects":  # there frames without an object do not count, which the work tells
        refuse_too_few(len(work), target.alpha, target.confidence)
    with tempfile.TemporaryDirectory(prefix="oodseg_calibrate_") as folder:
        store = ScoreStore(folder)
        skipped = run_frames(
            runner, dataset, work, [store], workers, lambda done: progress(done, len(work)), Pictures().check
        )
        names = [entry.name for entry in work if entry.name in store and store.get(entry.name)[2]["has_truth"]]
        if not names:
            raise DatasetError(f"no frame of {dataset.name} can be used: {next(iter(skipped.values()), 'no labels')}")
        pooled = PixelMetrics()
        anomalous = 0
        for name in names:
            score, label, _ = store.get(name)
            anomalous += int(np.count_nonzero(label == 1))
            pooled.update(score, label)
        if target.kind == "objects" and not anomalous:
            raise ConfigError("the target objects=… bounds missed objects, and these frames have none; use another")
        before = runner.bundle.card.calibration
        grid, objects = threshold_grid(pooled.histogram), before.objects
        with ThreadPoolExecutor(workers) as pool:
            losses = stack(
                ahead(pool, lambda name: _loss(target, store, name, grid, objects), names, 2 * workers), grid.size
            )
        choice = choose_threshold(losses, grid, target.alpha, target.rising, target.confidence)
        held_out, risk, count = _check(losses, grid, target)
        said = _sentence(dataset, target, choice, held_out, risk, count, anomalous)
        # The maps stand in for images: the score of a map is itself.
        frames = (_target_map(*store.get(name)[:2]) for name in names)
        fitted = fit_calibration(lambda score: score, frames, 0.01, said)
    if objects is not None:  # the rule stays what it is, as far as the threshold lets it
        limits = {"grow": min(objects.grow, choice.threshold), "beside": max(objects.beside, choice.threshold)}
        among = objects.limit_among(choice.threshold)
        objects = objects.model_copy(update=limits | {"among": max(among, choice.threshold)})
    # The threshold was chosen on what the bundle's looks say, so they stay.
    more: dict[str, Any] = {"threshold": choice.threshold, "objects": objects, "second_look": before.second_look}
    if objects is not None and before.objects is not None and objects.grow == before.objects.grow:
        more["evidence"] = before.evidence  # of the same candidates as before
    if not anomalous:
        # Nothing was learnt about unknowns, so what a score means for them stays: two points would pretend to know.
        more["table"] = before.table
    calibration = fitted.model_copy(update=more)
    return CalibrationResult(choice, held_out, risk, count, calibration, skipped)


def write_calibration(
    bundle: Bundle, calibration: Calibration, out: Path | None = None, key: Path | None = None
) -> Bundle:
    """Write into the bundle, or into a copy of it at `out`; the weights and their hash stay, the card's metrics do not:
    they are of what the calibration of before found and published.

    Raises:
        ConfigError: `out` exists, or there is no private `key`.
        BundleError: see `rewrite_card`.
    """
    path = bundle.path
    if out is not None:
        if out.exists():
            raise ConfigError(f"{out} exists; give another --out")
        shutil.copytree(bundle.path, out)
        path = out
    return rewrite_card(path, bundle.card.model_copy(update={"calibration": calibration, "metrics": []}), key)


def _loss(target: Target, store: ScoreStore, name: str, grid: np.ndarray, objects: Objects | None) -> np.ndarray | None:
    score, label, extra = store.get(name)
    if target.kind == "pixels":
        return pixel_loss(score, label, grid)
    if target.kind == "frames":
        return frame_loss(score, label, grid, target.min_area, objects, extra["labels"])
    return object_loss(score, label, grid, target.min_area, target.cover)


def _check(losses: np.ndarray, grid: np.ndarray, target: Target) -> tuple[Choice | None, float, int]:
    order = np.random.default_rng(0).permutation(len(losses))
    fit, test = order[::2], order[1::2]
    if fit.size < least_frames(target.alpha, target.confidence) or not test.size:
        return None, float("nan"), 0
    try:
        choice = choose_threshold(losses[fit], grid, target.alpha, target.rising, target.confidence)
    except ConfigError:
        return None, float("nan"), 0
    place = int(np.searchsorted(grid, choice.threshold))
    return choice, float(losses[test, place].mean()), int(test.size)


def _sentence(
    dataset: Dataset, target: Target, choice: Choice, held_out: Choice | None, risk: float, count: int, anomalous: int
) -> str:
    sure = "in expectation" if choice.confidence is None else f"with confidence {choice.confidence:g}"
    check = "; too few frames for a held-out check"
    if held_out:
        check = (
            f"; the same rule on {held_out.frames} of them alone gave threshold {held_out.threshold:.6g}, which on the "
            f"other {count} measured {risk:.4g} (the written threshold uses all frames and was checked on none)"
        )
    kept = "" if anomalous else "; normal driving only: the score table is that of before"
    area, cover = f" (min_area {target.min_area})", f" (min_area {target.min_area}, cover {target.cover:g})"
    how = {"pixels": "", "frames": area, "objects": cover}[target.kind]
    return (
        f"{dataset.name} {dataset.split}".strip() + f", {choice.frames} frames: {TARGETS[target.kind]}{how} "
        f"at most {choice.bound:g} {sure}; threshold "
        f"{choice.threshold:.6g} measured {choice.risk:.4g} on all of them{check}{kept}"
    )


def _target_map(score: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    target = label.copy()
    target[label == 1] = OUTLIER
    target[~np.isfinite(score)] = 255
    return score, target
