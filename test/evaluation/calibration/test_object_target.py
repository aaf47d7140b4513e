"""Targets that cannot be are refused before the work."""

import pytest

from oodseg_ros.errors import ConfigError
from oodseg_ros.evaluation.calibration.object_target import ObjectTarget


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"core_rate": 0.02}, "below 0.02"),
        ({"core_rate": -0.1}, "got -0.1"),
        ({"sizes": (0.1, 0.2)}, "falling shares"),
        ({"sizes": (1.5,)}, "between 0 and 1"),
    ],
)
def test_targets_out_of_range_are_refused(options: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ObjectTarget(**options)
