"""The SROS 2 access policy of the node: its exact topics and services, nothing else.

`config/sros2/policy.xml` is made by this module for the default camera; for others run

    python -m oodseg_ros.ros.security_policy --cameras front rear:compressed --namespace /vehicle > policy.xml
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from xml.etree import ElementTree

from .node.topics import names, qualified

NODE = "perception"
PARAMETER_SERVICES = (
    "describe_parameters",
    "get_parameter_types",
    "get_parameters",
    "get_type_description",
    "list_parameters",
    "set_parameters",
    "set_parameters_atomically",
)
LIFECYCLE_SERVICES = (
    "change_state",
    "get_available_states",
    "get_available_transitions",
    "get_state",
    "get_transition_graph",
)
OWN_SERVICES = ("enable", "snapshot")

_COMMENT = """
  What the node `{node}` may do on the network; everything else is denied (ROS_SECURITY_STRATEGY=Enforce).
  Made by `python -m oodseg_ros.ros.security_policy`; a test holds it equal to what the node really declares.
  Turn it into signed permissions with
    ros2 security create_permission <keystore> {enclave} policy.xml
  Whoever may request set_parameters or change_state may blind the node: allow those to few.
"""


def topics(cameras: Mapping[str, str], namespace: str = "/", odometry: str = "") -> dict[str, list[str]]:
    """`publish` and `subscribe` → fully qualified topics, sorted.

    Args:
        cameras: name → transport (raw or compressed).
        odometry: the node's parameter of this name.
    """
    both = names(cameras, odometry)
    both["publish"] += ["/rosout", "/parameter_events", f"{NODE}/transition_event"]
    both["subscribe"] += ["/clock", "/tf", "/tf_static"]
    return {right: sorted(qualified(name, namespace) for name in each) for right, each in both.items()}


def services(namespace: str = "/") -> list[str]:
    """Fully qualified services that the node answers, sorted."""
    node = f"{namespace.rstrip('/')}/{NODE}"
    return sorted(f"{node}/{service}" for service in (*PARAMETER_SERVICES, *LIFECYCLE_SERVICES, *OWN_SERVICES))


def policy(cameras: Mapping[str, str], namespace: str = "/", odometry: str = "") -> str:
    """The policy file as text; see `topics`."""
    enclave_path = f"{namespace.rstrip('/')}/{NODE}"
    root = ElementTree.Element("policy", version="0.2.0")
    root.append(ElementTree.Comment(_COMMENT.format(node=NODE, enclave=enclave_path)))
    enclave = ElementTree.SubElement(ElementTree.SubElement(root, "enclaves"), "enclave", path=enclave_path)
    profiles = ElementTree.SubElement(enclave, "profiles")
    profile = ElementTree.SubElement(profiles, "profile", ns=namespace, node=NODE)
    for right, allowed in topics(cameras, namespace, odometry).items():
        entries = ElementTree.SubElement(profile, "topics", {right: "ALLOW"})
        for name in allowed:
            ElementTree.SubElement(entries, "topic").text = name
    entries = ElementTree.SubElement(profile, "services", reply="ALLOW")
    for name in services(namespace):
        ElementTree.SubElement(entries, "service").text = name
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def main() -> None:
    """Print a policy."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cameras", nargs="+", default=["camera"], help="name, or name:compressed")
    parser.add_argument("--namespace", default="/")
    parser.add_argument("--odometry", default="", help="the node's parameter odometry")
    options = parser.parse_args()
    cameras = {name: transport or "raw" for name, _, transport in (text.partition(":") for text in options.cameras)}
    print(policy(cameras, options.namespace, options.odometry), end="")


if __name__ == "__main__":
    main()
