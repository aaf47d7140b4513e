"""Thresholds of whole objects from frames without unknowns: what grows together, and how strong a seed must be."""

from __future__ import annotations

import itertools
import logging
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path

import numpy as np

from ...errors import ConfigError, ImageError
from ...inference.runner import Runner
from ...inference.second_look import SecondLook
from ...inference.sizes import check_size
from ...model_card import Calibration, Core, Objects, Smaller
from ...outliers.road_paste import paste
from ...pipeline.obstacles.groups import strongest_seeds
from ...sources.image_files import open_files
from ...sources.open_source import open_source
from ...sources.source import Source
from ..score_store import ScoreStore
from .by_size import limits_by_size, pasted_by_size, seeds_by_size
from .evidence import fit_evidence
from .object_target import ObjectTarget
from .risk_control import choose_threshold, refuse_too_few
from .second_look import LookTarget, fit_second_look

_log = logging.getLogger(__name__)

PER_FRAME = 20_000
MARGIN = 1e-3
"""Thresholds of a score are compared in float32: this much above a false object's seed is above it."""
PASTED, PASTED_SIZES = 2, (0.015, 0.25)
"""Objects per frame, and their larger side as a share of the image's height: also those that are weak and far."""
PLACES = ("free on the ground", "among other things", "beside the ground")
STRONGEST = 12
"""So many frames are named whose false objects decide the thresholds: somebody should look at them."""
KEPT = " Table and histogram: "
"""What follows in a card's `source` is where its score table and inlier histogram are from."""


@dataclass(frozen=True)
class ObjectThresholds:
    """What `fit_objects` found.

    Attributes:
        calibration: with threshold and rule.
        frames: frames that it was chosen on.
        false: shares of them with a false object free on the ground, among other things on it, and beside it.
        held_out: number of frames that were kept apart, and the same shares of those; shares nan without any.
        strongest: index and place (0, 1, 2) of the frames whose false object would vanish last, strongest first,
            and of those whose core decides what cores need.
    """

    calibration: Calibration
    frames: int
    false: tuple[float, float, float]
    held_out: tuple[int, float, float, float]
    strongest: list[tuple[int, int]]


