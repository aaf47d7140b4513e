"""First pass of an evaluation: every frame through the network once, scores kept on disk.

A frame that is already there is not run again; so an interrupted evaluation goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DatasetError, UserError
from ..frame import UNLABELED
from ..inference.runner import Runner
from .ahead import ahead
from .score_store import ScoreStore


@dataclass(frozen=True)
class Work:
    """One item of a dataset and the file name of its results."""

    name: str
    item: Any


def plan(items: Sequence[Any]) -> list[Work]:
    """Give every item a unique plain file name, made of its own name."""
    work, seen = [], set()
    for item in items:
        full = str(getattr(item, "name", item))
        name = re.sub(r"[^A-Za-z0-9._-]+", "_", full).strip("._")[-120:] or "frame"
        if name in seen or name != full:
            name = f"{name}-{hashlib.sha256(full.encode()).hexdigest()[:8]}"
        if name in seen:
            raise ValueError(f"two items of the dataset have the name {full!r}")
        seen.add(name)
        work.append(Work(name, item))
    return work


def run_frames(
    runner: Runner,
    dataset: Any,
    work: Sequence[Work],
    store: ScoreStore,
    workers: int = 2,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, str]:
    """Judge frames and put them into the store: score, label (or predicted classes too), and milliseconds.

    Reading and packing run in `workers` threads beside the network, a few frames ahead.

    Returns:
        name → why, for the frames that could not be evaluated.
    """
    skipped: dict[str, str] = {}
    todo = [entry for entry in work if not _is_done(store, entry.name)]
    done = len(work) - len(todo)
    progress(done)
    warm: set[tuple[int, ...]] = set()
    with ThreadPoolExecutor(max(1, workers)) as readers, ThreadPoolExecutor(max(1, workers)) as writers:
        writing: deque[Future] = deque()
        for entry, loaded in ahead(readers, lambda entry: (entry, _load(dataset, entry.item)), todo, 2 * workers):
            try:
                if isinstance(loaded, UserError):
                    raise loaded
                image, label = loaded
                if image.shape not in warm:  # what is built for a new size is no part of a frame's time
                    runner.warm(*image.shape[:2])
                    warm.add(image.shape)
                start = time.perf_counter()
                prediction = runner([image])[0]
                milliseconds = (time.perf_counter() - start) * 1e3
            except UserError as error:
                skipped[entry.name] = str(error)
            else:
                truth = np.full(image.shape[:2], UNLABELED, np.uint8) if label is None else label
                extra = {
                    "milliseconds": np.asarray(milliseconds),
                    "labels": prediction.labels,
                    "has_truth": np.asarray(label is not None),
                }
                writing.append(writers.submit(store.put, entry.name, prediction.score, truth, **extra))
            if len(writing) > 2 * workers:
                writing.popleft().result()
            done += 1
            progress(done)
        for future in writing:
            future.result()
    return skipped


def _load(dataset: Any, item: Any) -> tuple[np.ndarray, np.ndarray | None] | UserError:
    try:
        image, label = dataset.load(item)
    except UserError as error:
        return error
    if label is not None and label.shape != image.shape[:2]:
        return DatasetError(f"label is {_size(label)}, image is {_size(image)}")
    return image, label


def _is_done(store: ScoreStore, name: str) -> bool:
    if name not in store:
        return False
    try:
        store.get(name)
    except KeyError:  # the disk was full, or the machine went down before the data reached it
        return False
    return True


def _size(array: np.ndarray) -> str:
    return f"{array.shape[1]}x{array.shape[0]}"
