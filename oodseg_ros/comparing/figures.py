"""Figures of two bundles on the same frames, each difference with an interval from resampled frames; and the rules on
them that refuse a rollout: `alerts.disappeared > 0`, `AP.change < -0.01`.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import numpy as np

from ..errors import ConfigError
from ..evaluation.metrics.components import DETECTED
from ..evaluation.score_store import ScoreStore
from ..evaluation.vehicle import frame_objects
from ..labels import LabelSet
from ..model_card import Calibration
from .alerts import KINDS

FIGURES = ("AP", "AUROC", "FPR95", "objects_found", "frames_with_false_object")
OPERATORS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
NAMES = (
    *(f"{figure}.{part}" for figure in (*FIGURES, "mIoU") for part in ("old", "new", "change", "low", "high")),
    *(f"alerts.{kind}" for kind in ("old", "new", *KINDS, "same", "objects_lost", "objects_gained")),
    *(f"unknown_frames.{part}" for part in ("old", "new", "change")),
)
"""What rules can ask for: fractions of datasets, numbers of alerts, shares of frames that were UNKNOWN."""


@dataclass(frozen=True)
class Rule:
    """`name` compared to `limit` is a reason to refuse."""

    name: str
    sign: str
    limit: float

    def __str__(self) -> str:
        return f"{self.name} {self.sign} {self.limit:g}"

    def broken(self, values: dict[str, Any]) -> str:
        """Why it refuses, or empty. A figure that is not there refuses too: nobody has shown that all is well."""
        value = values.get(self.name)
        if value is None or not math.isfinite(value):
            return f"{self}: {self.name} is not known here, so the rule cannot be kept"
        return f"{self}: it is {value:.6g}" if OPERATORS[self.sign](value, self.limit) else ""


def parse_rule(text: str) -> Rule:
    """`NAME OPERATOR NUMBER`.

    Raises:
        ConfigError: another form, or a name that no comparison has.
    """
    match = re.fullmatch(r"\s*([\w.]+)\s*(>=|<=|>|<)\s*([-+0-9.eE]+)\s*", text)
    try:
        name, sign, number = match.groups()  # type: ignore[union-attr]
        limit = float(number)
    except (AttributeError, ValueError):
        raise ConfigError(
            f"--fail-if {text!r}: write NAME OPERATOR NUMBER, e.g. 'alerts.disappeared > 0' or 'AP.change < -0.01'"
        ) from None
    if name not in NAMES:
        near = get_close_matches(name, NAMES, 1)
        meant = f"; did you mean {near[0]}? There are" if near else "; there are"
        raise ConfigError(f"--fail-if {text!r}: no figure is called {name}{meant} {', '.join(NAMES)}")
    return Rule(name, sign, limit)


BINS = 2048
"""Scores are counted in quantiles of their own: AP and FPR95 are exact to a share of 1/BINS of the ranks."""
PER_FRAME = 4000
DRAWS = 1000
LEVEL = 0.95
"""Of a dataset with anomaly labels; the last two at the bundle's own threshold, as the node makes objects."""


@dataclass
class FrameCounts:
    """What of each frame the figures are made of.

    Attributes:
        normal, anomalous: pixels per bin of rising score, `[n, BINS]`.
        objects, found, false: true objects, those that are found, and whether an object is where none is; `[n]`.
    """

    names: list[str] = field(default_factory=list)
    normal: np.ndarray = field(default_factory=lambda: np.zeros((0, BINS)))
    anomalous: np.ndarray = field(default_factory=lambda: np.zeros((0, BINS)))
    objects: np.ndarray = field(default_factory=lambda: np.zeros(0))
    found: np.ndarray = field(default_factory=lambda: np.zeros(0))
    false: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def of(self, names: Sequence[str]) -> FrameCounts:
        """The same of these frames, in this order."""
        place = {name: index for index, name in enumerate(self.names)}
        rows = [place[name] for name in names]
        return FrameCounts(
            list(names),
            *(values[rows] for values in (self.normal, self.anomalous, self.objects, self.found, self.false)),
        )


