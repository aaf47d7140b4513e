"""Thresholds of whole objects from score maps of frames without unknowns: what grows together, and how strong a seed
must be.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import ConfigError
from ...model_card import Calibration
from ...object_rule import Core, Objects, Smaller
from ..score_store import ScoreStore
from .by_size import limits_by_size, pasted_by_size, seeds_by_size
from .evidence import fit_evidence
from .object_target import MARGIN, ObjectTarget
from .risk_control import choose_threshold

PER_FRAME = 20_000
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
    frames: Iterable[Sequence[tuple[np.ndarray, np.ndarray]]],
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
        frames: of each its views: (score float32 `[H, W]`, predicted class ids uint8 `[H, W]`), one or more; read
            once, kept on disk meanwhile. The first one chooses; how often others have a false object is told.
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
        for index, views in enumerate(frames):
            for view, maps in enumerate(views):
                store.put(f"{index:06d}.{view}", *maps)
            if index % every == 0:
                values = views[0][0][np.isfinite(views[0][0])]
                sampled.append(rng.choice(values, min(PER_FRAME, values.size), replace=False))
        if not any(values.size for values in sampled):
            raise ConfigError("calibration: there is no frame without unknowns to choose the objects' thresholds on")
        grow, core_grow = np.quantile(np.concatenate(sampled), [1 - target.grow_rate, 1 - target.core_rate]).tolist()
        highest, coherence = np.finfo(np.float32).max, target.coherence
        rule = Objects(grow=grow, seed=target.seed, beside=highest, ground=sorted(ground), coherence=coherence)
        inner = rule.model_copy(update={"grow": core_grow})
        shares = () if pasted is None else target.sizes
        names = np.array(store.names())
        first = np.char.endswith(names, ".0")
        seeds = np.array([seeds_by_size(*maps, rule, target.min_area, shares) for _, *maps in store])
        cores = np.array([seeds_by_size(*maps, inner, target.min_area)[0] for _, *maps in store])
        (seeds, others), (cores, other_cores) = ((each[first], each[~first]) for each in (seeds, cores))
        chosen = np.arange(len(seeds)) % every == 0
        if np.isposinf(seeds[chosen]).any() or np.isposinf(cores[chosen]).any():
            raise ConfigError(
                "calibration: an object in a frame without unknowns has an infinite score; nothing is above it"
            )
        evidence, known = None, [[np.zeros(0)] * 3]
        if pasted is not None:
            clean = (store.get(name)[:2] for name in names[first][chosen])
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
    limits = np.maximum(limits, limits[:, :1]) + MARGIN
    margins = (seeds - limits).max(axis=1)
    above = margins > 0
    # No frame that chooses has a false object by a core alone, at any place: also not one that has another elsewhere.
    clear = np.where(chosen[:, None] & ~above, cores, -np.inf)
    enough = np.maximum(clear.max(axis=0, initial=core_grow) + MARGIN, limits[0])
    objects = _with_limits(rule, limits, shares, (core_grow, *enough.tolist()) if target.core_rate else None)
    by_others = (others > limits).any(axis=(1, 2))
    if objects.core is not None:
        above |= cores > enough
        by_others |= (other_cores > enough).any(axis=1)
    threshold = float(limits[0, 0])
    false = above[chosen].mean(axis=0).tolist()
    kept = int((~chosen).sum())
    held_out = above[~chosen].mean(axis=0).tolist() if kept else [float("nan")] * 3
    strongest = [divmod(int(flat), 3) for flat in np.argsort(margins, axis=None)[::-1]]
    # Of a bundle whose objects were calibrated before, only the table and the histogram stay.
    source = calibration.source.rpartition(KEPT)[2]
    said = (
        f"{what}, {int(chosen.sum())} frames without unknowns: objects are what hangs together "
        f"above the score that {target.grow_rate:.2%} of the pixels exceed; a false one free on the ground in at most "
        f"{bounds[0]:.2%} of the frames (measured {false[0]:.2%}), among other things on it in {bounds[1]:.2%} "
        f"({false[1]:.2%}), beside it in {bounds[2]:.2%} ({false[2]:.2%}){_by_cores(target)}, min_area "
        f"{target.min_area}; {_kept_apart(kept, held_out)}{_with_strip(by_others)}.{KEPT}{source}"
    )
    # A table of before is of other candidates.
    more = {"threshold": threshold, "objects": objects, "evidence": evidence, "source": said}
    found = calibration.model_copy(update=more)
    shown = [one for one in strongest if np.isfinite(margins[one])][:STRONGEST]
    if objects.core is not None:
        deciding = [(int(clear[:, place].argmax()), place) for place in range(3)]
        shown += [one for one in deciding if clear[one] > limits[0, one[1]] and one not in shown]
    return ObjectThresholds(found, int(chosen.sum()), tuple(false), (kept, *held_out), shown)


def _with_strip(false: np.ndarray) -> str:
    if not false.size:
        return ""
    return (
        f"; enlarged for the strip of fine cameras, {false.mean():.2%} of {false.size} frames have a false object: the "
        "bounds are for cameras like those of the frames"
    )


def _by_cores(target: ObjectTarget) -> str:
    if not target.core_rate:
        return ""
    return f", in none by a core alone (what hangs together above the score that {target.core_rate:.2%} exceed)"


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
    less = np.maximum(0, limits[0] - limits[1:])
    smaller = [
        Smaller(share=share, free=free, among=among, beside=beside)
        for share, (free, among, beside) in zip(shares, less.tolist(), strict=True)
    ]
    _, among, beside = limits[0].tolist()
    more = None if core is None else Core(**dict(zip(("grow", "free", "among", "beside"), core, strict=True)))
    return rule.model_copy(update={"among": among, "beside": beside, "smaller": smaller, "core": more})
