"""What is recorded when something happens, and how much of memory and disk that may take."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class RecordSettings:
    """The parameters `record.*`; see config/parameters.yaml.

    Attributes:
        enabled: False = nothing is kept and nothing is written.
        folder: where bags appear.
        on_obstacle, on_unknown: which changes of state are worth a bag.
        before, after: seconds around the trigger.
        rate: images per second and camera that are kept; states are kept of every frame.
        memory_mb: most that the ring holds; while a bag is written, as much again.
        max_bag_mb: most that one bag takes on disk; what is nearest to the trigger is written first.
        max_per_hour: bags.
        max_total_mb: most that all bags in the folder take together.
        min_free_mb: no bag is begun with less than this free on the disk.
        delete_oldest: make room by deleting the oldest bags instead of stopping.
    """

    enabled: bool = False
    folder: Path = Path("oodseg_records")
    on_obstacle: bool = True
    on_unknown: bool = True
    before: float = 5.0
    after: float = 2.0
    rate: float = 5.0
    memory_mb: int = 256
    max_bag_mb: int = 200
    max_per_hour: int = 12
    max_total_mb: int = 4000
    min_free_mb: int = 1000
    delete_oldest: bool = False
