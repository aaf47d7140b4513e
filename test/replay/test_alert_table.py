import csv
import json
import math

import numpy as np

from oodseg_ros.frame import Alert, AlertState, Frame, GroundPosition, Obstacle
from oodseg_ros.pipeline.step import Arrival, Step
from oodseg_ros.replay.alert_table import COLUMNS, AlertTable, as_dict
from oodseg_ros.replay.judge import Judged

FRAME = Frame(np.zeros((4, 4, 3), np.uint8), 123, "front", file="drive")


def judged(number, alert, unplaced=""):
    return Judged(number, Step(Arrival("front", 123, lambda: FRAME), alert, frame=FRAME), 200, unplaced)


NEAR = Obstacle((1, 2, 3, 4), 9, 0.51236, (2.0, 3.0), 7, 3, GroundPosition((5.1, -0.2, 0.0), 4.5, 6.25))
OPEN = Obstacle((5, 6, 9, 9), 12, 0.9, (7.25, 8.0), 8, 1, GroundPosition((90.0, 1.0, 0.0), 60.0, math.inf))
BARE = Obstacle((0, 0, 2, 2), 4, 0.7, (1.0, 1.0))


def read(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_one_line_per_alert(tmp_path):
    path = tmp_path / "alerts.csv"
    with AlertTable(path) as table:
        table.write(judged(0, Alert(AlertState.CLEAR, "ok", 123, 0.077), "no camera_info"))
        table.write(judged(1, Alert(AlertState.OBSTACLE, "obstacle", 123, 0.0, (OPEN, NEAR, BARE), drift=0.05)))
    clear, obstacle = read(path)
    assert tuple(clear) == COLUMNS
    assert (clear["state"], clear["count"], clear["max_score"], clear["min_range_m"]) == ("CLEAR", "0", "", "")
    assert json.loads(clear["obstacles"]) == []
    assert (clear["file"], clear["evidence_age_s"], clear["ranges"]) == ("drive", "0.077", "unknown: no camera_info")
    assert (obstacle["score_drift_bits"], obstacle["ranges"]) == ("0.050", "known")
    assert (obstacle["frame"], obstacle["camera"], obstacle["stamp_ns"]) == ("1", "front", "123")
    assert (obstacle["max_score"], obstacle["min_range_m"]) == ("0.9000", "4.50")
    assert [entry["track"] for entry in json.loads(obstacle["obstacles"])] == [8, 7, 0]


def test_lines_are_there_before_the_end(tmp_path):
    table = AlertTable(tmp_path / "alerts.csv")
    table.write(judged(0, Alert(AlertState.UNKNOWN, "starting")))
    assert len(read(tmp_path / "alerts.csv")) == 1
    table.__exit__()


def test_obstacles_as_plain_values():
    assert as_dict(NEAR) == {
        "track": 7,
        "age": 3,
        "box": [1, 2, 3, 4],
        "area": 9,
        "score": 0.5124,
        "foot": [2.0, 3.0],
        "counts": True,
        "position": [5.1, -0.2, 0.0],
        "range_m": [4.5, 6.25],
    }
    assert as_dict(OPEN)["range_m"] == [60.0, None]
    assert "position" not in as_dict(BARE)
    json.dumps(as_dict(OPEN), allow_nan=False)
