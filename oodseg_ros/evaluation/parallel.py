"""Work shared: threads a few items ahead inside a process, shards of a run among processes."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..errors import ConfigError, UserError

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(
    pool: ThreadPoolExecutor, function: Callable[[Item], Result], items: Iterable[Item], window: int
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

    def part(self, items: Sequence[Item]) -> list[Item]:
        """This process's items."""
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
