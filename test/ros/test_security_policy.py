"""The shipped policy parses, has the structure that sros2 reads, and allows what the real node declares: no more."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

pytest.importorskip("rclpy")
import rclpy

from oodseg_ros.ros.messages.detections import VISION_MSGS
from oodseg_ros.ros.node.vehicle import TF2_ROS
from oodseg_ros.ros.perception import SUCCESS, Perception
from oodseg_ros.ros.security_policy import policy, services, topics
from oodseg_ros.ros.tools.faults.node import FaultEngine

FILE = Path(__file__).parents[2] / "config" / "sros2" / "policy.xml"

ARGUMENTS = [
    "--ros-args", "-p", "cameras:=[front, rear]", "-p", "rear.transport:=compressed", "-p", "odometry:=odom",
]  # fmt: skip

# Element → allowed children, attributes that must be there, attributes of which one at least must be there.
STRUCTURE = {
    "policy": ({"enclaves"}, {"version"}, set()),
    "enclaves": ({"enclave"}, set(), set()),
    "enclave": ({"profiles"}, {"path"}, set()),
    "profiles": ({"profile"}, set(), set()),
    "profile": ({"topics", "services", "actions"}, {"ns", "node"}, set()),
    "topics": ({"topic"}, set(), {"publish", "subscribe"}),
    "services": ({"service"}, set(), {"reply", "request"}),
    "actions": ({"action"}, set(), {"call", "execute"}),
    "topic": (set(), set(), set()),
    "service": (set(), set(), set()),
}


def check(element: ElementTree.Element) -> None:
    children, required, one_of = STRUCTURE[element.tag]
    assert required <= set(element.attrib)
    assert set(element.attrib) <= required | one_of
    assert bool(one_of & set(element.attrib)) == bool(one_of)
    assert all(element.get(name) in (None, "ALLOW", "DENY") for name in one_of)
    if children:
        assert len(element) > 0
        assert {child.tag for child in element} <= children
    else:
        assert element.text.startswith("/")
        assert element.text == element.text.strip()
    for child in element:
        check(child)


@pytest.mark.parametrize("text", [FILE.read_text(), policy({"a": "raw", "b": "compressed"}, "/vehicle")])
def test_it_parses_and_has_the_structure_of_a_policy(text: str) -> None:
    root = ElementTree.fromstring(text)
    assert root.get("version") == "0.2.0"
    check(root)


def test_the_shipped_file_is_what_the_module_makes() -> None:
    assert FILE.read_text() == policy({"camera": "raw"}), "run python -m oodseg_ros.ros.security_policy"


def test_it_allows_what_the_real_node_declares_and_nothing_else() -> None:
    """Extras are allowed only where a package decides: tf2_ros, vision_msgs, and /clock in simulation time."""
    context = rclpy.Context()
    rclpy.init(context=context, args=ARGUMENTS)
    try:
        node = Perception(load=lambda settings, logger: (FaultEngine(), ()), namespace="/vehicle", context=context)
        try:
            assert node.trigger_configure() == SUCCESS
            assert node.trigger_activate() == SUCCESS
            name = ("perception", "/vehicle")
            declared = {
                "publish": {topic for topic, _ in node.get_publisher_names_and_types_by_node(*name)},
                "subscribe": {topic for topic, _ in node.get_subscriber_names_and_types_by_node(*name)},
            }
            answered = {service for service, _ in node.get_service_names_and_types_by_node(*name)}
        finally:
            node.close()
    finally:
        rclpy.try_shutdown(context=context)
    allowed = topics({"front": "raw", "rear": "compressed"}, "/vehicle", "odom")
    optional = {"/clock"} | (set() if TF2_ROS else {"/tf", "/tf_static"})
    if not VISION_MSGS:
        optional |= {t for t in allowed["publish"] if t.endswith(("/obstacles", "/label_info"))}
    for right, names in declared.items():
        assert names - set(allowed[right]) == set()
        assert set(allowed[right]) - names <= optional
    assert answered == set(services("/vehicle"))
