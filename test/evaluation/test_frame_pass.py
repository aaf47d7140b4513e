import os
import threading
import time

import numpy as np
import pytest

from oodseg_ros.errors import ConfigError, UserError
from oodseg_ros.evaluation.frame_pass import Shard, this_shard


def test_parts_are_everything_once():
    items = list(range(10))
    parts = [Shard(rank, 3).part(items) for rank in range(3)]
    assert sorted(item for part in parts for item in part) == items
    assert Shard().part(items) == items


def test_from_torchruns_environment():
    assert this_shard({"RANK": "1", "WORLD_SIZE": "4"}.get) == Shard(1, 4)
    assert this_shard({}.get) == Shard(0, 1)
    with pytest.raises(ConfigError, match="whole numbers"):
        this_shard({"RANK": "a"}.get)


def test_waiting_for_the_others(tmp_path):
    shard = Shard(0, 2)
    np.savez(shard.file(tmp_path), x=1)
    timer = threading.Timer(0.3, lambda: np.savez(shard.file(tmp_path, 1), x=2))
    timer.start()
    assert shard.wait(tmp_path, period_s=0.02) == [shard.file(tmp_path, 0), shard.file(tmp_path, 1)]


def test_a_dead_process_is_not_waited_for_for_ever(tmp_path):
    shard = Shard(0, 2)
    np.savez(shard.file(tmp_path), x=1)
    long_ago = time.time() - 100
    os.utime(shard.file(tmp_path), (long_ago, long_ago))
    with pytest.raises(UserError, match=r"shard1of2.npz.*resumes"):
        shard.wait(tmp_path, patience_s=50, period_s=0.02)
