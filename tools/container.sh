#!/bin/bash
# Entry point of the container: `perception.launch.py` with the arguments given.
set -e
# shellcheck disable=SC1090  # which one is decided by the image
source "/opt/ros/$ROS_DISTRO/setup.bash"
# pip made the environment an ament prefix; `ros2` itself runs with the system's Python, and the launch file imports this.
export AMENT_PREFIX_PATH="/opt/oodseg:$AMENT_PREFIX_PATH"
PYTHONPATH="$(/opt/oodseg/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))'):$PYTHONPATH"
export PYTHONPATH
exec ros2 launch oodseg_ros perception.launch.py "$@"
