#!/usr/bin/env bash
# rclpy 9.1.2 (Kilted): a parameter that is declared with an empty list and a descriptor of type DOUBLE_ARRAY.
# Guess, written before: the descriptor's type decides, so the parameter is an array of doubles and takes [1.0] later.
# Seen: the type comes from the value, an empty list is taken for BYTE_ARRAY, the descriptor is changed to that, and every
# later [1.0] is refused.
# Output seen:
#   declared as 5, described as 5
#   set to [1.0]: False Wrong parameter type, expected '5' got '8'
# Exits with a status other than 0 when that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST ROS_LOG_DIR="$folder"
unset PYTHONPATH _ROS_WHEELS_BOOTSTRAP_COMPLETE LD_LIBRARY_PATH
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install ros-rclpy==9.1.2 ros-rmw-fastrtps-cpp==9.3.3 ros-rosgraph-msgs==2.3.0
cat > "$folder/try.py" <<'P'
import rclpy
from rcl_interfaces.msg import ParameterDescriptor, ParameterType
from rclpy.parameter import Parameter

rclpy.init()
node = rclpy.create_node("finding")
node.declare_parameter("limits", [], ParameterDescriptor(type=ParameterType.PARAMETER_DOUBLE_ARRAY))
kind, described = node.get_parameter("limits").type_.value, node.describe_parameter("limits").type
print(f"declared as {kind}, described as {described}")
result = node.set_parameters([Parameter("limits", Parameter.Type.DOUBLE_ARRAY, [1.0])])[0]
print(f"set to [1.0]: {result.successful} {result.reason}")
node.destroy_node()
rclpy.try_shutdown()
raise SystemExit((kind, described, result.successful) != (5, 5, False))
P
"$folder/venv/bin/python" "$folder/try.py"
