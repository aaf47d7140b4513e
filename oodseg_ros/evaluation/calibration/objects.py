"""Thresholds of whole objects from frames without unknowns: what grows together, and how strong a seed must be."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from glob import glob
from pathlib import Path

import numpy as np

from ...errors import ConfigError
from ...frame import Frame
from ...inference.runner import Runner
from ...model_card import Calibration, Objects
from ...pipeline.obstacles.components import strongest_seeds
from ...sources.image_files import read_image
from ...sources.open_source import open_source
from ..frame_pass import ahead
from ..score_store import ScoreStore
from .risk_control import Choice, choose_threshold, refuse_too_few

PER_FRAME = 20_000
MARGIN = 1e-3
"""Thresholds of a score are compared in float32: this much above a false object's seed is above it."""
KEPT = " Table and histogram: "
"""What follows in a card's `source` is where its score table and inlier histogram are from."""


@dataclass(frozen=True)
class ObjectTarget:
    """What the thresholds must keep to on frames without unknowns.

    Attributes:
        false_frames: bound of the share of frames with a false object that stands on the ground, and of those with one
            that does not; each in (0, 1).
        grow_rate: share of the pixels above `grow`.
        seed: share of an object's pixels that must be above its threshold.
        min_area: least number of pixels of an object, at image size, as the node has it.
        confidence: as in `risk_control`; None = in expectation.
    """

    false_frames: float = 0.01
    grow_rate: float = 0.02
    seed: float = 0.5
    min_area: int = 100
    confidence: float | None = None


@dataclass(frozen=True)
class ObjectThresholds:
    """What `fit_objects` found.

    Attributes:
        calibration: with threshold and rule.
        frames: frames that it was chosen on.
        false: shares of them with a false object on the ground, and beside it.
        held_out: number of frames that were kept apart, and the same shares of those; shares nan without any.
    """

    calibration: Calibration
    frames: int
    false: tuple[float, float]
    held_out: tuple[int, float, float]


def fit_objects(
    frames: Iterable[tuple[np.ndarray, np.ndarray]],
    target: ObjectTarget,
    ground: Iterable[int],
    calibration: Calibration,
    what: str,
    every: int = 1,
) -> ObjectThresholds:
    """Threshold and object rule chosen on frames without unknowns, by conformal risk control.

    A rule with a higher threshold finds no object that a lower one does not, because `grow` is fixed before: so the
    losses are monotone, and the bounds hold for a new frame that is like these.

    Args:
        frames: (score float32 `[H, W]`, predicted class ids uint8 `[H, W]`); read once, kept on disk meanwhile.
        target: see there.
        ground: class ids that objects stand on.
        calibration: what the rest is taken from.
        what: the frames in words, for the card.
        every: only every n-th frame chooses; the others are kept apart to measure on.

    Raises:
        ConfigError: too few frames for the bound.
    """
    with tempfile.TemporaryDirectory(prefix="oodseg_objects_") as folder:
        store, rng, sampled = ScoreStore(folder), np.random.default_rng(0), []
        for index, (score, labels) in enumerate(frames):
            store.put(f"{index:06d}", score, labels)
            if index % every == 0:
                values = score[np.isfinite(score)]
                sampled.append(rng.choice(values, min(PER_FRAME, values.size), replace=False))
        if not sampled:
            raise ConfigError("calibration: there is no frame without unknowns to choose the objects' thresholds on")
        grow = float(np.quantile(np.concatenate(sampled), 1 - target.grow_rate))
        rule = Objects(grow=grow, seed=target.seed, beside=np.finfo(np.float32).max, ground=sorted(ground))
        seeds = np.array(
            [strongest_seeds(score, labels, rule, target.min_area) for _, score, labels in store], np.float64
        )
    chosen = np.arange(len(seeds)) % every == 0
    on_ground, beside = (_choose(column, grow, target) for column in seeds[chosen].T)
    threshold = on_ground.threshold
    objects = rule.model_copy(update={"beside": max(beside.threshold, threshold)})
    above = seeds > [threshold, objects.beside]
    false = above[chosen].mean(axis=0).tolist()
    bound, least = target.false_frames, target.min_area
    kept = int((~chosen).sum())
    held_out = above[~chosen].mean(axis=0).tolist() if kept else [float("nan")] * 2
    # Of a bundle whose objects were calibrated before, only the table and the histogram stay.
    source = calibration.source.rpartition(KEPT)[2]
    said = (
        f"{what}, {int(chosen.sum())} frames without unknowns: objects are what hangs together above the score that "
        f"{target.grow_rate:.2%} of the pixels exceed; a false one on the ground in at most {bound:.2%} of the frames "
        f"(measured {false[0]:.2%}), one beside it in at most as many (measured {false[1]:.2%}), min_area {least}; "
        f"{_kept_apart(kept, held_out)}.{KEPT}{source}"
    )
    found = calibration.model_copy(update={"threshold": threshold, "objects": objects, "source": said})
    return ObjectThresholds(found, int(chosen.sum()), tuple(false), (kept, *held_out))


