"""QoS overrides that nobody would read are refused, and profiles are nobody's but their entity's."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("rclpy")
from oodseg_ros.ros.node import topics
from oodseg_ros.ros.node.qos import POLICIES, check_overrides, profile

PUBLISHED, SUBSCRIBED = ["/car/front/overlay", "/alert"], ["/car/front/image_raw", "/car/front/camera_info"]


def problems(name: str, value: Any) -> list[str]:
    return check_overrides({name: value}, PUBLISHED, SUBSCRIBED)


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_that_can_be_changed_is_taken(policy: str) -> None:
    for value in POLICIES[policy] or (0, 1, 50):
        assert problems(f"qos_overrides./car/front/image_raw.subscription.{policy}", value) == []
    assert problems("cameras", ["front"]) == [], "no override"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("/car/front/image_raw.subscription.reliabilty", "reliable", "did you mean reliability?"),
        ("/car/front/image_raw.subscription.deadline", 5, "'deadline' cannot be overridden"),
        ("/car/front/image_raw.subscription.reliability", "relaible", "must be one of reliable, best_effort"),
        ("/car/front/image_raw.subscription.durability", True, "must be one of volatile, transient_local"),
        ("/car/front/image_raw.subscription.depth", "10", "must be a whole number from 0 to 1000, got '10'"),
        ("/car/front/image_raw.subscription.depth", -1, "must be a whole number"),
        ("/car/front/image_raw.subscription.depth", True, "must be a whole number"),
        ("/car/front/image_raw.subscribtion.depth", 1, "'subscribtion' is neither publisher nor subscription"),
        ("/car/front/image_raw.publisher.depth", 1, "no publisher of this topic, but a subscription"),
        ("/front/image_raw.subscription.depth", 1, "did you mean /car/front/image_raw?"),
        ("/elsewhere.publisher.depth", 1, "the node has no publisher of a topic /elsewhere"),
        ("depth", 1, "is neither publisher nor subscription"),
        ("", None, "is neither publisher nor subscription"),
    ],
)
def test_what_would_be_ignored_is_said(name: str, value: Any, sentence: str) -> None:
    (problem,) = problems(f"qos_overrides.{name}", value)
    assert problem.startswith(f"parameter qos_overrides.{name}: ")
    assert sentence in problem


def test_every_profile_is_a_fresh_one() -> None:
    first, second = profile(topics.IMAGE_OUT), profile(topics.IMAGE_OUT)
    first.depth = 9
    assert second.depth == 1
