"""Targets that cannot be are refused before the work."""

import numpy as np
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
        ({"false_frames": 0.0}, "false frames must lie between 0 and 1, got 0"),
        ({"false_frames": np.nan}, "false frames"),
        ({"false_elsewhere": 1.0}, "the bound elsewhere"),
        ({"false_elsewhere": np.nan}, "the bound elsewhere"),
        ({"grow_rate": 0.0}, "that grow must lie"),
        ({"grow_rate": -1.0}, "that grow must lie"),
        ({"grow_rate": np.nan}, "that grow must lie"),
        ({"seed": 0.0}, r"seed\) must lie in \(0, 1\]"),
        ({"seed": np.nan}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"min_area": 0}, "min_area"),
        ({"coherence": 1.0}, "coherence must be at least 0 and below 1, got 1"),
        ({"coherence": np.nan}, "coherence"),
        ({"confidence": 1.0}, "the confidence"),
        ({"sizes": tuple(0.5**power for power in range(1, 18))}, "at most 16 sizes"),
    ],
)
def test_targets_out_of_range_are_refused(options: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ObjectTarget(**options)
