"""What an evaluation leaves: metrics.json and frames.csv, benchmark submissions, figures in a bundle's card, and where
they come from (the command, the versions and the machine).
"""

from __future__ import annotations

import csv
import math
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from ..bundle import Bundle, load_bundle, rewrite_card
from ..errors import ConfigError
from ..extras import advice
from ..model_card import Metric
from ..paths import completed
from .score_store import ScoreStore

PACKAGES = ("oodseg_ros", "numpy", "opencv-python-headless", "torch", "openvino", "nncf", "transformers", "rosbags")


def provenance(**more: str) -> dict[str, str]:
    """Names and values, all text; `more` is put in front."""
    return {
        **more,
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "code": code_version(),
        "versions": ", ".join(f"{name} {found}" for name in PACKAGES if (found := _version(name))),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {processor()}",
    }


def code_version() -> str:
    """Commit of the checkout, marked where files were changed since; the package's version in an installation."""
    root = Path(__file__).resolve().parents[2]
    commit = _git(root, "rev-parse", "--short=12", "HEAD") if (root / ".git").exists() else ""
    if not commit:
        return f"oodseg_ros {_version('oodseg_ros') or 'of unknown version'}"
    return f"commit {commit}{' with changes' if _git(root, 'status', '--porcelain', '--untracked-files=no') else ''}"


def processor() -> str:
    """Model name of the CPU and the number of its logical cores that this process may use."""
    name = platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    except OSError:
        pass
    return f"{name or 'unknown CPU'}, {len(os.sched_getaffinity(0))} cores"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def per_image_averages(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over frames of the frames' own figures - not the pooled ones, and named so everywhere.

    A frame without anomaly has no AP, AUROC, FPR95 and F1 and is left out of those means.
    """
    means: dict[str, Any] = {}
    for key in ("AP", "AUROC", "FPR95", "best_F1", "pixel_accuracy"):
        values = np.asarray([row[key] for row in rows if key in row], float)
        values = values[~np.isnan(values)]
        if values.size:
            means[key] = float(values.mean())
            means["frames"] = int(values.size)
    return means


def distribution(values: Sequence[float] | np.ndarray) -> dict[str, float]:
    """Percentiles and the maximum; nan without values."""
    figures = np.percentile(values if len(values) else [math.nan], (50, 95, 99, 100)).tolist()
    return dict(zip(("p50", "p95", "p99", "max"), figures, strict=True))


def write_frames(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """One line per frame; columns are the union of the rows' keys, in order of first appearance."""
    columns = list(dict.fromkeys(key for row in rows for key in row)) or ["frame"]
    with completed(path) as part, part.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        for row in rows:
            writer.writerow({key: f"{value:.6g}" if isinstance(value, float) else value for key, value in row.items()})


MAX_HALF = 65504.0
"""Largest finite float16."""


def write_submission(store: ScoreStore, names: dict[str, str], folder: Path) -> int:
    """Write `folder/<frame id>.hdf5` for every stored frame, those without ground truth too.

    Scores are clipped to the range of float16, NaN (not judged) becomes the lowest score of the frame.

    Args:
        store: of a run that is not cleaned up yet.
        names: name in the store → the dataset's frame id.
        folder: made if absent.

    Returns:
        The number of frames.

    Raises:
        ConfigError: h5py is not installed.
    """
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise ConfigError(f"the submission format: {advice(error.name)}") from error
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for name, frame_id in names.items():
        if name not in store:
            continue
        score, _, _ = store.get(name)
        lowest = score[~np.isnan(score)].min(initial=0.0)
        value = np.clip(np.nan_to_num(score, nan=lowest, posinf=MAX_HALF, neginf=-MAX_HALF), -MAX_HALF, MAX_HALF)
        with completed(folder / f"{frame_id}.hdf5") as part, h5py.File(part, "w") as stream:
            stream.create_dataset("value", data=value.astype(np.float16), compression="gzip", compression_opts=3)
        count += 1
    return count


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
