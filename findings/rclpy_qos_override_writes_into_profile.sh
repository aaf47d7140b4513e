#!/usr/bin/env bash
# rclpy 9.1.2 (Kilted): a `qos_overrides` parameter of one topic, and a QoSProfile that two publishers are made with.
# Guess, written before: the override applies to the publisher of the topic that it names; the caller's profile is read.
# Seen: the override is written into the profile object that the caller gave, so that the publisher of another topic made
# with it afterwards has the override, too.
# Output seen:
#   asked: depth 7 for /a; profile afterwards 7, depth of /a 7, depth of /b 7
# Exits with a status other than 0 when that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST ROS_LOG_DIR="$folder"
unset PYTHONPATH _ROS_WHEELS_BOOTSTRAP_COMPLETE LD_LIBRARY_PATH
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install ros-rclpy==9.1.2 ros-rmw-fastrtps-cpp==9.3.3 ros-rosgraph-msgs==2.3.0 ros-std-msgs==5.5.1
cat > "$folder/try.py" <<'P'
import rclpy
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from std_msgs.msg import String

rclpy.init(args=["--ros-args", "-p", "qos_overrides./a.publisher.depth:=7"])
node = rclpy.create_node("finding")
profile = QoSProfile(depth=1)
made = [
    node.create_publisher(String, name, profile, qos_overriding_options=QoSOverridingOptions.with_default_policies())
    for name in ("/a", "/b")
]
depths = [publisher.qos_profile.depth for publisher in made]
print(f"asked: depth 7 for /a; profile afterwards {profile.depth}, depth of /a {depths[0]}, depth of /b {depths[1]}")
node.destroy_node()
rclpy.try_shutdown()
raise SystemExit((profile.depth, *depths) != (7, 7, 7))
P
"$folder/venv/bin/python" "$folder/try.py"
