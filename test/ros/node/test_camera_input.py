"""What differs between distributions in how a camera's messages are handed over."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy")
from rclpy.subscription import Subscription

from oodseg_ros.ros.node.camera_input import _called_alike


def test_a_callback_gets_the_sender_where_rclpy_tells_it_and_is_called_all_the_same_on_humble(monkeypatch) -> None:
    heard = []

    def callback(message, info) -> None:
        heard.append((message, info))

    assert _called_alike(callback) is callback
    monkeypatch.delattr(Subscription, "CallbackType")
    _called_alike(callback)("picture")
    assert heard == [("picture", {})]
