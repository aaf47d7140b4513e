"""The sentence about the worst case."""

from __future__ import annotations

from oodseg_ros.parameters.settings import ObstacleSettings
from oodseg_ros.pipeline.alert import reaction_sentence


def test_the_worst_case_at_the_rates_of_the_cameras() -> None:
    text = reaction_sentence(ObstacleSettings(), 1.0, 1.0, 0.1, {"front": 20.0, "rear": 0.0})
    assert "2 hits in 3 images" in text
    assert "1.15 s at 20 Hz (front), release 1.15 s" in text
    assert "1.30 s at 10 Hz" in text
    assert "UNKNOWN after 1.10 s" in text
    only = reaction_sentence(ObstacleSettings(), 1.0, 1.0, 0.1, {"front": 20.0})
    assert "at 10 Hz" not in only


def test_without_a_limit_of_age_there_is_no_bound() -> None:
    assert "not bounded" in reaction_sentence(ObstacleSettings(), 0.0, 1.0, 0.1, {"front": 20.0})