def calibrate_objects(
    runner: Runner,
    sources: Sequence[str],
    target: ObjectTarget,
    every: int = 1,
    ground_classes: Sequence[str] = (),
    workers: int = 2,
) -> ObjectThresholds:
    """`fit_objects` on what a bundle makes of images.

    Args:
        runner: a loaded bundle.
        sources: what `open_source` opens, or patterns of image files (`drive/*_0*.jpg`).
        target, every: see there.
        ground_classes: names of the classes that objects stand on; none = those of the label set.
        workers: threads that read.

    Raises:
        ConfigError: a pattern that fits no file, a label set without such classes, too few frames.
        DatasetError, ImageError: what cannot be opened or read.
    """
    labels = runner.bundle.labels
    if strange := [name for name in ground_classes if name not in labels.names]:
        known = ", ".join(labels.names)
        raise ConfigError(f"label set {labels.name} has no class {', '.join(strange)}; it has {known}")
    ground = [labels.names.index(name) for name in ground_classes] or labels.ground_ids()
    if not ground:
        raise ConfigError(
            f"label set {labels.name} does not say which of its classes objects stand on; say it with --ground CLASS, "
            f"repeated, of {', '.join(labels.names)}"
        )

    if (count := _counted(sources)) is not None:
        refuse_too_few(len(range(0, count, every)), target.false_frames, target.confidence)

    def predicted() -> Iterable[tuple[np.ndarray, np.ndarray]]:
        with ThreadPoolExecutor(workers) as pool:
            for image in ahead(pool, lambda read: read(), _images(sources), 2 * workers):
                prediction = runner([image])[0]
                yield prediction.score, prediction.labels

    # The last two names: never where it lay.
    what = ", ".join(str(Path(*Path(source).parts[-2:])) for source in sources)
    return fit_objects(predicted(), target, ground, runner.bundle.card.calibration, what, every)


def _matching(source: str) -> list[str] | None:
    """Files that fit a pattern; None = it is no pattern. Raises ConfigError if none fits."""
    if "*" not in source and "?" not in source:
        return None
    files = sorted(glob(source))
    if not files:
        raise ConfigError(f"no file fits {source}")
    return files


def _counted(sources: Sequence[str]) -> int | None:
    """Number of frames, None where a source knows it only after reading."""
    total = 0
    for source in sources:
        files = _matching(source)
        count = open_source(source).count if files is None else len(files)
        if count is None:
            return None
        total += count
    return total


def _images(sources: Sequence[str]) -> Iterator[Callable[[], np.ndarray]]:
    for source in sources:
        if (files := _matching(source)) is not None:
            yield from (partial(read_image, Path(file)) for file in files)
        else:
            opened = open_source(source)
            yield from (partial(_image_of, frame) for frame in opened)
            if troubles := opened.troubles():
                logging.getLogger(__name__).warning("%s: %s", source, troubles)


def _image_of(frame: Frame) -> np.ndarray:
    return frame.image


def _kept_apart(count: int, shares: Sequence[float]) -> str:
    if not count:
        return "no frame was kept apart to check it"
    return f"on {count} frames kept apart {shares[0]:.2%} and {shares[1]:.2%}"


def _choose(seeds: np.ndarray, grow: float, target: ObjectTarget) -> Choice:
    grid = np.unique(np.concatenate([[grow], seeds[np.isfinite(seeds)], seeds[np.isfinite(seeds)] + MARGIN]))
    # Strictly above, as the pipeline compares.
    losses = (seeds[:, None] > grid).astype(np.float64)
    return choose_threshold(losses, grid, target.false_frames, False, target.confidence)