def fit_objects(
    frames: Iterable[tuple[np.ndarray, np.ndarray]],
    target: ObjectTarget,
    ground: Iterable[int],
    calibration: Calibration,
    what: str,
    every: int = 1,
    pasted: ScoreStore | None = None,
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
        pasted: the frames that choose with pasted unknowns, complete once `frames` was read: score, label (1 = pasted)
            and `labels` (predicted). None = the calibration has no evidence.

    Raises:
        ConfigError: too few frames for the bound, or no pasted object is large enough.
    """
    with tempfile.TemporaryDirectory(prefix="oodseg_objects_") as folder:
        store, rng, sampled = ScoreStore(folder), np.random.default_rng(0), []
        for index, (score, labels) in enumerate(frames):
            store.put(f"{index:06d}", score, labels)
            if index % every == 0:
                values = score[np.isfinite(score)]
                sampled.append(rng.choice(values, min(PER_FRAME, values.size), replace=False))
        if not any(values.size for values in sampled):
            raise ConfigError("calibration: there is no frame without unknowns to choose the objects' thresholds on")
        grow, core_grow = np.quantile(np.concatenate(sampled), [1 - target.grow_rate, 1 - target.core_rate]).tolist()
        rule = Objects(grow=grow, seed=target.seed, beside=np.finfo(np.float32).max, ground=sorted(ground))
        inner = rule.model_copy(update={"grow": core_grow})
        shares = () if pasted is None else target.sizes
        seeds = np.array([seeds_by_size(*maps, rule, target.min_area, shares) for _, *maps in store])
        cores = np.array([strongest_seeds(*maps, inner, target.min_area) for _, *maps in store])
        chosen = np.arange(len(seeds)) % every == 0
        if np.isposinf(seeds[chosen]).any() or np.isposinf(cores[chosen]).any():
            raise ConfigError(
                "calibration: an object in a frame without unknowns has an infinite score; nothing is above it"
            )
        evidence, known = None, [[np.zeros(0)] * 3]
        if pasted is not None:
            clean = ((score, labels) for index, (_, score, labels) in enumerate(store) if chosen[index])
            evidence = fit_evidence(clean, pasted, rule, target.min_area)
            known = pasted_by_size(pasted, rule, target.min_area, shares)
    bounds = target.bounds
    limits = np.stack(
        [
            _limits(seeds[chosen, :, place], [row[place] for row in known], grow, bound, target.confidence)
            for place, bound in enumerate(bounds)
        ],
        axis=1,
    )
    # Among other things and beside the ground never less than free on it.
    limits = np.maximum(limits, limits[:, :1])
    margins = (seeds - limits).max(axis=1)
    above = margins > 0
    # No frame that chooses has a false object by a core alone.
    clear = np.where((chosen & ~above.any(axis=1))[:, None], cores, -np.inf)
    enough = np.maximum(clear.max(axis=0, initial=core_grow) + MARGIN, limits[0])
    objects = _with_limits(rule, limits, shares, (core_grow, *enough.tolist()) if target.core_rate else None)
    if objects.core is not None:
        above |= cores > enough
    threshold = float(limits[0, 0])
    false = above[chosen].mean(axis=0).tolist()
    kept = int((~chosen).sum())
    held_out = above[~chosen].mean(axis=0).tolist() if kept else [float("nan")] * 3
    strongest = [divmod(int(flat), 3) for flat in np.argsort(margins, axis=None)[::-1]]
    # Of a bundle whose objects were calibrated before, only the table and the histogram stay.
    source = calibration.source.rpartition(KEPT)[2]
    said = (
        f"{what}, {int(chosen.sum())} frames without unknowns: objects are what hangs together above the score that "
        f"{target.grow_rate:.2%} of the pixels exceed; a false one free on the ground in at most {bounds[0]:.2%} of "
        f"the frames (measured {false[0]:.2%}), among other things on it in {bounds[1]:.2%} ({false[1]:.2%}), beside "
        f"it in {bounds[2]:.2%} ({false[2]:.2%}){_by_cores(target)}, min_area {target.min_area}; "
        f"{_kept_apart(kept, held_out)}."
        f"{KEPT}{source}"
    )
    # A table of before is of other candidates.
    more = {"threshold": threshold, "objects": objects, "evidence": evidence, "source": said}
    found = calibration.model_copy(update=more)
    shown = [one for one in strongest if np.isfinite(margins[one])][:STRONGEST]
    if objects.core is not None:
        deciding = [(int(clear[:, place].argmax()), place) for place in range(3)]
        shown += [one for one in deciding if clear[one] > limits[0, one[1]] and one not in shown]
    return ObjectThresholds(found, int(chosen.sum()), tuple(false), (kept, *held_out), shown)


def calibrate_objects(
    runner: Runner,
    sources: Sequence[str],
    target: ObjectTarget,
    every: int = 1,
    ground_classes: Sequence[str] = (),
    cutouts: Sequence[np.ndarray] = (),
    without: Sequence[str] = (),
    look: LookTarget | None = None,
) -> tuple[ObjectThresholds, list[str]]:
    """`fit_objects` on what a bundle makes of images, and the names of its `strongest` frames with the place.

    Args:
        runner: a loaded bundle.
        sources: what `open_source` opens, or patterns of image files (`drive/*_0*.jpg`).
        target, every: see there.
        ground_classes: names of the classes that objects stand on; none = those of the label set.
        cutouts: RGBA uint8 `[h, w, 4]` of unknown things, pasted into the frames for the evidence; empty = none.
        without: file names, with or without suffix, of frames that show something unknown after all: not read.
        look: what a second look may cost; it is chosen first, on the same frames, and the runner has it then. None =
            what the bundle has.

    Raises:
        ConfigError: a pattern that fits no file, a label set without such classes, too few frames, a frame of `without`
            that is not there.
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

    opened = [_opened(source) for source in sources]
    left_out = Counter[str]()
    # Before the work: a name that is wrong, or too few frames, would otherwise be told after hours of it.
    known = sum(_names(file, without, left_out) for source in opened for file in source.files)
    if all(source.files for source in opened):
        _refuse_strange(without, left_out)
    left_out.clear()
    counts = [source.count for source in opened]
    if None not in counts:
        refuse_too_few(len(range(0, sum(counts) - known, every)), min(target.bounds), target.confidence)
    # The last two names: never where it lay.
    what = ", ".join(str(Path(*Path(source).parts[-2:])) for source in sources)
    if without:
        what += f" (without {', '.join(without)})"
    calibration = runner.bundle.card.calibration
    before = calibration.objects
    if look is None and calibration.second_look and (before.seed, before.ground) != (target.seed, sorted(ground)):
        names = ", ".join(labels.names[index] for index in before.ground)
        raise ConfigError(
            f"the bundle's second look was chosen with seed {before.seed:g} and the ground {names}: give these, or "
            f"choose it anew with {calibration.second_look.options} (--second-look 0 removes it)"
        )
    if look is not None:
        runner.second_look = None
        calibration = calibration.model_copy(update={"second_look": None})
    if look is not None and look.zoom:
        chosen = (runner([image])[0] for _, image in _images(sources, opened, without, left_out))
        maps = ((one.score, one.labels) for one in itertools.islice(chosen, 0, None, every))
        spec = runner.bundle.card.input
        rule = fit_second_look(maps, look, target.grow_rate, target.seed, ground, spec)
        calibration = calibration.model_copy(update={"second_look": rule})
        objects = Objects(grow=rule.grow, seed=target.seed, beside=rule.below, ground=ground)
        runner.second_look = SecondLook(rule, objects, spec)
        _refuse_strange(without, left_out)
        left_out.clear()
    with ExitStack() as stack:
        pasted = None
        if cutouts:
            pasted = ScoreStore(stack.enter_context(tempfile.TemporaryDirectory(prefix="oodseg_pasted_")))

        def predicted() -> Iterable[tuple[np.ndarray, np.ndarray]]:
            for index, (name, image) in enumerate(_images(sources, opened, without, left_out)):
                names.append(name)
                prediction = runner([image])[0]
                if pasted is not None and index % every == 0:
                    changed, truth = _with_objects(image, np.isin(prediction.labels, ground), cutouts, index)
                    again = runner([changed])[0]
                    pasted.put(f"{index:06d}", again.score, truth, labels=again.labels)
                yield prediction.score, prediction.labels
            _refuse_strange(without, left_out)

        names: list[str] = []
        found = fit_objects(predicted(), target, ground, calibration, what, every, pasted)
        for name in (name for name, count in left_out.items() if count > 1):
            _log.warning("--without %s left out %d frames of this name", name, left_out[name])
        return found, [f"{names[frame]} ({PLACES[place]})" for frame, place in found.strongest]


def _with_objects(
    image: np.ndarray, ground: np.ndarray, cutouts: Sequence[np.ndarray], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The image with objects on the ground, and where they are: uint8 `[H, W]`, 1 = object."""
    rng, image, truth = np.random.default_rng([0, seed]), image.copy(), np.zeros(image.shape[:2], np.uint8)
    for _ in range(PASTED):
        paste(rng, image, truth, cutouts[int(rng.integers(len(cutouts)))], 1, ground, PASTED_SIZES)
    return image, truth


def _by_cores(target: ObjectTarget) -> str:
    if not target.core_rate:
        return ""
    return f", in none by a core alone (what hangs together above the score that {target.core_rate:.2%} exceed)"


def _opened(source: str) -> Source:
    """What `open_source` opens, or the files that fit a pattern."""
    if not has_magic(source) or Path(source).exists():
        return open_source(source)
    files = [Path(file) for file in sorted(glob(source)) if Path(file).is_file()]
    if not files:
        raise ConfigError(f"no file fits {source}")
    return open_files(source, files)


def _names(file: str, without: Sequence[str], left_out: Counter[str]) -> bool:
    """Whether `without` names a file, with or without its suffix; counted in `left_out`."""
    met = {file, Path(file).stem} & set(without)
    left_out.update(met)
    return bool(met)


def _refuse_strange(without: Sequence[str], left_out: Counter[str]) -> None:
    if strange := sorted(set(without) - set(left_out)):
        raise ConfigError(f"--without {', '.join(strange)}: no frame has this name")


def _images(
    given: Sequence[str], opened: Sequence[Source], without: Sequence[str], left_out: Counter[str]
) -> Iterator[tuple[str, np.ndarray]]:
    """Name and image of all frames but those `without`, which are counted when met."""
    for text, source in zip(given, opened, strict=True):
        for number, frame in enumerate(source):
            name = Path(frame.file).name or f"{Path(text).name} frame {number}"
            if _names(name, without, left_out):
                continue
            try:
                check_size(*frame.image.shape[:2])
            except ImageError as error:
                source.skipped[str(error)] += 1
                continue
            yield name, frame.image
        if troubles := source.troubles():
            _log.warning("%s: %s", text, troubles)


def _kept_apart(count: int, shares: Sequence[float]) -> str:
    if not count:
        return "no frame was kept apart to check it"
    return f"on {count} frames kept apart " + ", ".join(f"{share:.2%}" for share in shares)


def _limits(
    seeds: np.ndarray, pasted: Sequence[np.ndarray], grow: float, bound: float, confidence: float | None
) -> np.ndarray:
    """What objects of each size need at one place, float64 `[c]`; arguments as in `limits_by_size`.

    Several sizes together may have as many frames with a false object as one limit for all would leave.
    """
    strongest = seeds.max(axis=1)
    grid = np.unique(np.concatenate([[grow], strongest[np.isfinite(strongest)]]))
    # Strictly above, as the pipeline compares.
    losses = (strongest[:, None] > grid).astype(np.float64)
    chosen = choose_threshold(losses, grid, bound, False, confidence)
    if seeds.shape[1] == 1:
        return np.array([chosen.threshold])
    return limits_by_size(seeds, pasted, round(chosen.risk * len(seeds)), grow)


def _with_limits(rule: Objects, limits: np.ndarray, shares: Sequence[float], core: tuple[float, ...] | None) -> Objects:
    """The rule with what is needed by size and place `[c, 3]`, and by a core (grow, free, among, beside)."""
    # Rounding may not make a false object that is at the limit one above it.
    less = np.maximum(0, limits[0] - limits[1:] - MARGIN)
    smaller = [
        Smaller(share=share, free=free, among=among, beside=beside)
        for share, (free, among, beside) in zip(shares, less.tolist(), strict=True)
    ]
    _, among, beside = limits[0].tolist()
    more = None if core is None else Core(**dict(zip(("grow", "free", "among", "beside"), core, strict=True)))
    return rule.model_copy(update={"among": among, "beside": beside, "smaller": smaller, "core": more})
