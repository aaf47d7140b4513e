"""Write measured figures into a bundle's card, each with the command that made it."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any

from ..bundle import Bundle, load_bundle, rewrite_card
from ..model_card import Metric

RECORDED = {
    "pixel": ("AP", "AUROC", "FPR95", "best_F1"),
    "component_deployed": ("sIoU", "PPV", "F1"),
    "vehicle": ("found", "fragments_per_object", "frames_with_false_on_ground", "frames_with_false_beside"),
    "semantic": ("mIoU", "pixel_accuracy"),
}
"""Sections of `metrics.json` and their entries that belong into a card."""


def record_metrics(bundle: str | Path, data: str, metrics: dict[str, Any], key: Path | None = None) -> Bundle:
    """Put the headline figures of one evaluation into `model.yaml`; older figures on the same data are replaced.

    Args:
        bundle: path or name of the bundle that was evaluated with its own score.
        data: name of the dataset.
        metrics: content of `metrics.json`.
        key: private key to sign the bundle with; None = it is unsigned afterwards.

    Raises:
        BundleError, ConfigError: see `rewrite_card`.
    """
    loaded = load_bundle(bundle)
    command = _portable(metrics["provenance"]["command"])
    new = [
        Metric(name=name, value=round(float(metrics[section][name]), 5), data=data, command=command)
        for section, names in RECORDED.items()
        for name in names
        if name in metrics.get(section, {}) and metrics[section][name] == metrics[section][name]
    ]
    kept = [metric for metric in loaded.card.metrics if metric.data != data]
    return rewrite_card(loaded.path, loaded.card.model_copy(update={"metrics": kept + new}), key)


def _portable(command: str) -> str:
    """The command without where things lay: below `$OODSEG_DATA` it says so, of any other absolute path, or one of the
    user's home or of a folder above, only the last name stays.
    """
    root = os.environ.get("OODSEG_DATA", "").rstrip("/")
    words = []
    for word in shlex.split(command):
        option, equals, value = word.partition("=") if word.startswith("--") and "=" in word else ("", "", word)
        if root and (value == root or value.startswith(f"{root}/")):
            value = "$OODSEG_DATA" + value[len(root) :]
        elif value.startswith(("/", "~", "..")):
            value = Path(value).name or value
        # A variable must stay one when the line is pasted into a shell.
        words.append(option + equals + (value if value.startswith("$OODSEG_DATA") else shlex.quote(value)))
    return " ".join(words)
