"""First pass of an evaluation: every frame through the network once, scores kept on disk.

A frame that is already there is not run again; so an interrupted evaluation goes on where it stopped. Threads work a
few items ahead, shards of a run are shared among processes.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from ..datasets.dataset import Dataset, Item
from ..errors import ConfigError, ImageError, UserError
from ..frame import UNLABELED
from ..inference.runner import Runner
from .score_store import ScoreStore

Given = TypeVar("Given")
Result = TypeVar("Result")


def ahead(
    pool: ThreadPoolExecutor, function: Callable[[Given], Result], items: Iterable[Given], window: int
) -> Iterator[Result]:
    """`function(item)` for each item, in order, at most `window` calls or results ahead of the reader."""
    waiting: deque[Future[Result]] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) >= window:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


@dataclass(frozen=True)
class Shard:
    """Process `rank` of `world`."""

    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.world:
            raise ConfigError(f"RANK={self.rank} is not below WORLD_SIZE={self.world}")

    def part(self, items: Sequence[Given]) -> list[Given]:
        return list(items[self.rank :: self.world])

    def file(self, folder: Path, rank: int | None = None) -> Path:
        """Where a process (None = this one) leaves its results; complete once it exists."""
        return folder / f"shard{self.rank if rank is None else rank}of{self.world}.npz"

    def wait(self, folder: Path, patience_s: float = 3600.0, period_s: float = 0.2) -> list[Path]:
        """Files of all processes in rank order, as soon as all exist.

        Raises:
            UserError: for `patience_s` no file in the folder was written while some are still missing.
        """
        files = [self.file(folder, rank) for rank in range(self.world)]
        while missing := [file for file in files if not file.is_file()]:
            newest = max((entry.stat().st_mtime for entry in _tree(folder)), default=0.0)
            if time.time() - newest > patience_s:
                raise UserError(
                    f"waited {patience_s:.0f} s for {', '.join(file.name for file in missing)} in {folder} and nothing "
                    "moved there; see what the other processes say, then start the same command again: it resumes"
                )
            time.sleep(period_s)
        return files


def this_shard(environment: Callable[[str], str | None] = os.environ.get) -> Shard:
    """From RANK and WORLD_SIZE; one process of one where they are not set."""
    try:
        return Shard(int(environment("RANK") or 0), int(environment("WORLD_SIZE") or 1))
    except ValueError as error:
        raise ConfigError(f"RANK and WORLD_SIZE must be whole numbers: {error}") from error


def _tree(folder: Path) -> list[Path]:
    found = []
    for entry in folder.rglob("*"):
        try:
            if entry.is_file():
                found.append(entry)
        except OSError:
            continue  # a temporary file that has just got its final name
    return found


@dataclass(frozen=True)
class Work:
    """One item of a dataset and the plain file name of its results, made of its id."""

    name: str
    item: Item


def plan(items: Sequence[Item]) -> list[Work]:
    """Give every item a unique plain file name."""
    work, seen = [], set()
    for item in items:
        full = item.id
        name = re.sub(r"[^A-Za-z0-9._-]+", "_", full).strip("._")[-120:] or "frame"
        if name in seen or name != full:
            name = f"{name}-{hashlib.sha256(full.encode()).hexdigest()[:8]}"
        if name in seen:
            raise ValueError(f"two items of the dataset have the id {full!r}")
        seen.add(name)
        work.append(Work(name, item))
    return work


def prepare(runner: Runner, dataset: Dataset, work: Sequence[Work]) -> None:
    """Compile for the first frame that can be read: an engine that was built for another size says so before anything
    is written.

    Raises:
        EngineError: it cannot run on frames of this size.
    """
    for entry in work:
        loaded = _load(dataset, entry.item)
        if not isinstance(loaded, UserError):
            with suppress(ImageError):  # too small or too large; said where it is that frame's turn
                runner.warm(*loaded[0].shape[:2])
            return


def run_frames(
    runner: Runner,
    dataset: Dataset,
    work: Sequence[Work],
    stores: Sequence[ScoreStore],
    workers: int = 2,
    progress: Callable[[int], None] = lambda done: None,
    check: Callable[[np.ndarray, str], None] = lambda image, name: None,
) -> dict[str, str]:
    """Judge frames and put them into the stores, one for each score that the runner's bundle gives: score, label,
    predicted and true classes, milliseconds (of all scores together), the greater score of both looks.

    Reading and packing run in `workers` threads beside the network, a few frames ahead.

    Args:
        check: of a picture and its name, in order; raises a UserError for one that is not to be evaluated.

    Returns:
        name → why, for the frames that could not be evaluated.
    """
    skipped: dict[str, str] = {}
    todo = [entry for entry in work if not all(_is_done(store, entry.name) for store in stores)]
    done = len(work) - len(todo)
    progress(done)
    warm: set[tuple[int, ...]] = set()
    with ThreadPoolExecutor(max(1, workers)) as readers, ThreadPoolExecutor(max(1, workers)) as writers:
        writing: deque[Future] = deque()
        for entry, loaded in ahead(readers, lambda entry: (entry, _load(dataset, entry.item)), todo, 2 * workers):
            try:
                if isinstance(loaded, UserError):
                    raise loaded
                image, label, classes = loaded
                check(image, entry.name)
                if image.shape not in warm:  # what is built for a new size is no part of a frame's time
                    runner.warm(*image.shape[:2])
                    warm.add(image.shape)
                start = time.perf_counter()
                predictions = runner.every_score(image)
                milliseconds = (time.perf_counter() - start) * 1e3
            except UserError as error:
                skipped[entry.name] = str(error)
            else:
                truth = np.full(image.shape[:2], UNLABELED, np.uint8) if label is None else label
                extra = {
                    "milliseconds": np.asarray(milliseconds),
                    "labels": predictions[0].labels,
                    "has_truth": np.asarray(label is not None),
                }
                if classes is not None:
                    extra["classes"] = classes
                for store, prediction in zip(stores, predictions, strict=True):
                    more = {} if prediction.greater is None else {"greater": prediction.greater}
                    writing.append(writers.submit(store.put, entry.name, prediction.score, truth, **extra, **more))
            while len(writing) > 2 * workers * len(stores):
                writing.popleft().result()
            done += 1
            progress(done)
        for future in writing:
            future.result()
    return skipped


def _load(dataset: Dataset, item: Item) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None] | UserError:
    # An error is a result here: the frame is left out, the others are evaluated.
    try:
        image, label = dataset.load(item)
        classes = dataset.load_classes(item) if dataset.kind == "anomaly" else None
    except UserError as error:
        return error
    return image, label, classes


def _is_done(store: ScoreStore, name: str) -> bool:
    if name not in store:
        return False
    try:
        store.get(name)
    except KeyError:  # the disk was full, or the machine went down before the data reached it
        return False
    return True