def count_frames(
    names: Sequence[str], store: ScoreStore, own: ScoreStore, calibration: Calibration, labels: LabelSet
) -> FrameCounts:
    """Read stored frames twice: for the limits of the bins, and to count.

    Args:
        names: frames that are in both stores.
        store: with the scores as they are published, for pixels.
        own: with the network's scores, for objects.
        calibration, labels: the bundle's.
    """
    rng = np.random.default_rng(0)
    sample = [np.empty(0, np.float32)]
    for name in names:
        score, label, _ = store.get(name)
        for value in (0, 1):
            picked = score[(label == value) & ~np.isnan(score)]
            sample.append(rng.choice(picked, min(PER_FRAME, picked.size), replace=False) if picked.size else picked)
    edges = np.unique(np.quantile(np.concatenate(sample), np.linspace(0, 1, BINS)[1:-1], method="nearest"))
    ground = np.zeros(256, bool)
    ground[labels.ground_ids()] = True
    normal, anomalous, objects, found, false = [], [], [], [], []
    for name in names:
        score, label, extra = store.get(name)
        place = np.searchsorted(edges, score, side="right")
        judged = ~np.isnan(score)
        normal.append(np.bincount(place[judged & (label == 0)], minlength=BINS))
        anomalous.append(np.bincount(place[judged & (label == 1)], minlength=BINS))
        components, wrong = frame_objects(own.get(name)[0], extra["labels"], label, calibration, ground)
        objects.append(len(components.siou))
        found.append(int(np.count_nonzero(np.asarray(components.siou) >= DETECTED)))
        false.append(bool(wrong))
    arrays = (np.array(normal, float), np.array(anomalous, float))
    return FrameCounts(list(names), *arrays, *(np.array(values, float) for values in (objects, found, false)))


def compare_counts(old: FrameCounts, new: FrameCounts, seed: int = 0) -> dict[str, dict[str, Any]]:
    """Figure → `old`, `new`, `change` and the limits `low`, `high` of the change.

    The limits hold 95 % of the changes over sets of as many frames, drawn with replacement from these, the same for
    both. Frames of one drive are alike, so the true interval of a few drives is wider. nan = not defined.
    """
    common = [name for name in old.names if name in set(new.names)]
    old, new = old.of(common), new.of(common)
    count = len(common)
    if not count:
        return {}
    rng = np.random.default_rng(seed)
    draws = np.vstack([np.ones(count), rng.multinomial(count, np.full(count, 1 / count), size=DRAWS)])
    before, after = _figures(old, draws), _figures(new, draws)
    result = {}
    for name in FIGURES:
        change = after[name] - before[name]
        spread = change[1:][np.isfinite(change[1:])]
        tail = (1 - LEVEL) / 2
        low, high = np.quantile(spread, (tail, 1 - tail)).tolist() if spread.size else (np.nan, np.nan)
        result[name] = {
            **{"old": float(before[name][0]), "new": float(after[name][0]), "change": float(change[0])},
            **{"low": low, "high": high, "frames": count},
        }
    return result


def _figures(counts: FrameCounts, draws: np.ndarray) -> dict[str, np.ndarray]:
    """Every figure for every draw; the first draw is all frames once."""
    # From the highest score down.
    negative = np.cumsum((draws @ counts.normal)[:, ::-1], axis=1)
    positive = np.cumsum((draws @ counts.anomalous)[:, ::-1], axis=1)
    negatives, positives = negative[:, -1:], positive[:, -1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        recall, false_rate = positive / positives, negative / negatives
        precision = np.nan_to_num(positive / (positive + negative))
        steps = np.diff(recall, axis=1, prepend=0.0)
        area = np.diff(false_rate, axis=1, prepend=0.0) * (recall - steps / 2)
        at = (recall >= 0.95).argmax(axis=1)
        found = (draws @ counts.found) / (draws @ counts.objects)
        judged = (counts.normal.any(axis=1) | counts.anomalous.any(axis=1)).astype(float)  # else nothing can be false
        false = (draws @ counts.false) / (draws @ judged)
    defined = (positives[:, 0] > 0) & (negatives[:, 0] > 0)
    pixels = {
        "AP": (steps * precision).sum(axis=1),
        "AUROC": area.sum(axis=1),
        "FPR95": false_rate[np.arange(len(at)), at],
    }
    return {
        **{name: np.where(defined, values, np.nan) for name, values in pixels.items()},
        "objects_found": found,
        "frames_with_false_object": false,
    }
