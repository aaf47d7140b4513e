"""Several processes see together what one would see."""

from __future__ import annotations

import pytest

from oodseg_ros.errors import ConfigError
from oodseg_ros.training.processes import Processes, batches_of, from_environment


def test_processes_share_the_batches_of_one() -> None:
    alone = batches_of(Processes(), 6, 2, 5)
    assert len(alone) == 5
    assert alone[:3] == [[12, 13, 14, 15, 16, 17], [18, 19, 20, 21, 22, 23], [24, 25, 26, 27, 28, 29]]
    shares = [batches_of(Processes(rank, 3, 3), 6, 2, 5) for rank in range(3)]
    assert [one + two + three for one, two, three in zip(*shares, strict=True)] == alone


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(ConfigError, match="batch of 5 cannot be shared out to 2"):
        batches_of(Processes(0, 2, 2), 5, 0, 1)


def test_torchrun_says_who_we_are(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TORCHELASTIC_RUN_ID", "RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert from_environment() == Processes(0, 1, 1)
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "RANK": "3", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    processes = from_environment()
    assert (processes.rank, processes.machines, processes.first) == (3, 2, False)
