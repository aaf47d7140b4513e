"""Our pixel figures against scikit-learn's on the same pixels, in the same run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import ConfigError
from ...extras import advice
from ..score_store import ScoreStore
from .pixels import PixelMetrics, split

MOST = 20_000_000
"""Pixels that scikit-learn is given at most, every n-th of all; it takes about 60 bytes for each."""


def compare_with_sklearn(store: ScoreStore, names: Sequence[str], most: int = MOST) -> dict[str, Any]:
    """Both sides' AP, AUROC, FPR95 and best F1 on every n-th judged pixel of the frames.

    Returns:
        `ours`, `scikit_learn`, `largest_difference`, `pixels`, `stride`; empty where a class is missing.

    Raises:
        ConfigError: scikit-learn is not installed.
    """
    try:
        from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve
    except ModuleNotFoundError as error:
        raise ConfigError(f"the check: {advice(error.name)}") from error
    total = sum(int((store.get(name)[1] != 255).sum()) for name in names)
    stride = max(1, -(-total // most))
    ours, scores, labels, offset = PixelMetrics(), [], [], 0
    for name in names:
        score, label, _ = store.get(name)
        # From frame to frame the choice goes on where it stopped, so that no column of the image is preferred.
        score, label = score.ravel()[offset::stride], label.ravel()[offset::stride]
        offset = (offset + 1) % stride
        negative, positive, _, _ = split(score, label, 255)
        ours.update(score, label)
        scores += [negative, positive]
        labels += [np.zeros(negative.size, np.uint8), np.ones(positive.size, np.uint8)]
    if not all(ours.totals):
        return {}
    score, label = np.concatenate(scores), np.concatenate(labels)
    largest = np.finfo(np.float32)
    score = np.clip(score, largest.min, largest.max)  # scikit-learn refuses infinities
    fpr, tpr, _ = roc_curve(label, score, drop_intermediate=False)
    theirs = {
        "AP": average_precision_score(label, score),
        "AUROC": roc_auc_score(label, score),
        "FPR95": fpr[np.argmax(tpr >= 0.95)],
    }
    del fpr, tpr
    precision, recall, _ = precision_recall_curve(label, score)
    theirs["best_F1"] = np.nanmax(2 * precision * recall / np.maximum(precision + recall, 1e-300))
    found = ours.compute()
    return {
        "ours": {key: found[key] for key in theirs},
        "scikit_learn": {key: float(value) for key, value in theirs.items()},
        "largest_difference": max(abs(found[key] - float(value)) for key, value in theirs.items()),
        "pixels": int(score.size),
        "stride": stride,
    }
