import math

import pytest

from oodseg_ros.errors import ConfigError
from oodseg_ros.parameters.judging import ObstacleSettings


def test_defaults_are_valid():
    settings = ObstacleSettings()
    assert settings.trigger_hits <= settings.trigger_window


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"threshold": math.nan}, "threshold"),
        ({"threshold": "high"}, "threshold"),
        ({"threshold": True}, "threshold"),
        ({"min_area": 0}, "min_area"),
        ({"min_area": 10.5}, "min_area"),
        ({"trigger_hits": 0}, "trigger_hits"),
        ({"trigger_hits": 4, "trigger_window": 3}, "trigger_hits"),
        ({"trigger_window": 101}, "trigger_window"),
        ({"release_frames": True}, "release_frames"),
        ({"max_obstacles": 0}, "max_obstacles"),
        ({"max_obstacles": 10**6}, "max_obstacles"),
    ],
)
def test_wrong_values_are_refused_by_name(values, word):
    with pytest.raises(ConfigError, match=word):
        ObstacleSettings(**values)
