"""Training with several processes, as `torchrun` starts them; one process is the ordinary case."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..errors import ConfigError


@dataclass(frozen=True)
class Processes:
    """This process among all: `rank` of `world`, `local` of them on this machine."""

    rank: int = 0
    world: int = 1
    local: int = 1

    @property
    def first(self) -> bool:
        """Whether this one writes files and prints."""
        return self.rank == 0

    @property
    def machines(self) -> int:
        """Number of machines."""
        return self.world // self.local


def from_environment() -> Processes:
    """What `torchrun` says in RANK, WORLD_SIZE and LOCAL_WORLD_SIZE; one process without it."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return Processes()
    rank, world, local = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    return Processes(rank, world, local)


def batches_of(processes: Processes, batch: int, start: int, stop: int) -> list[list[int]]:
    """Sample indices per step, from step `start` to `stop`, of one process; together they are those of one process.

    The last entry is repeated up to `stop` entries: a resumed Lightning loop counts the steps before `start` as taken
    from this list, and would begin it anew where it seems to end too early. The repetitions are never trained on.

    Raises:
        ConfigError: the batch cannot be shared out equally.
    """
    if batch % processes.world:
        raise ConfigError(f"a batch of {batch} cannot be shared out to {processes.world} processes; change `batch`")
    own = batch // processes.world
    first = processes.rank * own
    steps = [list(range(step * batch + first, step * batch + first + own)) for step in range(start, stop)]
    return steps + steps[-1:] * start
